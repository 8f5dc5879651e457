"""Conversations and responses as the fakes store them.

A history is a tuple, which never changes, so forks and branches share it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec.structs import replace

from prompts.domain import ids
from prompts.domain.conversations import Conversation, Metadata
from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.passages import Passage
from prompts.domain.responses import Feedback, ModelInput, Response, Status
from prompts.ports.event_log import Entry
from prompts.ports.responses import Draft, Failure

History: TypeAlias = tuple[Item, ...]


@dataclass(eq=False)
class Root:
    """The root of all that is erased together: a chain of responses, or a conversation with its turns and forks."""

    id: str
    owner: str
    conversation_id: str | None = None
    """None for a chain."""
    parent: "Root | None" = None
    """The root of the conversation that it was forked from."""
    is_deleted: bool = False
    is_due: bool = False
    """Whether its retention is over."""

    @property
    def top(self) -> "Root":
        """The root whose retention counts: a fork is kept as long as its origin."""
        return self.parent.top if self.parent else self

    @property
    def is_closed(self) -> bool:
        """Whether nothing new may be added. As in Redis, only the root itself and the top one are asked."""
        return self.is_deleted or self.top.is_deleted

    def use(self) -> None:
        """Start the retention again."""
        self.top.is_due = False


@dataclass(eq=False)
class KeptConversation:
    """A stored conversation."""

    id: str
    owner: str
    created_at: int
    metadata: Metadata
    title: str | None
    root: Root
    history: History
    active_response_id: str | None = None
    forked_from: str | None = None

    @property
    def shown(self) -> Conversation:
        """The conversation as the port returns it."""
        return Conversation(
            id=self.id,
            created_at=self.created_at,
            metadata=self.metadata,
            title=self.title or None,
            active_response_id=self.active_response_id,
            forked_from=self.forked_from,
        )


@dataclass(eq=False)
class KeptResponse:
    """A stored response with its log."""

    draft: Draft
    owner: str | None
    """None when its conversation was deleted while it was active: nobody may read it any more."""
    created_at: int
    root: Root
    history: History
    """The history before the response; after its end, the history including it."""
    model_input: ModelInput
    log: list[Entry]
    logged: int
    """The last sequence number in the log."""
    status: Status = "in_progress"
    epoch: str = "1"
    attempts: int = 1
    ending: str = ""
    is_released: bool = False
    displaced_by: str | None = None
    lease_until: float | None = None
    """End of the lease, by `time.time()`. None: no lease."""
    result: bytes = b""
    failure: Failure | None = None
    passages: Sequence[Passage] = ()
    waypoints: dict[int, bytes] = field(default_factory=dict)
    """Packed, by the last number of the entry that they stand behind."""
    follow_ups: Sequence[str] | None = None
    feedback: Feedback | None = None

    @property
    def id(self) -> str:
        return self.draft.response.id

    @property
    def echo(self) -> Response:
        """The response as it was created."""
        return replace(self.draft.response, created_at=self.created_at)

    @property
    def model_request(self) -> ModelRequest:
        return self.draft.model_request

    @property
    def is_stored(self) -> bool:
        return self.draft.response.store

    @property
    def is_active(self) -> bool:
        return self.status == "in_progress"

    def renew_lease(self, lease_s: float) -> None:
        """Set the end of the lease."""
        self.lease_until = time.time() + lease_s


def new_root(near: str, owner: str, *, conversation_id: str | None = None, parent: Root | None = None) -> Root:
    """A new root in the partition of the id `near`."""
    return Root(ids.new_id(ids.TIMELINE, ids.get_partition(near)), owner, conversation_id, parent)
