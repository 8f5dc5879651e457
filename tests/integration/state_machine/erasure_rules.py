"""Rules that end much at once: the deletion of a conversation, the end of a retention, the sweep."""

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from prompts.adapters.redis import keys
from prompts.domain.signals import BegunAnew, Finished, Signal, Text
from prompts.errors import NotFound
from prompts.ports.responses import Draft
from prompts.run.sweeping import erase_due, take_over_lost
from prompts.run.takeover import MAX_ATTEMPTS
from prompts.run.usage import estimate_lost
from tests.integration.state_machine.machine import LEASE_S, LOST, PARTITION, texts
from tests.integration.state_machine.response_rules import ResponseRules
from tests.integration.state_machine.world import Root, Turn
from tests.support.builders import build_draft, build_item, open_runner
from tests.support.fakes.chat_model import ScriptedModel

# The limit for a run that hangs; the model's answer is complete already.
MAX_RUN_S = 10
# The model's text after a takeover.
MORE: list[Signal] = [Text("More."), Finished("stop")]


class ErasureRules(ResponseRules):
    """Delete a conversation, end a retention, erase, sweep."""

    @rule(data=st.data(), is_erased=st.sampled_from([False, False, True]))
    @precondition(lambda self: self.world.talks and self.is_time_for_an_end())
    def delete_conversation(self, data: st.DataObject, is_erased: bool) -> None:
        talk = data.draw(st.sampled_from(self.world.talks))
        owner = self.draw_owner(data, talk)
        self.steps_since_an_end = 0
        try:
            self.do(self.stores.conversations.delete(talk.id, owner=owner))
        except NotFound:
            assert owner != talk.owner or talk.is_deleted or talk.root.is_dying
            return
        assert owner == talk.owner
        self.forget(talk)
        if is_erased:
            self.erase_everything_due()

    @rule(data=st.data(), text=texts)
    @precondition(lambda self: self.is_time_for_an_end())
    def go_on_from_what_is_being_erased(self, data: st.DataObject, text: str) -> None:
        """A write or a continuation that comes a moment too late."""
        self.steps_since_an_end = 0
        there = [talk for talk in self.world.talks if not (talk.is_deleted or talk.root.is_dying)]
        talk = data.draw(st.sampled_from([None, *there]))
        if talk is None:
            return
        self.do(self.stores.conversations.delete(talk.id, owner=talk.owner))
        self.forget(talk)
        for hand in [hand for hand in self.world.hands if hand.turn.is_active and hand.turn.root.is_dying]:
            self.end(hand, "completed", is_twice=False)
        # When the conversation that decides their retention is dying, all its forks are refused.
        roots = {each.root for each in self.world.talks if each.root.top is talk.root} | {talk.root}
        for turn in [turn for turn in self.world.turns if turn.root in roots and turn.status == "completed"]:
            self.check_unknown(build_draft(text, previous_response_id=turn.id), turn.owner)
        for fork in [each for each in self.world.talks if each.root in roots and not each.active]:
            self.check_unknown(build_draft(text, conversation_id=fork.id), fork.owner)
            items = [build_item(text, PARTITION)]
            with pytest.raises(NotFound):
                self.do(self.stores.conversations.add_items(fork.id, owner=fork.owner, items=items))

    def check_unknown(self, draft: Draft, owner: str) -> None:
        with pytest.raises(NotFound):
            self.do(self.stores.responses.admit(draft, owner=owner, history_tokens=0, lease_s=LEASE_S))

    @rule(data=st.data())
    @precondition(lambda self: self.is_time_for_an_end())
    def end_retention(self, data: st.DataObject) -> None:
        self.end_retention_of(data)

    def end_retention_of(self, data: st.DataObject) -> None:
        self.steps_since_an_end = 0
        there = [turn.root.top for turn in self.world.turns if not turn.is_deleted]
        there += [talk.root.top for talk in self.world.talks]
        root = data.draw(st.sampled_from([None, *there]))
        if root and not root.is_dying:
            self.do(self.redis.zadd(keys.expiry(PARTITION), {self.find_member(root): 1}, xx=True))
            root.is_due = True

    def find_member(self, root: Root) -> str:
        for member, known in self.world.roots.items():
            if known is root:
                return member
        turn = next(turn for turn in self.world.turns if turn.root is root and not turn.is_deleted)
        timeline = self.do(self.redis.hget(keys.response(turn.id), "timeline"))
        meta = self.do(self.redis.hgetall(f"{keys.prefix(PARTITION)}tl:{timeline.decode()}:meta"))
        member = f"chain:{meta[b'root'].decode()}"
        self.world.roots[member] = root
        return member

    @rule(data=st.data(), text=texts)
    @precondition(lambda self: self.is_time_for_an_end())
    def use_what_was_found_due(self, data: st.DataObject, text: str) -> None:
        """A turn may come between finding and erasing."""
        self.end_retention_of(data)
        found = self.do(self.stores.eraser.list_due())
        self.take_a_whole_turn(data, text)
        for handle in found:
            self.erase(handle)

    @rule()
    def find_due(self) -> None:
        """Another replica has found it, and erases it later."""
        self.world.found += self.do(self.stores.eraser.list_due())

    @rule(data=st.data())
    @precondition(lambda self: self.world.found)
    def erase_one_slice(self, data: st.DataObject) -> None:
        self.erase(data.draw(st.sampled_from(self.world.found)))

    def erase(self, handle: str) -> None:
        self.do(self.stores.eraser.erase_slice(handle))
        root = self.world.roots.get(handle.partition(" ")[2])
        if root and root.is_due and not root.is_dying:
            self.expire(root)

    @rule(data=st.data())
    @precondition(lambda self: self.is_time_for_an_end())
    def sweep(self, data: st.DataObject) -> None:
        """The sweep of a replica, until nothing is left to do."""
        self.steps_since_an_end = 0
        for turn in self.world.turns:
            if turn.is_active and not turn.root.is_dying and data.draw(st.booleans()):
                self.lose(turn)
        while self.do(self.stores.responses.list_lost()):
            self.do(self.take_over_and_finish())
        self.see_whether_late_ends_counted_as_use()
        for turn in self.world.turns:
            if turn.is_lost and turn.is_active and not turn.root.is_dying:
                self.see_it_ended(turn)
        self.erase_everything_due()

    async def take_over_and_finish(self) -> None:
        runner = open_runner(self.stores, ScriptedModel([MORE]), lease_s=LEASE_S, max_runs=100)
        await take_over_lost(store=self.stores.responses, event_log=self.stores.event_log, runner=runner)
        async with asyncio.timeout(MAX_RUN_S):
            await runner.drain(MAX_RUN_S)

    def see_it_ended(self, turn: Turn) -> None:
        """It ended as requested, or as the model continued it."""
        turn.take(self.do(self.redis.hget(keys.response(turn.id), "epoch")).decode(), is_cancel=False)
        if turn.ending == "cancelled":
            ended = turn.narration.end(completed_at=1, finished=None)
            self.take_end(turn, ended, [*turn.draft.input, *ended.output])
        elif turn.ending == "failed" or turn.attempts > MAX_ATTEMPTS:
            self.take_end(turn, turn.narration.end(completed_at=1, finished=None, error=LOST), [])
        else:
            told = [BegunAnew(estimate_lost(turn.narration, turn.account)), *MORE]
            turn.narration.tell(told)
            ended = turn.narration.end(completed_at=1, finished=Finished("stop"))
            self.take_end(turn, ended, [*turn.draft.input, *ended.output], told)

    def see_whether_late_ends_counted_as_use(self) -> None:
        """A lost turn on a fork that is not closed yet may have ended before the erasure reached the fork, or not."""
        late = [turn for turn in self.world.turns if turn.is_lost and turn.is_active and turn.root.is_dying]
        for turn in late:
            top = turn.root.top
            if top.is_due and not turn.root.is_closed:
                score = self.do(self.redis.zscore(keys.expiry(PARTITION), self.find_member(top)))
                top.is_due = score is None or score <= 1

    def erase_everything_due(self) -> None:
        self.do(erase_due(self.stores.eraser))
        self.expire_due()
        self.world.bury()

    def expire_due(self) -> None:
        for root in list(self.world.roots.values()):
            if root.is_due and not root.is_dying:
                self.expire(root)

    def expire(self, root: Root) -> None:
        talk = next((talk for talk in self.world.talks if talk.root is root), None)
        if talk:
            self.forget(talk)
        else:
            self.world.kill(root)
