"""Rules for responses that change hands: cancelled, lost, handed over, taken over; and for fail-overs of Redis."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from prompts.adapters.redis import keys
from prompts.answer.events import Narration
from prompts.domain.signals import pack
from prompts.errors import NotFound, StaleRun, TailLost
from prompts.ports.event_log import Group
from prompts.ports.responses import Seized
from prompts.run.ending import end_seized, retell
from tests.integration.state_machine.machine import LEASE_S, Machine
from tests.integration.state_machine.redis_machine import append
from tests.integration.state_machine.world import Hand, Turn


class TakeoverRules(Machine):
    """Seize, release, lose."""

    @rule(data=st.data(), is_ended=st.booleans(), replica=st.integers(0, 1))
    @precondition(lambda self: self.world.turns)
    def cancel(self, data: st.DataObject, is_ended: bool, replica: int) -> None:
        turn = self.draw_turn(data)
        owner = self.draw_owner(data, turn)
        stores = self.replicas[replica]
        try:
            seized = self.do(stores.responses.seize(turn.id, owner=owner, lease_s=LEASE_S))
        except NotFound:
            assert owner != turn.owner or turn.is_deleted or turn.root.is_dying
            return
        assert owner == turn.owner
        if not isinstance(seized, Seized):
            assert seized == turn.status
            return
        assert turn.is_active
        turn.take(seized.epoch, is_cancel=True)
        self.check_seized(turn, seized)
        assert list(seized.window) == []
        self.world.hands.append(Hand(turn, seized.epoch, replica))
        if not is_ended:
            return  # the canceller is gone too
        try:
            narration = self.do(retell(seized.response, event_log=stores.event_log))
            outcome = self.do(end_seized(seized, narration, store=stores.responses))
        except StaleRun:
            assert turn.root.is_dying
            return
        assert outcome.response.output == turn.narration.end(completed_at=1, finished=None).output
        self.take_end(turn, outcome.response, list(outcome.items))

    @rule(data=st.data())
    @precondition(lambda self: any(turn.is_active and not turn.root.is_dying for turn in self.world.turns))
    def lose_lease(self, data: st.DataObject) -> None:
        active = [turn for turn in self.world.turns if turn.is_active and not turn.root.is_dying]
        self.lose(data.draw(st.sampled_from(active)))

    @rule(data=st.data(), times=st.integers(1, 4))
    @precondition(lambda self: self.world.turns)
    def take_over(self, data: st.DataObject, times: int) -> None:
        """Usually a lost response, which may be lost again at once.

        The run that continues it is a hand like any other.
        """
        turn = self.draw_turn(data)
        for replica in range(times):
            if turn.is_active and not turn.root.is_dying and data.draw(st.booleans()):
                self.lose(turn)
            self.seize_lost(turn, replica % 2)

    def seize_lost(self, turn: Turn, replica: int) -> None:
        seized = self.do(self.replicas[replica].responses.seize(turn.id, owner=None, lease_s=LEASE_S))
        if not isinstance(seized, Seized):
            assert not (turn.is_active and turn.is_lost) or turn.root.is_dying
            assert seized is None or seized == turn.status
            return
        assert turn.is_active
        assert turn.is_lost
        turn.take(seized.epoch, is_cancel=False)
        self.check_seized(turn, seized)
        self.world.hands.append(Hand(turn, seized.epoch, replica))
        if not turn.root.is_dying:
            account = turn.account
            given = self.newest_within(account.history_tokens, turn.history, max_items=account.history_items)
            assert list(seized.window) == given

    @rule(data=st.data(), is_broken=st.sampled_from([False, False, True]), is_twice=st.booleans())
    @precondition(lambda self: self.world.hands)
    def release(self, data: st.DataObject, is_broken: bool, is_twice: bool) -> None:
        hand = self.draw_hand(data)
        turn = hand.turn
        is_current = hand.epoch == turn.epoch and turn.is_active
        store = self.replicas[hand.replica].responses
        try:
            for _ in range(1 + is_twice):
                self.do(store.release(turn.id, epoch=hand.epoch, is_broken=is_broken))
        except StaleRun:
            assert not is_current or turn.root.is_dying
            return
        assert is_current
        turn.is_lost = turn.is_released = True
        turn.ending = "failed" if is_broken else turn.ending

    @rule(data=st.data())
    @precondition(lambda self: any(self.may_fail_over(turn) for turn in self.world.turns))
    def lose_a_seizure_in_a_fail_over(self, data: st.DataObject) -> None:
        """The replica of Redis lagged behind: the run before has the response again, and the next count is free."""
        taken = [turn for turn in self.world.turns if self.may_fail_over(turn) and len(turn.epochs) > 1]
        turn = data.draw(st.sampled_from([None, *taken]))
        if turn:
            turn.epochs.pop()
            self.do(self.redis.hset(keys.response(turn.id), "epoch", turn.epoch))

    @rule(data=st.data())
    @precondition(lambda self: any(self.may_fail_over(turn) for turn in self.world.turns))
    def lose_the_end_of_a_log_in_a_fail_over(self, data: st.DataObject) -> None:
        """The writer learns where the log ends now."""
        written = [turn for turn in self.world.turns if self.may_fail_over(turn) and len(turn.log) > 1]
        turn = data.draw(st.sampled_from([None, *written]))
        if turn is None:
            return
        after, (last_number, signals, _) = turn.log[-2][0], turn.log.pop()
        self.do(self.redis.delete(keys.event_log(turn.id)))
        turn.waypoints.pop(last_number, None)
        for number, told, _ in turn.log:
            waypoint = {"w": turn.waypoints[number]} if number in turn.waypoints else {}
            self.do(self.redis.xadd(keys.event_log(turn.id), {"s": pack(told), **waypoint}, id=f"0-{number}"))
        self.do(self.redis.hset(keys.response(turn.id), "logged", after))
        turn.narration = Narration(turn.narration.response)
        turn.narration.opening()
        for _, told, _ in turn.log:
            turn.narration.begin_group()
            turn.narration.tell(told)
        next_group = Group(last_number, last_number + 1, pack(signals))
        with pytest.raises(TailLost) as lost:
            self.do(append(self.stores.responses, turn.id, next_group, epoch=turn.epoch, lease_s=LEASE_S))
        assert lost.value.last_number == after

    def may_fail_over(self, turn: Turn) -> bool:
        return turn.is_active and not turn.root.is_dying
