"""The readers of responses at this process, and their marks, which tell other replicas that a response is read."""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass

import structlog

from prompts.errors import Draining, Unavailable
from prompts.ports.observer import UNOBSERVED, FollowerJoined, FollowerLeft, Observer
from prompts.ports.reader_marks import UNMARKED, Reader, ReaderMarks
from prompts.run.log_reader import SIGNALS_A_SLICE
from prompts.run.shared_events import ResponsesInUse

log = structlog.get_logger(__name__)

# A nudge may be lost while Redis is away, so followers also look by themselves.
LOOK_S = 2.0
# A reader is told nothing for so long at most. Below the idle limit of every common proxy (nginx 60 s, AWS ALB 60 s,
# Heroku 55 s), and often enough for clients that give up a stream without events (openai/codex#31539).
KEEP_ALIVE_S = 15.0
# Readers are kept while Redis is away for so long: a restart or a fail-over is shorter.
REDIS_AWAY_S = 30.0
# The pause between two tries to renew the marks while Redis is away. Marks may end meanwhile; until they are renewed, a
# response that is read looks abandoned.
MARK_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a follower looks by itself, how long it is kept while Redis is away, how much it is told at once.

    `keep_alive_s` is how long its client hears nothing at most.
    """

    look_s: float = LOOK_S
    keep_alive_s: float = KEEP_ALIVE_S
    redis_away_s: float = REDIS_AWAY_S
    signals_a_slice: int = SIGNALS_A_SLICE


def new_reader(response_id: str) -> Reader:
    """A reader of this response."""
    return Reader(response_id, secrets.token_hex(8))


class Joined:
    """A reader, while they follow; no generator, since each turn has one."""

    __slots__ = ("_followers", "_reader")

    def __init__(self, reader: Reader, followers: "Followers") -> None:
        self._reader = reader
        self._followers = followers

    def __enter__(self) -> None:
        self._followers.enter(self._reader)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._followers.unmark_soon(self._reader)
        self._followers.leave(self._reader)


class Followers:
    """The readers of responses at this process, wherever the responses are written."""

    def __init__(self, pace: Pace = Pace(), observer: Observer = UNOBSERVED, marks: ReaderMarks = UNMARKED) -> None:
        self.pace = pace
        self.in_use = ResponsesInUse()
        self.telling = asyncio.Lock()
        """Held by the reader who tells a slice of a log, over one pass of the event loop: one at a time does."""
        self._observer = observer
        self._marks = marks
        self._readers: set[Reader] = set()
        self._unmarkings: set[asyncio.Task[None]] = set()
        self._marking = asyncio.Lock()
        self._left = asyncio.Event()
        self._is_leaving = False
        self._is_over = False

    def join(self, reader: Reader, *, is_here: bool) -> "Joined":
        """A context for as long as one follows; `is_here` says that the response is written by this process.

        The mark of a reader who leaves before the end is removed. Raises Draining for what any other replica can serve
        for longer.
        """
        if self._is_leaving and not is_here:
            raise Draining("This replica is leaving. Send the request again; another one will serve it.")
        return Joined(reader, self)

    def enter(self, reader: Reader) -> None:
        """One begins to follow: for `Joined`."""
        self._readers.add(reader)
        self._observer.notice(FollowerJoined())

    def leave(self, reader: Reader) -> None:
        """One follows no more: for `Joined`."""
        self._readers.discard(reader)
        self._observer.notice(FollowerLeft())
        self._left.set()

    async def mark(self, reader: Reader) -> None:
        """Mark one who has joined. Raises nothing: while Redis is away, the next renewal makes the mark."""
        with suppress(Unavailable):
            await self._marks.mark([reader])

    async def is_followed(self, response_id: str) -> bool:
        """Whether anybody may be following it, at any replica. Raises Unavailable."""
        return await self._marks.has_any(response_id)

    async def keep_marked(self, every_s: float, *, again_s: float = MARK_AGAIN_S) -> None:
        """Renew the marks of all readers; runs until cancelled."""
        is_away = False
        while True:
            await asyncio.sleep(again_s if is_away else every_s)
            try:
                async with self._marking:
                    await self._marks.mark(list(self._readers))
                is_away = False
            except Unavailable as error:
                if not is_away:
                    log.warning("readers_not_marked", code=error.code)
                is_away = True

    def unmark_soon(self, reader: Reader) -> None:
        """Remove a mark, in a task of its own: the reader's is being cancelled."""
        task = asyncio.create_task(self._unmark(reader), name="unmark reader")
        self._unmarkings.add(task)
        task.add_done_callback(self._unmarkings.discard)

    async def _unmark(self, reader: Reader) -> None:
        try:
            async with self._marking:  # a renewal that is under way would bring the mark back
                await self._marks.unmark(reader)
        except Unavailable as error:
            log.warning("reader_not_unmarked", response_id=reader.response_id, code=error.code)  # it ends by itself

    def check(self) -> None:
        """Raises Draining when the process can serve them no longer."""
        if self._is_over:
            raise Draining("This replica is leaving. Ask again for the events after the last one you have.")

    def start_draining(self) -> None:
        """The process leaves: nobody joins any more but for what is written here."""
        self._is_leaving = True

    async def drain(self, within_s: float) -> None:
        """Wait until all have left, and after `within_s` send them away."""
        await self._wait(within_s)
        self._is_over = True
        await self._wait(2 * self.pace.look_s)  # every reader looks at least once in this time

    async def wait_until_left(self) -> None:
        """Returns when nobody follows here any more."""
        while self._readers:
            self._left.clear()
            await self._left.wait()

    async def _wait(self, within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.wait_until_left()
