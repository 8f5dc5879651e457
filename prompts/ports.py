"""What the core needs from Redis and from a model: Protocols that the adapters implement.

All of them raise `prompts.errors.ServiceError`s and nothing else that is foreign; cancelling a call leaves nothing half
done beyond what its docstring says.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from prompts.domain import (
    CompactedHistory,
    Conversation,
    Feedback,
    Item,
    Metadata,
    Model,
    ModelInput,
    ModelRequest,
    Response,
    Score,
    Status,
)
from prompts.signals import Signal

Answer: TypeAlias = AsyncIterator[list[Signal]]
"""The model's signals in the groups they arrived in; ends after a `Finished`, or raises."""


SealKind: TypeAlias = Literal["reasoning", "compaction"]
"""What a sealed text is."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What tells a retry from a new request: the key the client chose, and the hash of what it asked for."""

    body_hash: str
    idempotency_key: str | None = None
    is_retry: bool = False
    """The client library tries again by itself (`x-stainless-retry-count`)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A response that is about to be admitted: everything but what Redis decides (the time, the window)."""

    response: Response
    model_request: ModelRequest
    input: Sequence[Item]
    conversation_id: str | None
    previous_response_id: str | None
    claim: Claim
    model_input: ModelInput
    """The account as far as it is known by now: the history is added by admission."""
    last_opening_number: int
    unanswered: Sequence[str] = ()
    """Ids of calls that somebody must have made in the history."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What admission gives back. `window` is the history in order, oldest first, within the token budget."""

    response: Response
    epoch: str
    window: Sequence[Item]
    model_input: ModelInput


@dataclass(frozen=True, slots=True)
class Attached:
    """The request was made before: this is the response it belongs to."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a response failed, as the request that made it was told."""

    code: str
    type: str
    status: int
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the ended response, its JSON as it will always be shown, and what joins the timeline."""

    response: Response
    result: bytes
    items: Sequence[Item]
    failure: Failure | None = None


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
class Group:
    """What is written to a log at once: packed signals, and the sequence numbers of their events, (after, last_number].

    Without signals it says nothing, and only keeps the lease.
    """

    after: int
    last_number: int
    packed: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One group of a log as it is read; the last one of a response `is_last`."""

    last_number: int
    signals: Sequence[Signal]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, in the order asked for; each entry's JSON as stored."""

    data: Sequence[bytes]
    first_id: str | None
    last_id: str | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """A response as the last word of its conversation: what was asked of which model, and the history up to its end.

    `window` is oldest first, within a token budget; empty while the response is written, and when it has failed.
    """

    status: Status
    instructions: str | None
    model_request: ModelRequest
    window: Sequence[Item]


class ResponseStore(Protocol):
    """Responses and the timelines they join, every change in one atomic step."""

    async def admit(self, draft: Draft, *, owner: str, history_tokens: int, lease_s: float) -> Admitted | Attached:
        """Create the response, take its conversation and lease, and give back the window; or say whose retry this is.

        Raises NotFound (conversation, previous response), UnknownCall, ConversationLocked, ResponseNotEnded, KeyReused,
        Unavailable.
        Cancelled in flight, the response may exist without a run; its lease then expires.
        """

    async def append(self, response_id: str, group: Group, *, epoch: str, lease_s: float) -> None:
        """Add one group to the response's log and renew its lease.

        The same call again changes nothing. Raises StaleRun, TailLost, Unavailable.
        """

    async def commit(self, outcome: Outcome, last: Group, *, owner: str, epoch: str) -> None:
        """End the response: status, output, timeline, conversation, log, lease, all at once, and once.

        `last` is what the log still lacks, its end. Raises StaleRun, TailLost, Unavailable.
        """

    async def seize(self, response_id: str, *, owner: str | None, lease_s: float) -> Seized | Status | None:
        """Take an active response out of its run's hands, and tell its replica to let go.

        `owner` is whoever cancels it, or None for a response whose lease has expired. Gives the status of one that has
        ended already, None for one whose lease is alive, or that is gone. Raises NotFound (to an owner), Unavailable.
        """

    async def release(self, response_id: str, *, epoch: str, is_broken: bool) -> None:
        """Let another replica take the response over at once: to go on with it, or `is_broken`, to end it as failed.

        Raises StaleRun, Unavailable.
        """

    async def get(self, response_id: str, *, owner: str) -> StoredResponse:
        """The response as it stands. Raises NotFound, Unavailable."""

    async def delete(self, response_id: str, *, owner: str) -> None:
        """Erase the response, its input and its log; a run of it ends. Raises NotFound, Unavailable."""

    async def discard(self, response_id: str) -> None:
        """Erase a response that was not to be stored, when it is delivered or nobody is there for it.

        Raises Unavailable.
        """

    async def list_lost(self) -> Sequence[str]:
        """Responses whose lease has expired. Raises Unavailable."""


class ResponseNotes(Protocol):
    """What is kept with a response beside its answer, for as long as it is kept; what is not stored has none."""

    async def list_input(
        self, response_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> Page:
        """One page of what the response was asked. Raises NotFound (the response, or the item `after`), Unavailable."""

    async def find_follow_ups(self, response_id: str, *, owner: str, history_tokens: int) -> Sequence[str] | Exchange:
        """The questions that are kept, or what they are to be made from. Raises NotFound, Unavailable."""

    async def keep_follow_ups(self, response_id: str, questions: Sequence[str], *, owner: str) -> Sequence[str]:
        """Keep these, unless some are kept already; gives those that are. Raises NotFound, Unavailable."""

    async def put_feedback(self, response_id: str, *, owner: str, score: Score, comment: str | None) -> Feedback:
        """Keep what a person thinks of it, in place of what they thought before. Raises NotFound, Unavailable."""

    async def find_feedback(self, response_id: str, *, owner: str) -> Feedback | None:
        """What a person thought of it last, if anybody said so. Raises NotFound, Unavailable."""


class Histories(Protocol):
    """What a turn would continue, read without one."""

    async def read(
        self, *, owner: str, conversation_id: str | None, previous_response_id: str | None, max_tokens: int | None
    ) -> Sequence[Item]:
        """The history behind one of the two, oldest first: its newest items up to so many tokens, or all.

        Raises NotFound, ResponseNotEnded, InvalidRequest (more items than can be read at once), Unavailable.
        """


class Compactions(Protocol):
    """Compactions that a turn can continue from."""

    async def find(self, claim: Claim, partition: str, *, owner: str, anchor_id: str | None) -> Attached | None:
        """The compaction that the same request was given before. Raises KeyReused, Unavailable."""

    async def keep(
        self, compacted: CompactedHistory, given: Sequence[Item], claim: Claim, *, owner: str, anchor_id: str | None
    ) -> Attached | None:
        """Make it a response that has ended, whose history is its output and whose input was `given`.

        Gives the one that the same request was given meanwhile, and keeps nothing then. Raises KeyReused, Unavailable.
        """


class EventLog(Protocol):
    """The logs of all responses, wherever they are written."""

    async def get_echo(self, response_id: str, *, owner: str) -> Response:
        """The response as it was created. Raises NotFound, Unavailable."""

    async def read(self, response_id: str, *, after: int) -> Sequence[Entry]:
        """A stretch of the log: entries whose last number is above `after`, oldest first; empty when there are none.

        `after` is the last number of an entry, or -1. Raises StreamExpired when the log goes on without that entry (a
        fail-over has lost it), Unavailable.
        """

    def watch(self, response_id: str) -> AbstractAsyncContextManager["Watch"]:
        """Be told when the log has grown, for as long as the context lasts."""


class Watch(Protocol):
    """Says that something has happened since it was last asked."""

    async def wait(self, within_s: float) -> bool:
        """True as soon as the log has grown, False after `within_s`."""

    async def wait_released(self, within_s: float) -> bool:
        """True as soon as the response's replica has closed its connection to the model, False after `within_s`."""


class ConversationStore(Protocol):
    """Conversations and their items."""

    async def create(
        self, conversation_id: str, *, owner: str, metadata: Metadata, items: Sequence[Item], title: str | None = None
    ) -> Conversation:
        """Make a conversation with its first items."""

    async def get(self, conversation_id: str, *, owner: str) -> Conversation:
        """The conversation. Raises NotFound."""

    async def update(
        self, conversation_id: str, *, owner: str, metadata: Metadata, title: str | None = None
    ) -> Conversation:
        """Replace the metadata, and the title when there is one; an empty one takes it away. Raises NotFound."""

    async def delete(self, conversation_id: str, *, owner: str) -> None:
        """Gone from this moment; what hangs below it is erased in slices. Raises NotFound."""

    async def fork(
        self, conversation_id: str, origin_id: str, *, owner: str, side: Literal["before", "after"] | None, item_id: str
    ) -> Conversation:
        """A new conversation with the history of another, up to an item or all of it. Raises NotFound."""

    async def list(self, *, owner: str, limit: int, after: str | None) -> tuple[Sequence[Conversation], bool]:
        """The owner's conversations, last used first, and whether there are more.

        Raises NotFound for an unknown `after`.
        """

    async def add_items(
        self, conversation_id: str, *, owner: str, items: Sequence[Item], unanswered: Sequence[str] = ()
    ) -> None:
        """Append items; the `unanswered` calls must have been made before.

        Raises NotFound, UnknownCall, ConversationLocked while a response is active.
        """

    async def list_items(
        self, conversation_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> Page:
        """One page of the items. Raises NotFound (the conversation, or the item `after`)."""

    async def get_item(self, conversation_id: str, item_id: str, *, owner: str) -> bytes:
        """One item of the conversation, its JSON as stored. Raises NotFound."""

    async def find_items(self, item_ids: Sequence[str], *, owner: str) -> Sequence[Item | None]:
        """Items of the owner's, wherever they are, in this order; None for what is not there."""

    async def delete_item(self, conversation_id: str, item_id: str, *, owner: str) -> None:
        """Erase one item of the history. Raises NotFound."""


class Eraser(Protocol):
    """Erases what is due, in slices that hold nobody up."""

    async def list_due(self, near: str | None = None) -> Sequence[str]:
        """Some of what is to be erased now, each a handle for `erase_slice`; `near` an id: what could hang below it.

        Empty when nothing is due any more. Raises Unavailable.
        """

    async def erase_slice(self, due: str) -> bool:
        """Erase some of it; whether more is left. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key a request carries, and what is left of their requests a minute (limit 0: there is no limit)."""

    owner: str
    may_ask: bool
    limit: int
    remaining: int
    reset_s: float


class ApiKeys(Protocol):
    """The published copy of the API keys."""

    async def find_caller(self, key: str) -> Caller | None:
        """Whose key this is, counting this request; None when it is not valid."""

    async def published(self) -> dict[str, str]:
        """Everything that is published: the key's hash → its owner."""

    async def publish(self, *, added: Mapping[str, str], removed: Sequence[str]) -> None:
        """Make keys valid (hash → owner) and invalid (hashes), in one step."""


class Sealer(Protocol):
    """Seals texts that clients carry and must neither read nor change; another owner's or another kind's opens not."""

    def seal(self, owner: str, kind: SealKind, text: str) -> str:
        """The text, sealed, in characters that any JSON or URL can hold; the same text gives another seal each time."""

    def open(self, owner: str, kind: SealKind, sealed: str) -> str:
        """The text again, on any replica. Raises BrokenSeal."""


class Calibration(Protocol):
    """What models report of tokens, as a multiple of what we estimate; all replicas learn it together."""

    def get_factor(self, model: str) -> float:
        """The multiple for this model, as it was some seconds ago; 1.0 while nobody knows."""

    def learn(self, model: str, *, estimated: int, reported: int) -> None:
        """Note what an answer has shown; it is told to the other replicas later, and lost with this process."""


class ChatModel(Protocol):
    """A model that continues a list of items."""

    def stream(
        self, request: ModelRequest, items: Sequence[Item], *, shown: str = ""
    ) -> AbstractAsyncContextManager[Answer]:
        """Ask for what follows on these items, and open the answer; leaving the context closes the connection.

        `shown`: what of this very answer is written already; it goes on after that, and only what is new is given.

        Raises, on entering or while iterating: RateLimited, UpstreamError, UpstreamTimeout, InvalidPrompt.
        """

    async def list_models(self) -> Sequence[Model]:
        """The models that may be asked for, at most a minute old; empty when the model's server does not say."""
