"""The turns of one connection: in each lane one at a time, in their order; lanes at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from prompts.errors import TooManyStreams, TooManyWaiting

# OpenAI's limits: https://developers.openai.com/api/docs/guides/websocket-mode
MAX_RUNNING = 16
MAX_NAMED = 32
# Agents send a turn when the one before has ended. Twice as many as there are lanes.
MAX_WAITING = 64


class Waiting(Protocol):
    """A turn that waits for its lane."""

    @property
    def stream_id(self) -> str | None:
        """The name of its lane; None is the lane that every connection has."""


Turn = TypeVar("Turn", bound=Waiting)


class Lanes(Generic[Turn]):
    """Runs `serve` for each turn when its lane is free; `serve` raises nothing. `rest` is called when nothing runs.

    `let_go` is called once for each turn that was added, whatever becomes of it: a task that is cancelled before its
    first step runs nothing of `serve`.
    """

    def __init__(
        self, serve: Callable[[Turn], Awaitable[None]], rest: Callable[[], None], let_go: Callable[[Turn], None]
    ) -> None:
        self._serve = serve
        self._rest = rest
        self._let_go = let_go
        self._waiting: deque[Turn] = deque()
        self._running: dict[str | None, asyncio.Task[None]] = {}
        self._names: set[str] = set()
        self._is_over = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs; then nothing waits either."""
        return not self._running

    def add(self, turn: Turn) -> None:
        """The turn runs, or waits for its lane. Raises TooManyStreams, TooManyWaiting."""
        name = turn.stream_id
        if name is not None and name not in self._names and len(self._names) >= MAX_NAMED:
            message = (
                f"This WebSocket has used as many 'stream_id's as it may ({MAX_NAMED}). Use one again, or open another."
            )
            raise TooManyStreams(message, param="stream_id")
        if len(self._waiting) >= MAX_WAITING:
            raise TooManyWaiting(f"{MAX_WAITING} turns wait on this WebSocket. Send the next one when one has ended.")
        if name is not None:
            self._names.add(name)
        self._waiting.append(turn)
        self._advance()

    def take_waiting(self) -> list[Turn]:
        """The turns that have not begun, which are not to begin any more."""
        waiting = list(self._waiting)
        self._waiting.clear()
        for turn in waiting:
            self._let_go(turn)
        return waiting

    async def stop(self) -> None:
        """Cancel what runs, and wait until it has let go of everything."""
        self._is_over = True
        self.take_waiting()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _advance(self) -> None:
        """Begin the oldest turns whose lanes are free."""
        held: deque[Turn] = deque()
        while self._waiting and len(self._running) < MAX_RUNNING:
            turn = self._waiting.popleft()
            if turn.stream_id in self._running:
                held.append(turn)
            else:
                self._begin(turn)
        self._waiting.extendleft(reversed(held))

    def _begin(self, turn: Turn) -> None:
        task = asyncio.ensure_future(self._serve(turn))
        self._running[turn.stream_id] = task
        task.add_done_callback(lambda _: self._end(turn))

    def _end(self, turn: Turn) -> None:
        del self._running[turn.stream_id]
        self._let_go(turn)
        if not self._is_over:
            self._advance()
            if not self._running:
                self._rest()
