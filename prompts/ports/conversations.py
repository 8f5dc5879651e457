"""The store of conversations and their items, and histories read without a turn."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol

from prompts.domain.anchors import AfterResponse, InConversation
from prompts.domain.conversations import Conversation, Metadata
from prompts.domain.items import Item
from prompts.ports.pages import Page

# What the items that a request names by their ids may hold: as much as it may bring itself (docs/api.md, "Limits").
MAX_NAMED_BYTES = 10 * 1024 * 1024
# So many conversations, the last used ones, are looked at by one search for titles: 50 ms of a process.
MAX_LOOKED_AT = 10_000


class Histories(Protocol):
    """Histories, read without beginning a turn."""

    async def read(
        self, anchor: InConversation | AfterResponse, *, owner: str, max_tokens: int | None
    ) -> Sequence[Item]:
        """The history behind the anchor, oldest first: its newest items up to so many tokens, or all.

        Raises NotFound, ResponseNotEnded, InvalidRequest (more items than can be read at once), Unavailable.
        """


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
        """Delete it at once; what it holds is erased later, in slices. Raises NotFound."""

    async def fork(
        self,
        conversation_id: str,
        origin_id: str,
        *,
        owner: str,
        side: Literal["before", "after"] | None,
        item_id: str,
        metadata: Metadata | None = None,
        title: str | None = None,
    ) -> Conversation:
        """A new conversation with the history of another, up to an item or all of it.

        It has the metadata and the title of its origin, where it is given none. Raises NotFound.
        """

    async def list(
        self,
        *,
        owner: str,
        limit: int,
        after: str | None,
        behind_ms: int | None = None,
        forked_from: str | None = None,
        words: Sequence[str] = (),
        said_in: Collection[str] = (),
    ) -> tuple[Sequence[Conversation], bool]:
        """The owner's conversations with `last_used_ms`, last used first, and whether there are more.

        `behind_ms` leaves those that were used before, in place of `after`. `forked_from` leaves the forks of one, the
        newest first. `words` leaves those that have them all in their title, or are `said_in`, of the first
        `MAX_LOOKED_AT`. Raises NotFound for an unknown `after` or `forked_from`.
        """

    async def find_last_use(self, conversation_id: str, *, owner: str) -> int | None:
        """When it was used last, in milliseconds since 1970, as the list has it; None when it is not in the list."""

    async def find_let_go(self, lineages: Mapping[str, Sequence[str]]) -> Collection[str]:
        """Of conversations by their ids, each with its origins, those that the store has let go.

        They are not there, and neither they nor an origin was deleted, as far as the archive may not know yet.
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
        """One item of the conversation, its JSON as it is shown. Raises NotFound."""

    async def find_items(self, item_ids: Sequence[str], *, owner: str) -> Sequence[Item | None]:
        """The owner's items of these ids, in this order, from any history, with what is kept with them.

        None for each that is unknown. Raises BodyTooLarge when they hold more than a request may bring.
        """

    async def delete_item(self, conversation_id: str, item_id: str, *, owner: str) -> None:
        """Erase one item of the history. Raises NotFound."""
