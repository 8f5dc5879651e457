"""The admission of a turn that may meet an active response: it waits, it displaces that response, or it is refused.

A response gives way in two steps. It is seized, so that its log stands still; then one script ends it as `cancelled`
with what was written, and admits the turn behind it. Should the turn be given up in between, the response is ended all
the same; should this process die, the sweep ends it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import structlog

from prompts.domain.item_kinds import find_made_call
from prompts.domain.responses import Status
from prompts.errors import (
    ConversationLocked,
    NotFound,
    ResponseNotEnded,
    ServiceError,
    StaleRun,
    TailLost,
    Unavailable,
    UnknownCall,
)
from prompts.ports.event_log import EventLog
from prompts.ports.observer import EndedOutsideRun
from prompts.ports.reader_marks import Reader
from prompts.ports.responses import (
    Admitted,
    Attached,
    Displaces,
    Draft,
    Ending,
    InTheWay,
    ResponseStore,
    Seized,
    Unreadable,
)
from prompts.run.ending import conclude_cancelled, retell, settle_seized
from prompts.run.followers import Followers
from prompts.run.runner import Runner
from prompts.usecases.ask import IfBusy
from prompts.usecases.waiting import wait_for_end

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

# How long a turn waits for an active response (docs/api.md): nothing is sent meanwhile, and common proxies cut a
# connection after 60 s without a byte.
WAIT_S = 50.0
# How long it waits for an end that somebody else is writing at this moment: two round trips, or never.
ENDING_S = 2.0
# How long it waits for readers who may be leaving: a closed connection takes a moment to be noticed, behind proxies and
# at another replica, and the next question may be quicker. Everybody who is refused waits for it, so it is short.
LEAVING_S = 0.25
# Several turns may want to displace a response at once: one does, and the others look again.
MAX_TRIES = 5
# How a response ends that nobody has cancelled.
OWN_ENDS = ("completed", "incomplete", "failed")
DISPLACES: Mapping[IfBusy | None, Displaces] = {
    None: "abandoned",
    "reject": "none",
    "interrupt": "any",
    "wait": "none",
}


@dataclass(frozen=True, slots=True)
class Admission:
    """What turns of one owner are admitted with."""

    owner: str
    store: ResponseStore
    event_log: EventLog
    runner: Runner
    followers: Followers

    async def admit(
        self, draft: Draft, *, if_busy: IfBusy | None, history_tokens: int, met_id: str = ""
    ) -> Admitted | Attached:
        """Admit the turn, and end what gives way to it. Raises as `ResponseStore.admit`, StreamExpired."""
        try:
            return await self._admit(draft, DISPLACES[if_busy], history_tokens=history_tokens, met_id=met_id)
        except (asyncio.CancelledError, Unavailable):  # it may be admitted all the same, and nobody will read it
            self.followers.unmark_soon(Reader(draft.response.id, draft.reader_id))
            raise

    async def _admit(
        self, draft: Draft, displaces: Displaces, *, history_tokens: int, met_id: str
    ) -> Admitted | Attached:
        ending: Ending | None = None
        for tries_left in reversed(range(MAX_TRIES)):
            try:
                reply = await self.store.admit(
                    draft,
                    owner=self.owner,
                    history_tokens=history_tokens,
                    lease_s=self.runner.limits.lease_s,
                    displaces=displaces if tries_left else "none",
                    ending=ending,
                    met_id=met_id,
                )
            except BaseException:
                if ending is not None:  # its run is gone
                    self.runner.keep(self._end(ending))
                raise
            if not isinstance(reply, InTheWay):
                if ending is not None and isinstance(reply, Admitted) and reply.has_displaced:
                    self._tell_displaced(ending, by=draft.response.id)
                return reply
            way = await self._make_way(reply, displaces)
            ending = way if isinstance(way, Ending) else None
            # What has come to its own end was to give way: nobody was quicker.
            met_id = "" if way in OWN_ENDS else reply.response_id
        raise AssertionError("with nothing to displace, nothing is in the way")

    async def when_left(self, attempt: Callable[[str], Awaitable[Result]]) -> Result:
        """The result of an attempt, which is made again when the readers of what is in its way have left.

        The second attempt is given what the first has met. Raises as the attempt.
        """
        try:
            return await attempt("")
        except (ConversationLocked, ResponseNotEnded) as busy:
            if busy.active_response_id is None or not busy.is_followed:
                raise
            met_id = busy.active_response_id
        await self._wait_until_left(met_id)
        return await attempt(met_id)

    async def when_free(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """The result of an attempt that is made again whenever the response in its way has ended, for WAIT_S.

        Raises as the attempt, Draining.
        """
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                return await attempt()
            except (ConversationLocked, ResponseNotEnded) as busy:
                left_s = deadline - time.monotonic()
                if busy.active_response_id is None or left_s <= 0:
                    raise
                active_id = busy.active_response_id
            await self._wait_for_end(active_id, within_s=left_s)

    async def _wait_until_left(self, response_id: str) -> None:
        async with self.event_log.watch(response_id) as watch:
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVING_S):
                    while await self.followers.is_followed(response_id):
                        await watch.wait_news(LEAVING_S)

    async def _wait_for_end(self, response_id: str, *, within_s: float) -> None:
        async with self.event_log.watch(response_id) as watch:
            await wait_for_end(
                response_id,
                owner=self.owner,
                store=self.store,
                watch=watch,
                within_s=within_s,
                check=self.runner.check_draining,
            )

    async def _make_way(self, met: InTheWay, displaces: Displaces) -> Ending | Status | None:
        """Seize what is in the way and compute its end; else admission looks again. A status says how it has ended."""
        if met.is_ending:
            await self._wait_for_end(met.response_id, within_s=ENDING_S)
            return None
        await self._check_calls(met)
        seizing = asyncio.ensure_future(self._seize(met.response_id, displaces))
        try:
            return await asyncio.shield(seizing)
        except asyncio.CancelledError:
            self.runner.keep(self._end_seized(seizing))
            raise

    async def _seize(self, response_id: str, displaces: Displaces) -> Ending | Status | None:
        try:
            seized = await self.store.seize(
                response_id, owner=self.owner, lease_s=self.runner.limits.lease_s, displaces=displaces
            )
        except NotFound:
            return None  # deleted meanwhile
        if not isinstance(seized, (Seized, Unreadable)):
            return seized
        conclusion = await conclude_cancelled(seized, event_log=self.event_log)
        self.runner.keep(settle_seized(seized, conclusion.outcome, meter=self.runner.meter))
        return Ending(conclusion.outcome, conclusion.last, seized.epoch)

    async def _end_seized(self, seizing: Awaitable[Ending | Status | None]) -> None:
        """The turn that has seized it was given up, and nobody else would end it before its lease expires."""
        with suppress(ServiceError):
            ending = await seizing
            if isinstance(ending, Ending):
                await self._end(ending)

    async def _end(self, ending: Ending) -> None:
        """Raises nothing: what cannot be ended now is ended by the sweep."""
        with suppress(StaleRun, TailLost, Unavailable):
            await self.store.commit(ending.outcome, ending.last, owner=self.owner, epoch=ending.epoch)
            self._tell_displaced(ending, by="")

    async def _check_calls(self, met: InTheWay) -> None:
        """Nothing is displaced by a turn that is refused: its outputs need calls. Raises UnknownCall."""
        if not met.missing_calls:
            return
        echo = await self.event_log.get_echo(met.response_id, owner=self.owner)
        narration = await retell(echo, event_log=self.event_log)
        made = set(map(find_made_call, narration.end(completed_at=0, finished=None).output))
        for call_id in met.missing_calls:
            if call_id not in made:
                raise UnknownCall(call_id)

    def _tell_displaced(self, ending: Ending, *, by: str) -> None:
        ended = ending.outcome.response
        log.info("response_displaced", response_id=ended.id, by=by)
        self.runner.observer.notice(EndedOutsideRun(ended.id, ended.model, ended.status, None))
