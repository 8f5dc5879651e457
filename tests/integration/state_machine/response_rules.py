"""Rules for responses, from their admission to their end or deletion."""

from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from prompts.answer.events import Narration, encode
from prompts.domain.items import Item
from prompts.domain.signals import Finished, Signal, Text, pack
from prompts.errors import ConversationLocked, KeyReused, NotFound, ResponseNotEnded, StaleRun, TailLost
from prompts.history.estimates import estimate_tokens
from prompts.ports.event_log import Group
from prompts.ports.reader_marks import Reader
from prompts.ports.responses import (
    Admitted,
    Attached,
    Claim,
    Displaces,
    Draft,
    Ending,
    InTheWay,
    Outcome,
    Seized,
)
from prompts.run.ending import conclude, retell
from tests.integration.state_machine.machine import LEASE_S, LOST, PARTITION, Machine, texts
from tests.integration.state_machine.redis_machine import append
from tests.integration.state_machine.world import Hand, Root, Talk, Turn
from tests.support.builders import build_draft, build_group

FINISHED: dict[str, Finished | None] = {"completed": Finished("stop"), "incomplete": Finished("length")}


def find_active(anchor: Talk | Turn) -> Turn | None:
    """The active response that is in the way of a turn."""
    if isinstance(anchor, Talk):
        return anchor.active
    return anchor if anchor.is_active else None


class ResponseRules(Machine):
    """Admit, append, commit, delete."""

    @rule(data=st.data(), text=texts)
    def take_a_whole_turn(self, data: st.DataObject, text: str) -> None:
        """The most frequent case: a conversation or a chain continues."""
        talks = [talk for talk in self.world.talks if not (talk.active or talk.is_deleted or talk.root.is_dying)]
        turns = [turn for turn in self.world.turns if not (turn.is_deleted or turn.root.is_dying)]
        ended = [turn for turn in turns if turn.status in {"completed", "incomplete", "cancelled"}]
        anchor = data.draw(st.sampled_from([*talks, *ended, None]))
        self.end(self.begin(anchor, text), "completed", is_twice=False)

    def begin(self, anchor: Talk | Turn | None, text: str) -> Hand:
        draft = build_draft(
            text,
            partition=PARTITION,
            conversation_id=anchor.id if isinstance(anchor, Talk) else None,
            previous_response_id=anchor.id if isinstance(anchor, Turn) else None,
        )
        owner = anchor.owner if anchor else "alice"
        admitted = self.do(self.stores.responses.admit(draft, owner=owner, history_tokens=8000, lease_s=LEASE_S))
        assert isinstance(admitted, Admitted)
        self.check_admitted(anchor, owner, draft, admitted, 8000)
        self.world.hands.append(Hand(self.world.turns[-1], admitted.epoch, 0))
        return self.world.hands[-1]

    @rule(
        data=st.data(),
        key=st.sampled_from([None, "k1", "k2"]),
        body=st.sampled_from(["b1", "b2"]),
        is_retry=st.booleans(),
        budget=st.sampled_from([0, 12, 40, 8000]),
        is_twice=st.booleans(),
        replica=st.integers(0, 1),
        displaces=st.sampled_from(["none", "abandoned", "any"]),
    )
    def admit(  # noqa: C901, PLR0917 -- each answer has its own checks, and hypothesis gives them by their names
        self,
        data: st.DataObject,
        key: str | None,
        body: str,
        is_retry: bool,
        budget: int,
        is_twice: bool,
        replica: int,
        displaces: Displaces,
    ) -> None:
        free = [talk for talk in self.world.talks if not (talk.active or talk.root.is_dying)]
        anchor = data.draw(st.sampled_from([*free, *free, *self.world.talks, None, *self.world.turns[-3:]]))
        owner = self.draw_owner(data, anchor)
        draft = build_draft(
            data.draw(texts),
            partition=PARTITION,
            conversation_id=anchor.id if isinstance(anchor, Talk) else None,
            previous_response_id=anchor.id if isinstance(anchor, Turn) else None,
            claim=Claim(body, key, is_retry),
        )
        store = self.replicas[replica].responses
        asking: dict[str, Any] = {
            "owner": owner,
            "history_tokens": budget,
            "lease_s": LEASE_S,
            "displaces": displaces,
        }
        known = self.world.claims.get((owner, anchor.id if anchor else "", key)) if key else None
        try:
            answers = [self.do(store.admit(draft, **asking)) for _ in range(1 + is_twice)]
        except KeyReused:
            assert known
            assert known[1] != body
            return
        except (NotFound, ConversationLocked, ResponseNotEnded) as error:
            assert not known
            assert anchor
            self.check_refusal(anchor, owner, error)
            self.check_nothing_gives_way(anchor, owner, displaces)
            return
        assert all(answer == answers[0] for answer in answers)
        admitted = answers[0]
        if known:
            assert known[1] == body
            self.check_attached(known[0], draft, admitted)
            return
        active = find_active(anchor) if anchor else None
        if active and isinstance(admitted, Attached):
            self.check_attached_to_active(active, draft, owner, displaces, admitted)
            if key:
                self.world.claims[owner, anchor.id if anchor else "", key] = (active, body)
            return
        if active:
            is_left_alone = data.draw(st.sampled_from([False, False, True]))
            ending = self.seize_in_the_way(active, admitted, displaces, replica)
            if ending is None or is_left_alone:
                return  # it waits, or the displacer is gone too
            admitted = [self.do(store.admit(draft, ending=ending, **asking)) for _ in range(1 + is_twice)][-1]
            if active.root.is_dying and not isinstance(admitted, Admitted):
                return
            self.take_end(active, ending.outcome.response, list(ending.outcome.items))
        assert isinstance(admitted, Admitted)
        assert admitted.has_displaced == bool(active)
        self.check_admitted(anchor, owner, draft, admitted, budget)
        self.world.hands.append(Hand(self.world.turns[-1], admitted.epoch, replica))
        if key:
            self.world.claims[owner, anchor.id if anchor else "", key] = (self.world.turns[-1], body)

    def check_nothing_gives_way(self, anchor: Talk | Turn, owner: str, displaces: Displaces) -> None:
        active = find_active(anchor)
        if active and owner == anchor.owner and not anchor.is_deleted and not anchor.root.is_dying:
            assert not active.gives_way(displaces)

    def check_attached_to_active(
        self, active: Turn, draft: Draft, owner: str, displaces: Displaces, admitted: Attached
    ) -> None:
        assert owner == active.owner
        assert active.draft.claim.body_hash == draft.claim.body_hash
        is_left = displaces == "abandoned" and not active.readers and active.ending != "cancelled"
        assert draft.claim.is_retry or is_left
        self.check_attached(active, draft, admitted)

    def check_attached(self, turn: Turn, draft: Draft, admitted: object) -> None:
        assert admitted == Attached(turn.id)
        if turn.is_active:
            turn.readers.add(draft.reader_id)

    def seize_in_the_way(self, turn: Turn, met: object, displaces: Displaces, replica: int) -> Ending | None:
        assert isinstance(met, InTheWay)
        assert met.response_id == turn.id
        assert turn.gives_way(displaces)
        assert met.is_ending == turn.is_cancelled_now
        stores = self.replicas[replica]
        seizing = stores.responses.seize(turn.id, owner=turn.owner, lease_s=LEASE_S, displaces=displaces)
        seized = self.do(seizing)
        if not isinstance(seized, Seized):
            assert seized is None
            assert met.is_ending
            return None
        turn.take(seized.epoch, is_cancel=True)
        self.world.hands.append(Hand(turn, seized.epoch, replica))
        narration = self.do(retell(seized.response, event_log=stores.event_log))
        conclusion = conclude(narration, given=seized.input, account=seized.model_input, now_s=1)
        return Ending(conclusion.outcome, conclusion.last, seized.epoch)

    @rule(data=st.data(), is_leaving=st.booleans())
    @precondition(lambda self: any(turn.is_active for turn in self.world.turns))
    def come_or_leave(self, data: st.DataObject, is_leaving: bool) -> None:
        """A reader joins, or all leave."""
        turn = data.draw(st.sampled_from([turn for turn in self.world.turns if turn.is_active]))
        if not is_leaving:
            turn.readers.add(f"reader {len(turn.readers)}")
            self.do(self.stores.reader_marks.mark([Reader(turn.id, reader) for reader in turn.readers]))
            return
        for reader in turn.readers:
            self.do(self.stores.reader_marks.unmark(Reader(turn.id, reader)))
        turn.readers.clear()

    def check_admitted(
        self, anchor: Talk | Turn | None, owner: str, draft: Draft, admitted: Admitted, budget: int
    ) -> None:
        history: list[Item] = []
        if anchor:
            assert owner == anchor.owner
            assert not anchor.is_deleted
            history = anchor.history
        if isinstance(anchor, Turn):
            assert anchor.status in {"completed", "incomplete", "cancelled"}
            assert not anchor.root.is_closed
        root = anchor.root if anchor else Root()
        talk = anchor if isinstance(anchor, Talk) else None
        account = admitted.model_input
        assert account.history_items == len(admitted.window)
        assert account.history_tokens == sum(map(estimate_tokens, admitted.window))
        if not root.is_dying:
            assert account.history_items + account.dropped_items == len(history)
            assert list(admitted.window) == self.newest_within(budget, history)
        narration = Narration(admitted.response)
        number = narration.opening()[-1].sequence_number
        turn = Turn(draft, owner, root, talk, history, narration, [(number, [], False)], account)
        turn.readers.add(draft.reader_id)
        self.world.turns.append(turn)
        if talk:
            talk.active = turn
        root.use()

    @rule(data=st.data(), words=st.lists(texts, max_size=3), is_twice=st.booleans(), has_waypoint=st.booleans())
    @precondition(lambda self: self.world.hands)
    def append(self, data: st.DataObject, words: list[str], is_twice: bool, has_waypoint: bool) -> None:
        hand = self.draw_hand(data)
        turn = hand.turn
        signals: list[Signal] = [Text(word) for word in words]
        is_current = hand.epoch == turn.epoch and turn.is_active
        written = partial(build_group, turn.narration, signals, has_waypoint=has_waypoint)
        group = written() if is_current else Group(1, 9, pack(signals), b"[1]")
        store = self.replicas[hand.replica].responses
        try:
            for _ in range(1 + is_twice):
                self.do(append(store, turn.id, group, epoch=hand.epoch, lease_s=LEASE_S))
        except StaleRun:
            assert not is_current or turn.root.is_dying
            return
        assert is_current
        turn.is_lost = False
        if signals:
            turn.log.append((group.last_number, signals, False))
            turn.waypoints |= {group.last_number: group.waypoint} if has_waypoint else {}

    @rule(data=st.data(), missing=st.integers(1, 5), is_renewal=st.booleans())
    @precondition(lambda self: self.world.hands)
    def append_behind_a_hole(self, data: st.DataObject, missing: int, is_renewal: bool) -> None:
        hand = self.draw_hand(data)
        turn = hand.turn
        after = turn.log[-1][0] + missing
        group = Group(after, after + 1, b"" if is_renewal else b'["x"]')
        with pytest.raises((StaleRun, TailLost)) as refused:
            self.do(append(self.stores.responses, turn.id, group, epoch=hand.epoch, lease_s=LEASE_S))
        is_current = hand.epoch == turn.epoch and turn.is_active
        if isinstance(refused.value, TailLost):
            assert is_current
            assert refused.value.last_number == turn.log[-1][0]
        else:
            assert not is_current or turn.root.is_dying

    @rule(
        data=st.data(),
        status=st.sampled_from(["completed", "incomplete", "failed", "cancelled"]),
        is_twice=st.booleans(),
    )
    @precondition(lambda self: self.world.hands)
    def commit(self, data: st.DataObject, status: str, is_twice: bool) -> None:
        self.end(self.draw_hand(data), status, is_twice=is_twice)

    def end(self, hand: Hand, status: str, *, is_twice: bool) -> None:
        turn = hand.turn
        is_current = hand.epoch == turn.epoch and not turn.is_deleted
        finished, error = FINISHED.get(status), LOST if status == "failed" else None
        ended = turn.narration.end(completed_at=1, finished=finished, error=error)
        after = turn.log[-1][0] if turn.is_active else turn.log[-1][0] - 1
        number = after + 6
        items: list[Item] = [] if error else [*turn.draft.input, *ended.output]
        last: list[Signal] = [finished] if finished else []
        outcome = Outcome(ended, encode(ended), items)
        committing: dict[str, Any] = {"owner": turn.owner, "epoch": hand.epoch}
        store = self.replicas[hand.replica].responses
        if turn.is_active:
            behind_a_hole = Group(after + 1, number, pack(last))
            with pytest.raises((StaleRun, TailLost)):
                self.do(store.commit(outcome, behind_a_hole, **committing))
        try:
            for _ in range(1 + is_twice):
                self.do(store.commit(outcome, Group(after, number, pack(last)), **committing))
        except StaleRun:
            assert not is_current or turn.root.is_dying or turn.status not in {"in_progress", status}
            return
        assert is_current
        if turn.status == "in_progress":
            assert not turn.root.is_closed
            turn.log.append((number, last, True))
            turn.end(status, items)

    @rule(data=st.data())
    @precondition(lambda self: self.world.turns)
    def delete_response(self, data: st.DataObject) -> None:
        turn = self.draw_turn(data)
        owner = self.draw_owner(data, turn)
        try:
            self.do(self.stores.responses.delete(turn.id, owner=owner))
        except NotFound:
            assert owner != turn.owner or turn.is_deleted or turn.root.is_dying
            return
        assert owner == turn.owner
        assert not turn.is_deleted
        turn.is_deleted = True
        if turn.talk and turn.talk.active is turn:
            turn.talk.active = None
