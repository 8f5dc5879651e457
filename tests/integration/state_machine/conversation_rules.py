"""Rules for conversations and their items."""

from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from prompts.domain import ids
from prompts.domain.items import Item
from prompts.errors import ConversationLocked, NotFound
from tests.integration.state_machine.machine import OWNERS, PARTITION, Machine, texts
from tests.integration.state_machine.world import Root, Talk
from tests.support.builders import build_item

owners = st.sampled_from(OWNERS)


class ConversationRules(Machine):
    """Create, add, fork, delete an item."""

    @rule(owner=owners, said=st.lists(texts, max_size=4))
    @precondition(lambda self: len(self.world.talks) < 4)
    def create_conversation(self, owner: str, said: list[str]) -> None:
        self.make_conversation(owner, said)

    def make_conversation(self, owner: str, said: list[str]) -> None:
        talk_id = ids.new_id(ids.CONVERSATION, PARTITION)
        items: list[Item] = [build_item(text, PARTITION) for text in said]
        for _ in range(2):  # the second is the client library's retry after a lost answer
            self.do(self.stores.conversations.create(talk_id, owner=owner, metadata={}, items=items))
        root = self.world.roots[f"conv:{talk_id}"] = Root()
        self.world.talks.append(Talk(talk_id, owner, root, items))

    @rule(data=st.data(), said=st.lists(texts, min_size=1, max_size=3), is_twice=st.booleans())
    @precondition(lambda self: self.world.talks)
    def add_items(self, data: st.DataObject, said: list[str], is_twice: bool) -> None:
        talk = data.draw(st.sampled_from(self.world.talks))
        owner = self.draw_owner(data, talk)
        items: list[Item] = [build_item(text, PARTITION) for text in said]
        for _ in range(1 + is_twice):
            try:
                self.do(self.stores.conversations.add_items(talk.id, owner=owner, items=items))
            except NotFound:
                assert owner != talk.owner or talk.is_deleted or talk.root.is_dying
                return
            except ConversationLocked as error:
                self.check_refusal(talk, owner, error)
                return
        assert owner == talk.owner
        assert not talk.is_deleted
        assert not talk.active or talk.root.is_dying
        talk.history = [*talk.history, *items]
        talk.root.use()

    @rule(data=st.data(), side=st.sampled_from(["before", "after", None]), is_twice=st.booleans())
    @precondition(lambda self: self.world.talks)
    def fork(self, data: st.DataObject, side: Literal["before", "after"] | None, is_twice: bool) -> None:
        origin = data.draw(st.sampled_from(self.world.talks))
        owner = self.draw_owner(data, origin)
        others = [item for talk in self.world.talks for item in talk.history]
        item = data.draw(st.sampled_from([*(origin.history or others), None])) if side else None
        item = data.draw(st.sampled_from([item, *others])) if side else None
        if side and item is None:
            return
        is_there = item is None or (item in origin.history and item.id not in self.world.deleted_items)
        fork_id = ids.new_id(ids.CONVERSATION, PARTITION)
        forking: dict[str, Any] = {"owner": owner, "side": side, "item_id": item.id if item else ""}
        try:
            for _ in range(1 + is_twice):
                self.do(self.stores.conversations.fork(fork_id, origin.id, **forking))
        except NotFound as error:
            if is_there or error.code == "conversation_not_found":
                self.check_refusal(origin, owner, error)
            return
        assert owner == origin.owner
        assert is_there or origin.root.is_dying
        history = list(origin.history)
        if item:
            history = history[: history.index(item) + (side == "after")]
        root = self.world.roots[f"conv:{fork_id}"] = Root(origin.root, is_dying=origin.root.is_dying)
        self.world.talks.append(Talk(fork_id, owner, root, history, forked_from=origin.id))
        root.use()

    @rule(data=st.data())
    @precondition(lambda self: any(talk.history for talk in self.world.talks))
    def delete_item(self, data: st.DataObject) -> None:
        talk = data.draw(st.sampled_from(self.world.talks))
        owner = self.draw_owner(data, talk)
        item = data.draw(st.sampled_from([item for each in self.world.talks for item in each.history]))
        try:
            self.do(self.stores.conversations.delete_item(talk.id, item.id, owner=owner))
        except NotFound:
            is_there = item in talk.history and item.id not in self.world.deleted_items
            assert owner != talk.owner or talk.is_deleted or talk.root.is_dying or not is_there
            return
        assert owner == talk.owner
        assert item in talk.history
        assert item.id not in self.world.deleted_items
        self.world.deleted_items.add(item.id)
