"""What the core needs from Redis and from a model: Protocols that the adapters implement.

All of them raise `prompts.errors.ServiceError`s and nothing else that is foreign; cancelling a call leaves nothing half
done beyond what its docstring says.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from prompts.domain import Conversation, Item, Metadata, Model, ModelMessage, ModelRequest, Response, Status
from prompts.events import Signal

Answer: TypeAlias = AsyncIterator[list[Signal]]
"""The model's signals in the groups they arrived in; ends after a `Finished`, or raises."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A response that is about to be admitted: everything but what Redis decides (the time, the window)."""

    response: Response
    model_request: ModelRequest
    input: Sequence[Item]
    conversation_id: str | None
    previous_response_id: str | None


@dataclass(frozen=True, slots=True)
class Admitted:
    """What admission gives back. `window` is the history in order, oldest first, within the token budget."""

    response: Response
    epoch: int
    window: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the ended response, its JSON as it will always be shown, and what joins the timeline."""

    response: Response
    result: bytes
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as it stands; `body` is its JSON, for an ended one the very bytes of its terminal event."""

    status: Status
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, in the order asked for; each entry's JSON as stored."""

    data: Sequence[bytes]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ResponseStore(Protocol):
    """Responses and the timelines they join, every change in one atomic step."""

    async def admit(self, draft: Draft, *, owner: str, history_tokens: int, lease_s: float) -> Admitted:
        """Create the response, take its conversation and lease, and give back the window.

        Raises NotFound (conversation, previous response), ConversationLocked, ResponseNotEnded, Unavailable.
        Cancelled in flight, the response may exist without a run; its lease then expires.
        """

    async def append(self, response_id: str, *, epoch: int, lease_s: float, last_number: int, signals: bytes) -> None:
        """Add one group to the response's log and renew its lease.

        `signals` is a JSON array; `last_number` the sequence number of the group's last event. The same call again
        changes nothing. Raises StaleRun, Unavailable.
        """

    async def commit(self, outcome: Outcome, *, owner: str, epoch: int, last_number: int, signals: bytes) -> None:
        """End the response: status, output, timeline, conversation, log, lease, all at once, and once.

        Raises StaleRun, Unavailable.
        """

    async def get(self, response_id: str, *, owner: str) -> StoredResponse:
        """The response as it stands. Raises NotFound, Unavailable."""


class ConversationStore(Protocol):
    """Conversations and their items."""

    async def create(
        self, conversation_id: str, *, owner: str, metadata: Metadata, items: Sequence[Item]
    ) -> Conversation:
        """Make a conversation with its first items."""

    async def get(self, conversation_id: str, *, owner: str) -> Conversation:
        """The conversation. Raises NotFound."""

    async def update(self, conversation_id: str, *, owner: str, metadata: Metadata) -> Conversation:
        """Replace the metadata. Raises NotFound."""

    async def list(self, *, owner: str, limit: int, after: str | None) -> tuple[Sequence[Conversation], bool]:
        """The owner's conversations, last used first, and whether there are more.

        Raises NotFound for an unknown `after`.
        """

    async def add_items(self, conversation_id: str, *, owner: str, items: Sequence[Item]) -> None:
        """Append items. Raises NotFound, ConversationLocked while a response is active."""

    async def list_items(
        self, conversation_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> Page:
        """One page of the items. Raises NotFound (the conversation, or the item `after`)."""


class ApiKeys(Protocol):
    """The published copy of the API keys."""

    async def find_owner(self, key: str) -> str | None:
        """Whose key this is, or None when it is not valid."""

    async def published(self) -> dict[str, str]:
        """Everything that is published: the key's hash → its owner."""

    async def publish(self, *, added: Mapping[str, str], removed: Sequence[str]) -> None:
        """Make keys valid (hash → owner) and invalid (hashes), in one step."""


class ChatModel(Protocol):
    """A model that continues a list of messages."""

    def stream(self, request: ModelRequest, messages: Sequence[ModelMessage]) -> AbstractAsyncContextManager[Answer]:
        """Ask, and open the answer; leaving the context closes the connection to the model.

        Raises, on entering or while iterating: RateLimited, UpstreamError, UpstreamTimeout, InvalidPrompt.
        """

    async def list_models(self) -> Sequence[Model]:
        """The models that may be asked for, at most a minute old; empty when the model's server does not say."""
