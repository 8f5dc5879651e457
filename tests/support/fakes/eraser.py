"""`Eraser` in memory."""

from collections.abc import Sequence

from prompts.ports.eraser import Slice
from tests.support.fakes.memory import Memory
from tests.support.fakes.records import Root


class FakeEraser:
    """`Eraser` in memory. One slice is a whole root."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def list_due(self, near: str | None = None) -> Sequence[str]:
        """See `Eraser.list_due`."""
        roots = self._memory.roots.values()
        due = [root.id for root in roots if root.is_deleted or root.is_due]
        return [each for each in due if near is None or self._memory.roots[each].conversation_id == near]

    async def erase_slice(self, due: str) -> Slice:
        """See `Eraser.erase_slice`."""
        root = self._memory.roots.get(due)
        if root is None or not (root.is_deleted or root.is_due):
            return Slice(is_more=False)  # used since it was listed, or erased already
        conversation = self._memory.conversations.get(root.conversation_id or "")
        if conversation is not None:
            self._memory.delete_conversation(conversation)
        root.is_deleted = True
        return Slice(is_more=False, due=self._erase(root))

    def _erase(self, root: Root) -> list[str]:
        """Erase it; its forks are due from then on."""
        memory, due = self._memory, []
        for response in [kept for kept in memory.responses.values() if kept.root is root]:
            memory.drop_response(response)
        for fork in [kept for kept in memory.conversations.values() if kept.root.parent is root]:
            memory.delete_conversation(fork)
            due.append(fork.root.id)
        for item_id in [item_id for item_id, (_, its_root) in memory.items.items() if its_root is root]:
            del memory.items[item_id]
        del memory.roots[root.id]
        return due
