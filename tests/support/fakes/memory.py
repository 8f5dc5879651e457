"""The memory that all fakes of one test share, as the adapters share one Redis.

The suites in `tests/contract` run on the fakes and on Redis, so both behave alike.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prompts.domain.conversations import Conversation
from prompts.domain.item_kinds import find_made_call
from prompts.domain.items import Item
from prompts.errors import NotFound, UnknownCall, unknown_conversation, unknown_response
from prompts.history.estimates import estimate_tokens
from prompts.ports.event_log import Entry
from prompts.ports.responses import Draft
from tests.support.fakes.records import History, KeptConversation, KeptResponse, Root
from tests.support.fakes.watch import FakeWatch


def _ignore(_response_id: str, _epoch: str) -> None:
    """No process listens."""


@dataclass
class Memory:
    """Conversations, responses and their items.

    `let_go` is called with the id of each response that its run must stop writing, and the epoch that took it: as by
    `Nudges.listen`.
    """

    conversations: dict[str, KeptConversation] = field(default_factory=dict)
    responses: dict[str, KeptResponse] = field(default_factory=dict)
    roots: dict[str, Root] = field(default_factory=dict)
    deleted_ids: set[str] = field(default_factory=set)
    """Ids of deleted conversations, responses and items. A late retry does not create them again."""
    claims: dict[tuple[str, str, str, str], tuple[str, str]] = field(default_factory=dict)
    """Partition, owner, anchor and idempotency key → response id and hash of the body."""
    items: dict[str, tuple[Item, Root]] = field(default_factory=dict)
    used_at: dict[str, int] = field(default_factory=dict)
    listings: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Each owner's conversations, last used first."""
    readers: defaultdict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Each response's readers, and the deadline of each one's mark, by `time.time()`."""
    watches: defaultdict[str, set[FakeWatch]] = field(default_factory=lambda: defaultdict(set))
    let_go: Callable[[str, str], None] = _ignore
    are_nudges_lost: bool = False
    """Whether watches are not nudged, as while the subscription to Redis is broken."""

    # --- responses ---

    def place(self, draft: Draft, *, owner: str, root: Root, history: History, created_at: int) -> KeptResponse:
        """Add an active response. Its log has the opening; it has no lease yet."""
        opening = Entry(draft.last_opening_number, [], is_last=False)
        kept = KeptResponse(
            draft=draft,
            owner=owner,
            created_at=created_at,
            root=root,
            history=history,
            model_input=draft.model_input,
            log=[opening],
            logged=opening.last_number,
        )
        self.responses[kept.id] = kept
        return kept

    def find_response(self, response_id: str, owner: str) -> KeptResponse:
        """The owner's response. Raises NotFound."""
        kept = self.responses.get(response_id)
        if kept is None or kept.owner != owner:
            raise unknown_response(response_id)
        return kept

    def drop_response(self, kept: KeptResponse) -> None:
        """Remove a response. Its run is let go, and its watches are nudged."""
        del self.responses[kept.id]
        if kept.is_active and kept.epoch:
            self.let_go(kept.id, "")
        self.nudge(kept.id, is_news=True)

    def nudge(self, response_id: str, *, is_news: bool = False) -> None:
        """Wake the watches of a response's log."""
        if not self.are_nudges_lost:
            for watch in self.watches[response_id]:
                watch.nudge(is_news=is_news)

    def mark_reader(self, response_id: str, reader_id: str, lease_s: float) -> None:
        """Mark a response as read by somebody."""
        self.readers[response_id][reader_id] = time.time() + lease_s

    def is_followed(self, response_id: str) -> bool:
        """Whether any mark of a reader still holds."""
        return any(until >= time.time() for until in self.readers[response_id].values())

    # --- conversations ---

    def find_conversation(self, conversation_id: str, owner: str) -> KeptConversation:
        """The owner's conversation. Raises NotFound."""
        kept = self.conversations.get(conversation_id)
        if kept is None or kept.owner != owner:
            raise unknown_conversation(conversation_id)
        return kept

    def open_conversation(self, kept: KeptConversation) -> Conversation:
        """Add a new conversation, first in its owner's list."""
        self.conversations[kept.id] = kept
        self.roots[kept.root.id] = kept.root
        kept.root.use()
        self.touch_listing(kept.owner, kept.id)
        return kept.shown

    def touch_listing(self, owner: str, conversation_id: str) -> None:
        """Move a conversation to the head of its owner's list."""
        listing = self.listings[owner]
        if conversation_id in listing:
            listing.remove(conversation_id)
        listing.insert(0, conversation_id)
        self.used_at[conversation_id] = int(time.time())

    def delete_conversation(self, kept: KeptConversation) -> None:
        """Remove a conversation. What belongs to its root stays until it is erased."""
        del self.conversations[kept.id]
        self.deleted_ids.add(kept.id)
        kept.root.is_deleted = True
        if kept.id in self.listings[kept.owner]:
            self.listings[kept.owner].remove(kept.id)
        active = self.responses.get(kept.active_response_id or "")
        if active is not None:
            active.owner, active.epoch, active.lease_until = None, "", None
            self.let_go(active.id, "")
            self.nudge(active.id, is_news=True)

    # --- histories ---

    def join(self, history: History, items: Sequence[Item], root: Root) -> History:
        """The history with more items. They can be found by their ids from now on."""
        self.items |= {item.id: (item, root) for item in items}
        return (*history, *items)

    def find_item(self, item_id: str) -> Item | None:
        """The item with this id, unless it was deleted."""
        found = self.items.get(item_id)
        return None if found is None or item_id in self.deleted_ids else found[0]

    def list_shown(self, history: History) -> list[Item]:
        """The history without deleted items."""
        return [item for item in history if item.id not in self.deleted_ids]

    def read_window(
        self, history: History, *, max_tokens: float, max_items: float = math.inf
    ) -> tuple[list[Item], int]:
        """The newest items within the budget, oldest first, and their tokens; up to the first that does not fit."""
        window: list[Item] = []
        spent = 0
        for item in reversed(self.list_shown(history)):
            tokens = estimate_tokens(item)
            if spent + tokens > max_tokens or len(window) == max_items:
                break
            spent += tokens
            window.insert(0, item)
        return window, spent

    def is_used(self, root: Root) -> bool:
        """Whether any response belongs to the root."""
        return any(kept.root is root for kept in self.responses.values())


def check_calls(history: History, unanswered: Sequence[str]) -> None:
    """Check that the history has these calls. Raises UnknownCall."""
    made = {find_made_call(item) for item in history}
    for call_id in unanswered:
        if call_id not in made:
            raise UnknownCall(call_id)


def check_open(root: Root, refusal: NotFound) -> None:
    """Raise the refusal when the root is being erased."""
    if root.is_closed:
        raise refusal
