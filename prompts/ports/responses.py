"""The store of responses and of the timelines they join, and the values that cross its border."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from prompts.domain.anchors import Anchor
from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.passages import Passage
from prompts.domain.responses import ModelInput, Response, Status
from prompts.ports.event_log import Group

Tell: TypeAlias = Callable[[BaseException | None], object]
"""Is told once that a group is written, or what became of it; raises nothing."""


class Claim(Struct, frozen=True):
    """What tells a retry from a new request: the key the client chose, and the hash of what it asked for."""

    body_hash: str
    idempotency_key: str | None = None
    is_retry: bool = False
    """The client library tries again by itself (`x-stainless-retry-count`)."""


class Draft(Struct, frozen=True):
    """A response that is about to be admitted: everything but what Redis decides (the time, the window)."""

    response: Response
    model_request: ModelRequest
    input: Sequence[Item]
    anchor: Anchor
    claim: Claim
    model_input: ModelInput
    """The account as far as it is known by now: the history is added by admission."""
    last_opening_number: int
    unanswered: Sequence[str] = ()
    """Ids of calls that somebody must have made in the history."""
    reader_id: str = ""
    """Who reads the response from its admission on (`prompts/ports/reader_marks.py`)."""
    may_begin: bool = True
    """Whether there is a response to begin; if not, a retry is only attached to what its first request has made."""

    @property
    def yields(self) -> bool:
        """Whether the response is to give way to the next turn when nobody reads it."""
        return self.response.store and not self.response.background


class Admitted(Struct, frozen=True):
    """What admission gives back. `window` is the history in order, oldest first, within the token budget."""

    response: Response
    epoch: str
    window: Sequence[Item]
    model_input: ModelInput
    has_displaced: bool = False
    """Whether the ending that came with it was written."""


@dataclass(frozen=True, slots=True)
class Attached:
    """The request was made before: this is the response it belongs to. In progress, it is marked as read."""

    response_id: str


# Which active responses give way to a turn: one that nobody reads is abandoned.
Displaces: TypeAlias = Literal["none", "abandoned", "any"]


@dataclass(frozen=True, slots=True)
class InTheWay:
    """An active response that gives way: seize it, and admit again with its ending.

    It `is_ending` when somebody else is cancelling it at this moment: wait for its end, and admit again. The history
    lacks `missing_calls`, whose outputs are in the input, unless that response makes them.
    """

    response_id: str
    is_ending: bool = False
    missing_calls: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a response failed, in the words of its own request's error."""

    code: str
    type: str
    status: int
    message: str
    retry_after_s: float | None = None


class Outcome(Struct, frozen=True):
    """How a run ended: the ended response, its JSON as it will always be shown, and what joins the timeline.

    The `items` may have what nobody is shown (`prompts/domain/kept_thoughts.py`). `passages` are what the model was
    given.
    """

    response: Response
    result: bytes
    items: Sequence[Item]
    failure: Failure | None = None
    passages: Sequence[Passage] = ()
    first_token_ms: int | None = None
    """From the start of the run to the first word; None when no process knows, as after a takeover."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a response that was seized under `epoch`: as `ResponseStore.commit` takes it."""

    outcome: Outcome
    last: Group
    epoch: str


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as it stands; `body` is its JSON, for an ended one the very bytes of its terminal event."""

    status: Status
    body: bytes
    failure: Failure | None = None
    is_stored: bool = True
    """Whether it can be had by its id; if not, it is only here until it is delivered."""


@dataclass(frozen=True, slots=True)
class Seized:
    """An active response taken out of its run's hands: from here on, only `epoch` may write to it.

    `attempts` is how many runs it has had, this one included; a run that handed it over does not count. `ending` says
    that it is not to go on but to end: its owner has cancelled it, or its log has lost what was shown of it. `window`
    is what its run was given, oldest first; it is not read for a cancellation.
    """

    response: Response
    owner: str
    input: Sequence[Item]
    model_request: ModelRequest
    model_input: ModelInput
    epoch: str
    attempts: int
    ending: Literal["", "cancelled", "failed"]
    window: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An active response that was seized, and of which something cannot be read: it can only be ended.

    `response` is what can be read of it, at the least its id and its time.
    """

    response: Response
    owner: str
    epoch: str
    attempts: int
    ending: Literal["", "cancelled", "failed"]


class ResponseStore(Protocol):
    """Responses and the timelines they join, every change in one atomic step."""

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
        """Create the response, take its conversation and lease, and give back the window; or attach a retry.

        `displaces` says which active response of the conversation, or the chain, is named instead of refused. Its
        `ending` is written in the same step; it is left out when another was quicker, and then admission looks anew. An
        abandoned response of the same body is attached to. `met_id` is a response that was in the way before: when it
        has ended since, uncancelled, the conversation stays locked for this turn, so that of several at once one wins.
        Raises NotFound (conversation, previous response), UnknownCall, ConversationLocked, ResponseNotEnded, KeyReused,
        MayNotBegin, Unavailable.
        Cancelled in flight, the response may exist without a run; its lease then expires.
        """

    def append(
        self, response_id: str, group: Group, *, epoch: str, lease_s: float, is_urgent: bool = False
    ) -> asyncio.Future[None]:
        """Add one group to the response's log, and see to it that at least nine tenths of its lease are left.

        Groups of several responses are written together; while much is going on they wait some milliseconds for each
        other. One that `is_urgent` does not wait: its reader has seen nothing for a while. The same call again changes
        nothing. The future raises StaleRun, TailLost, Unavailable; cancelled, the group may be written all the same. It
        is called in an event loop, and makes no task.
        """
        ...

    def hand(
        self, response_id: str, group: Group, *, epoch: str, lease_s: float, tell: Tell, is_urgent: bool = False
    ) -> None:
        """The same, for whoever has a group for each token: `tell` is called with None, or with what `append` raises.

        The event loop calls it, later, in no task's name and in no task's context.
        """

    async def commit(self, outcome: Outcome, last: Group, *, owner: str, epoch: str) -> None:
        """End the response: status, output, timeline, conversation, log, lease, all at once, and once.

        `last` is what the log still lacks, its end; or `BEHIND_ALL`. Raises StaleRun, TailLost, Unavailable.
        """

    async def seize(
        self, response_id: str, *, owner: str | None, lease_s: float, displaces: Displaces | None = None
    ) -> Seized | Unreadable | Status | None:
        """Take an active response out of its run's hands, and tell its replica to let go.

        `owner` is whoever cancels it, or None for a response whose lease has expired. Gives the status of one that has
        ended already, None for one whose lease is alive, or that is gone. With `displaces`, the owner's next turn takes
        it: None also for one that does not give way, or that somebody else is cancelling at this moment.
        Raises NotFound (to an owner), Unavailable.
        """

    async def release(self, response_id: str, *, epoch: str, is_broken: bool) -> None:
        """Let another replica take the response over at once: to go on with it, or `is_broken`, to end it as failed.

        Raises StaleRun, Unavailable.
        """

    async def get(self, response_id: str, *, owner: str) -> StoredResponse:
        """The response as it stands. Raises NotFound, Unavailable."""

    async def get_passages(self, response_id: str, *, owner: str) -> Sequence[Passage]:
        """What the model of an ended response was given; none while it is active. Raises NotFound, Unavailable."""

    async def is_kept(self, response_id: str, *, owner: str) -> bool:
        """Whether the owner has such a response, and it is stored. It reads nothing of it. Raises Unavailable."""

    async def delete(self, response_id: str, *, owner: str) -> None:
        """Erase the response, its input and its log; a run of it ends. Raises NotFound, Unavailable."""

    async def discard(self, response_id: str) -> None:
        """Erase a response that is not stored: it was delivered, or its client has left.

        Raises Unavailable.
        """

    async def list_lost(self) -> Sequence[str]:
        """Responses whose lease has expired, some of each partition. Raises Unavailable."""
