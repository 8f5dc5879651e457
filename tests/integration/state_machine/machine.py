"""What all rules use: the replicas under test, the expected state, draws and checks."""

from collections.abc import Sequence

from hypothesis import strategies as st

from prompts.adapters.redis import keys
from prompts.domain.items import Item
from prompts.domain.responses import Response, ResponseError
from prompts.domain.signals import Signal
from prompts.errors import ConversationLocked, ResponseNotEnded
from prompts.history.estimates import estimate_tokens
from prompts.ports.responses import Seized
from tests.integration.state_machine.redis_machine import RedisMachine
from tests.integration.state_machine.world import Hand, Talk, Turn, World
from tests.support.builders import Stores

OWNERS = ("alice", "bob")
PARTITION = "07"
LEASE_S = 600.0
LOST = ResponseError("replica_lost", "Lost.")
MIN_STEPS_BETWEEN_ENDS = 6

texts = st.text("ab c", min_size=1, max_size=60)


class Machine(RedisMachine):
    """Two replicas of one Redis, and the expected state."""

    replicas: tuple[Stores, Stores]

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.steps_since_an_end = 0

    @property
    def stores(self) -> Stores:
        return self.replicas[0]

    def is_time_for_an_end(self) -> bool:
        """Objects must grow between two ends of many at once; otherwise few other rules would run."""
        return self.steps_since_an_end > MIN_STEPS_BETWEEN_ENDS

    def draw_owner(self, data: st.DataObject, thing: Talk | Turn | None) -> str:
        """Usually the real owner."""
        return data.draw(st.sampled_from([*OWNERS, *([thing.owner] * 4 if thing else [])]))

    def draw_turn(self, data: st.DataObject) -> Turn:
        """Usually an active response."""
        active = [turn for turn in self.world.turns if turn.is_active]
        return data.draw(st.sampled_from([*active, *active, *self.world.turns[-4:]]))

    def draw_hand(self, data: st.DataObject) -> Hand:
        """Usually one that may still write."""
        current = [hand for hand in self.world.hands if hand.turn.is_active and hand.epoch == hand.turn.epoch]
        return data.draw(st.sampled_from([*current, *current, *self.world.hands[-4:]]))

    def newest_within(self, budget: int, history: list[Item], *, max_items: int | None = None) -> list[Item]:
        window: list[Item] = []
        for item in reversed(self.world.shown(history)):
            budget -= estimate_tokens(item)
            if budget < 0 or len(window) == max_items:
                break
            window.insert(0, item)
        return window

    def check_refusal(self, anchor: Talk | Turn, owner: str, error: Exception) -> None:
        is_here = owner == anchor.owner and not anchor.is_deleted
        if isinstance(error, ConversationLocked):
            assert isinstance(anchor, Talk)
            assert is_here
            assert anchor.active
            assert error.active_response_id == anchor.active.id
        elif isinstance(error, ResponseNotEnded):
            assert isinstance(anchor, Turn)
            assert is_here
            assert anchor.status in {"in_progress", "failed"} or anchor.root.is_dying
        else:
            assert not is_here or anchor.root.is_dying

    def check_seized(self, turn: Turn, seized: Seized) -> None:
        assert (seized.owner, seized.attempts, seized.ending) == (turn.owner, turn.attempts, turn.ending)
        assert seized.response == turn.narration.response
        assert list(seized.input) == list(turn.draft.input)
        assert seized.model_request == turn.draft.model_request
        assert seized.model_input == turn.account

    def forget(self, talk: Talk) -> None:
        assert not talk.is_deleted
        talk.is_deleted = True
        self.world.kill(talk.root)

    def lose(self, turn: Turn) -> None:
        assert self.do(self.redis.zadd(keys.leases(PARTITION), {turn.id: 1}, xx=True, ch=True)) in {0, 1}
        turn.is_lost = True

    def take_end(self, turn: Turn, ended: Response, items: list[Item], signals: Sequence[Signal] = ()) -> None:
        entries = self.do(self.stores.event_log.read(turn.id, after=turn.log[-1][0]))
        assert [(list(entry.signals), entry.is_last) for entry in entries] == [(list(signals), True)]
        turn.log.append((entries[0].last_number, list(signals), True))
        turn.end(ended.status, items)
