"""Conversations that the store has let go, and the archive still has."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from prompts.domain.conversations import Conversation
from prompts.errors import unknown_conversation


@dataclass(frozen=True, slots=True)
class PastConversation:
    """A conversation with its last use, as it was archived, and the ids of those that it goes with: its origins."""

    conversation: Conversation
    origins: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a list, last used first: behind the conversation that was used then."""

    used_ms: int
    conversation_id: str


class PastConversations(Protocol):
    """Lists them. The methods that ask raise Unavailable, within two seconds."""

    def find_newest_ms(self) -> int:
        """Nothing that was used later was let go; milliseconds since 1970. Nobody is asked."""

    async def find_place(self, conversation_id: str, *, owner: str) -> Place:
        """Where it stands. Raises NotFound for what is not the owner's, naming `after`."""

    async def list(
        self,
        *,
        owner: str,
        behind: Place | None,
        limit: int,
        words: Sequence[str] = (),
        said_in: Collection[str] = (),
    ) -> Sequence[PastConversation]:
        """The owner's, last used first; `words` and `said_in` as those of `ConversationStore.list`.

        Some of them may be in the store again, or deleted a moment ago: the store knows.
        """


class NothingPast:
    """`PastConversations` without an archive: what is let go is gone."""

    def find_newest_ms(self) -> int:
        """See `PastConversations.find_newest_ms`."""
        return 0

    async def find_place(self, conversation_id: str, *, owner: str) -> Place:
        """See `PastConversations.find_place`."""
        raise unknown_conversation(conversation_id, param="after")

    async def list(
        self,
        *,
        owner: str,
        behind: Place | None,
        limit: int,
        words: Sequence[str] = (),
        said_in: Collection[str] = (),
    ) -> Sequence[PastConversation]:
        """See `PastConversations.list`."""
        return ()
