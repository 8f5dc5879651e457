"""`ResponseStore` in memory."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from msgspec import UNSET
from msgspec.structs import replace

from prompts.answer.events import encode
from prompts.domain.passages import Passage
from prompts.domain.responses import Status
from prompts.domain.signals import Signal, unpack
from prompts.errors import (
    MayNotBegin,
    StaleRun,
    TailLost,
    unknown_response,
)
from prompts.ports.event_log import BEHIND_ALL, Entry, Group
from prompts.ports.responses import (
    Admitted,
    Attached,
    Displaces,
    Draft,
    Ending,
    InTheWay,
    Outcome,
    Seized,
    StoredResponse,
    Tell,
)
from tests.support.fakes.admission import (
    begin_response,
    check_race,
    does_give_way,
    find_attached,
    find_conversation,
    meet_active,
    unknown_anchor,
)
from tests.support.fakes.fates import Fate, meet
from tests.support.fakes.memory import Memory
from tests.support.fakes.records import KeptResponse


@dataclass(frozen=True)
class Append:
    """One group that was added to a log."""

    response_id: str
    after: int
    last_number: int
    signals: Sequence[Signal]
    at: float
    """By the event loop's clock."""


@dataclass
class FakeResponseStore:
    """`ResponseStore` in memory. A call first meets the next fate of its list, if any."""

    memory: Memory = field(default_factory=Memory)
    append_fates: list[Fate] = field(default_factory=list)
    commit_fates: list[Fate] = field(default_factory=list)
    release_fates: list[Fate] = field(default_factory=list)
    get_fates: list[Fate] = field(default_factory=list)
    released: list[bool] = field(default_factory=list)
    """The `is_broken` of each hand-over."""
    appends: list[Append] = field(default_factory=list)
    """All groups that were written, including renewals and ends. `lose_tail` removes lost ones."""
    outcome: Outcome | None = None
    """The last commit."""
    seizures: int = 0
    """How often `seize` was called."""
    tries: int = 0
    """How often `append`, `commit` and `release` were called."""
    called: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by `append`, `commit` and `release`."""

    # --- admission ---

    async def admit(
        self,
        draft: Draft,
        *,
        owner: str,
        history_tokens: int,
        lease_s: float,
        displaces: Displaces = "none",
        ending: Ending | None = None,
        met_id: str = "",
    ) -> Admitted | Attached | InTheWay:
        """See `ResponseStore.admit`."""
        response_id = draft.response.id
        has_displaced = ending is not None and self._displace(ending)
        if response_id in self.memory.deleted_ids:
            raise unknown_anchor(draft)
        kept = self.memory.responses.get(response_id)
        if kept is None:
            earlier = find_attached(self.memory, draft, owner, lease_s)
            if met := earlier or meet_active(self.memory, draft, owner, displaces, lease_s, met_id=met_id):
                return met
            check_race(self.memory, draft, owner, "" if has_displaced else met_id)
            if not draft.may_begin:
                raise MayNotBegin
            kept = begin_response(self.memory, draft, owner)
            if ending is not None and has_displaced:
                self.memory.responses[ending.outcome.response.id].displaced_by = response_id
            kept.renew_lease(lease_s)
            if draft.yields:
                self.memory.mark_reader(response_id, draft.reader_id, lease_s)
        elif kept.is_active and kept.epoch == "1":
            kept.renew_lease(lease_s)
        window, tokens = self.memory.read_window(kept.history, max_tokens=history_tokens)
        kept.model_input = replace(
            draft.model_input,
            history_items=draft.model_input.history_items + len(window),
            history_tokens=draft.model_input.history_tokens + tokens,
            dropped_items=draft.model_input.dropped_items + len(kept.history) - len(window),
        )
        return Admitted(kept.echo, "1", window, kept.model_input, has_displaced)

    def _displace(self, ending: Ending) -> bool:
        try:
            self._commit(ending.outcome, ending.last, ending.epoch)
        except (StaleRun, TailLost):
            return False
        return True

    # --- writing ---

    def append(
        self, response_id: str, group: Group, *, epoch: str, lease_s: float, is_urgent: bool = False
    ) -> asyncio.Future[None]:
        """See `ResponseStore.append`. Without a fate the future is done at once."""
        self._note_call()
        fate = self.append_fates.pop(0) if self.append_fates else None
        if fate is not None:
            return asyncio.ensure_future(self._append_late(fate, response_id, group, epoch, lease_s))
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._append(response_id, group, epoch, lease_s)
        except (StaleRun, TailLost) as refusal:
            written.set_exception(refusal)
        else:
            written.set_result(None)
        return written

    def hand(
        self, response_id: str, group: Group, *, epoch: str, lease_s: float, tell: Tell, is_urgent: bool = False
    ) -> None:
        """See `ResponseStore.hand`."""
        written = self.append(response_id, group, epoch=epoch, lease_s=lease_s, is_urgent=is_urgent)
        written.add_done_callback(lambda done: tell(_find_error(done)))

    async def _append_late(self, fate: Fate, response_id: str, group: Group, epoch: str, lease_s: float) -> None:
        await meet([fate])
        self._append(response_id, group, epoch, lease_s)

    def _append(self, response_id: str, group: Group, epoch: str, lease_s: float) -> None:
        kept = self._find_run(response_id, epoch)
        _check_joins(kept, group)
        kept.renew_lease(lease_s)
        if not group.packed:
            self._note(kept, group)
        elif kept.logged < group.last_number:
            self._write(kept, group)

    async def commit(self, outcome: Outcome, last: Group, *, owner: str, epoch: str) -> None:
        """See `ResponseStore.commit`."""
        await self._meet(self.commit_fates)
        response = outcome.response
        if response.conversation is not UNSET:
            self.memory.touch_listing(owner, response.conversation.id)
        self._commit(outcome, last, epoch)

    def _commit(self, outcome: Outcome, last: Group, epoch: str) -> None:
        response = outcome.response
        kept = self.memory.responses.get(response.id)
        if kept is not None and kept.epoch == epoch and kept.status == response.status:
            return  # the client library's second try
        kept = self._find_run(response.id, epoch)
        _check_joins(kept, last)
        if kept.is_stored and kept.root.is_closed:
            raise StaleRun
        self._end(kept, outcome)
        if last == BEHIND_ALL:
            last = Group(kept.logged, kept.logged + 1, last.packed)
        self._write(kept, last, is_last=True)
        self.outcome = outcome

    def _end(self, kept: KeptResponse, outcome: Outcome) -> None:
        kept.status, kept.result, kept.failure = outcome.response.status, outcome.result, outcome.failure
        kept.passages = outcome.passages if kept.is_stored else ()
        kept.lease_until = None
        if not kept.is_stored:
            return
        self.memory.readers.pop(kept.id, None)
        kept.history = self.memory.join(kept.history, outcome.items, kept.root)
        kept.root.use()
        conversation = find_conversation(self.memory, kept.draft.anchor)
        if conversation is not None and conversation.active_response_id == kept.id:
            conversation.active_response_id, conversation.history = None, kept.history

    def _write(self, kept: KeptResponse, group: Group, *, is_last: bool = False) -> None:
        self._note(kept, group)
        kept.log.append(Entry(group.last_number, unpack(group.packed), is_last))
        kept.waypoints.pop(group.last_number, None)
        if group.waypoint:
            kept.waypoints[group.last_number] = group.waypoint
        kept.logged = group.last_number
        self.memory.nudge(kept.id, is_news=is_last)

    def _note(self, kept: KeptResponse, group: Group) -> None:
        signals = unpack(group.packed) if group.packed else []
        now = asyncio.get_running_loop().time()
        self.appends.append(Append(kept.id, group.after, group.last_number, signals, now))

    def _find_run(self, response_id: str, epoch: str) -> KeptResponse:
        """The active response that this epoch may write. Raises StaleRun."""
        kept = self.memory.responses.get(response_id)
        if kept is None or not kept.is_active or not epoch or kept.epoch != epoch:
            raise StaleRun
        return kept

    async def _meet(self, fates: list[Fate]) -> None:
        self._note_call()
        await meet(fates)

    def _note_call(self) -> None:
        self.tries += 1
        self.called.set()

    # --- taking over ---

    async def seize(
        self, response_id: str, *, owner: str | None, lease_s: float, displaces: Displaces | None = None
    ) -> Seized | Status | None:
        """See `ResponseStore.seize`."""
        self.seizures += 1
        kept = self.memory.responses.get(response_id)
        if owner is not None and (kept is None or kept.owner != owner or not kept.is_stored):
            raise unknown_response(response_id)
        if kept is None or kept.owner is None:
            return None
        if not kept.is_active:
            kept.lease_until = None
            return kept.status
        is_leased = (kept.lease_until or 0) > time.time()
        if (owner is None and is_leased) or (displaces and self._is_spared(kept, displaces, is_leased=is_leased)):
            return None
        self._take(kept, is_cancel=owner is not None)
        kept.renew_lease(lease_s)
        return self._describe(kept, kept.owner, is_cancel=owner is not None)

    def _is_spared(self, kept: KeptResponse, displaces: Displaces, *, is_leased: bool) -> bool:
        if kept.ending == "cancelled":
            return is_leased
        return displaces == "abandoned" and not does_give_way(self.memory, kept)

    def _take(self, kept: KeptResponse, *, is_cancel: bool) -> None:
        kept.epoch = f"{int(kept.epoch.partition('.')[0]) + 1}.{secrets.token_hex(8)}"
        if is_cancel:
            kept.ending = "cancelled"
        elif not kept.is_released:
            kept.attempts += 1
        kept.is_released = False
        self.memory.let_go(kept.id, kept.epoch)

    def _describe(self, kept: KeptResponse, owner: str, *, is_cancel: bool) -> Seized:
        account = kept.model_input
        window, _ = self.memory.read_window(
            kept.history, max_tokens=account.history_tokens, max_items=account.history_items
        )
        return Seized(
            response=kept.echo,
            owner=owner,
            input=kept.draft.input,
            model_request=kept.model_request,
            model_input=account,
            epoch=kept.epoch,
            attempts=kept.attempts,
            ending=cast(Literal["", "cancelled", "failed"], kept.ending),
            window=[] if is_cancel else window,
        )

    async def release(self, response_id: str, *, epoch: str, is_broken: bool) -> None:
        """See `ResponseStore.release`."""
        await self._meet(self.release_fates)
        kept = self._find_run(response_id, epoch)
        kept.is_released, kept.lease_until = True, 0
        kept.ending = "failed" if is_broken else kept.ending
        self.released.append(is_broken)

    async def list_lost(self) -> Sequence[str]:
        """See `ResponseStore.list_lost`."""
        now = time.time()
        responses = self.memory.responses.values()
        return [kept.id for kept in responses if kept.lease_until is not None and kept.lease_until <= now]

    # --- reading and removing ---

    async def get(self, response_id: str, *, owner: str) -> StoredResponse:
        """See `ResponseStore.get`."""
        await meet(self.get_fates)
        kept = self.memory.find_response(response_id, owner)
        return StoredResponse(kept.status, kept.result or encode(kept.echo), kept.failure, is_stored=kept.is_stored)

    async def get_passages(self, response_id: str, *, owner: str) -> Sequence[Passage]:
        """See `ResponseStore.get_passages`."""
        return [*self.memory.find_response(response_id, owner).passages]

    async def is_kept(self, response_id: str, *, owner: str) -> bool:
        """See `ResponseStore.is_kept`."""
        kept = self.memory.responses.get(response_id)
        return kept is not None and kept.owner == owner and kept.is_stored

    async def delete(self, response_id: str, *, owner: str) -> None:
        """See `ResponseStore.delete`."""
        kept = self.memory.find_response(response_id, owner)
        if not kept.is_stored:
            raise unknown_response(response_id)
        self.memory.deleted_ids.add(response_id)
        conversation = find_conversation(self.memory, kept.draft.anchor)
        if conversation is not None and conversation.active_response_id == response_id:
            conversation.active_response_id = None
        self.memory.drop_response(kept)
        if kept.root.conversation_id is None and not self.memory.is_used(kept.root):
            kept.root.is_due = True  # nobody can reach its history any more

    async def discard(self, response_id: str) -> None:
        """See `ResponseStore.discard`."""
        self.memory.responses.pop(response_id, None)

    # --- not part of the port ---

    def lose_tail(self, response_id: str, last_number: int) -> None:
        """Lose the log above this number, as in a fail-over to a replica of Redis that lagged behind."""
        kept = self.memory.responses[response_id]
        kept.log = [entry for entry in kept.log if entry.last_number <= last_number]
        kept.logged = last_number
        self.appends = [
            append for append in self.appends if append.response_id != response_id or append.last_number <= last_number
        ]


def _find_error(done: asyncio.Future[None]) -> BaseException | None:
    return asyncio.CancelledError() if done.cancelled() else done.exception()


def _check_joins(kept: KeptResponse, group: Group) -> None:
    if kept.logged < group.after:
        raise TailLost(kept.logged)
