"""Every operation on conversations and responses, in any order, compared with a model of plain dictionaries.

An object whose erasure has begun is *dying*. Nothing may continue it. It may stay visible for a few milliseconds, and
in the end nothing of it may be left.
"""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.answer.events import Narration, encode
from prompts.domain import ids
from prompts.domain.items import Item
from prompts.domain.responses import ModelInput, Response, ResponseError
from prompts.domain.signals import Finished, Signal, Text, pack
from prompts.errors import ConversationLocked, KeyReused, NotFound, ResponseNotEnded, StaleRun, TailLost
from prompts.history.estimates import estimate_tokens
from prompts.ports.event_log import Group
from prompts.ports.responses import (
    Admitted,
    Attached,
    Claim,
    Draft,
    Outcome,
    Seized,
)
from prompts.run.ending import end_seized, retell
from prompts.run.sweeping import erase_due, take_over_lost
from prompts.run.takeover import MAX_ATTEMPTS
from tests.support.builders import Stores, build_draft, build_group, build_item, open_runner, open_stores
from tests.support.fakes import ScriptedModel
from tests.support.server_fixtures import StartValkey

Result = TypeVar("Result")

OWNERS = ("alice", "bob")
PARTITION = "07"
LEASE_S = 600.0
MIN_STEPS_BETWEEN_ENDS = 6
# The limit for a run that hangs; the model's answer is complete already.
MAX_RUN_S = 10
LOST = ResponseError("replica_lost", "Lost.")
# The model's text after a takeover.
MORE: list[Signal] = [Text("More."), Finished("stop")]
FINISHED: dict[str, Finished | None] = {"completed": Finished("stop"), "incomplete": Finished("length")}
FEW = settings(
    max_examples=120,
    stateful_step_count=40,
    report_multiple_bugs=False,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

owners = st.sampled_from(OWNERS)
texts = st.text("ab c", min_size=1, max_size=60)


@dataclass(eq=False)
class Root:
    """What is erased as one: a chain, or a conversation with all its forks."""

    parent: "Root | None" = None
    is_due: bool = False
    is_dying: bool = False
    is_gone: bool = False
    """Deleted itself, or its time was over; not merely hanging on what was."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing may join it.

        After a fork of a fork is deleted alone, it is closed only when the erasure reaches it.
        """
        return self.is_gone or self.top.is_gone

    @property
    def top(self) -> "Root":
        """The root whose retention decides."""
        return self.parent.top if self.parent else self

    def use(self) -> None:
        """Start its retention again."""
        self.top.is_due = False


@dataclass(eq=False)
class Talk:
    """A conversation."""

    id: str
    owner: str
    root: Root
    history: list[Item]
    forked_from: str | None = None
    active: "Turn | None" = None
    is_deleted: bool = False


@dataclass(eq=False)
class Turn:
    """A response."""

    draft: Draft
    owner: str
    root: Root
    talk: Talk | None
    history: list[Item]
    narration: Narration
    log: list[tuple[int, list[Signal], bool]]
    account: ModelInput
    epochs: list[str] = field(default_factory=lambda: ["1"])
    past_epochs: set[str] = field(default_factory=set)
    """Those that a fail-over has lost as well: runs may still have them."""
    attempts: int = 1
    ending: str = ""
    status: str = "in_progress"
    is_lost: bool = False
    is_released: bool = False
    is_deleted: bool = False

    @property
    def id(self) -> str:
        return self.draft.response.id

    @property
    def epoch(self) -> str:
        """The epoch that may write."""
        return self.epochs[-1]

    @property
    def is_active(self) -> bool:
        return self.status == "in_progress" and not self.is_deleted

    def take(self, epoch: str, *, is_cancel: bool) -> None:
        """Another run, or a cancel, seizes it."""
        assert epoch.startswith(f"{int(self.epoch.partition('.')[0]) + 1}.")
        assert epoch not in self.past_epochs
        self.epochs.append(epoch)
        self.past_epochs.add(epoch)
        self.attempts += not (is_cancel or self.is_released)
        self.ending = "cancelled" if is_cancel else self.ending
        self.is_lost = self.is_released = False

    def end(self, status: str, items: list[Item]) -> None:
        """Its items join the history."""
        self.status = status
        self.is_lost = False
        self.history = [*self.history, *items]
        self.root.use()
        if self.talk and self.talk.active is self:
            self.talk.active = None
            self.talk.history = self.history


@dataclass(eq=False)
class Hand:
    """A run or a seizure, with an epoch that may be stale."""

    turn: Turn
    epoch: str
    replica: int


@dataclass
class World:
    """The expected state."""

    talks: list[Talk] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    hands: list[Hand] = field(default_factory=list)
    deleted_items: set[str] = field(default_factory=set)
    keys: dict[tuple[str, str, str], tuple[Turn, str]] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    roots: dict[str, Root] = field(default_factory=dict)

    def shown(self, history: list[Item]) -> list[Item]:
        """A history without its deleted items."""
        return [item for item in history if item.id not in self.deleted_items]

    def kill(self, root: Root) -> None:
        """Begin the erasure of a root and of everything below it."""
        root.is_gone = True
        self.kill_below(root)

    def kill_below(self, root: Root) -> None:
        root.is_dying = True
        for talk in self.talks:
            if talk.root.parent is root and not talk.root.is_dying:
                self.kill_below(talk.root)

    def bury(self) -> None:
        """Remove what was being erased."""
        self.talks = [talk for talk in self.talks if not talk.root.is_dying]
        for turn in self.turns:
            turn.is_deleted |= turn.root.is_dying


class Scripts(RuleBasedStateMachine):
    """The rules. Each acts on Redis and on the model, and compares the results."""

    redis: Any  # its types do not say that it returns bytes
    runner: asyncio.Runner
    replicas: tuple[Stores, Stores]

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.steps_since_an_end = 0
        self.do(self.redis.flushdb())

    def do(self, work: Awaitable[Result]) -> Result:
        async def wait() -> Result:
            return await work

        return self.runner.run(wait())

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

    # --- conversations ---

    @initialize()
    def begin_with_something(self) -> None:
        """Conversations and running answers, so that every rule has something to work on from the first step."""
        for owner in OWNERS:
            self.make_conversation(owner, ["a", "b"])
            self.begin(self.world.talks[-1], "c")
        self.begin(None, "d")

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

    def forget(self, talk: Talk) -> None:
        assert not talk.is_deleted
        talk.is_deleted = True
        self.world.kill(talk.root)

    # --- turns ---

    @rule(
        data=st.data(),
        key=st.sampled_from([None, "k1", "k2"]),
        body=st.sampled_from(["b1", "b2"]),
        is_retry=st.booleans(),
        budget=st.sampled_from([0, 12, 40, 8000]),
        is_twice=st.booleans(),
        replica=st.integers(0, 1),
    )
    def admit(  # noqa: PLR0917 -- hypothesis gives them by their names
        self,
        data: st.DataObject,
        key: str | None,
        body: str,
        is_retry: bool,
        budget: int,
        is_twice: bool,
        replica: int,
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
        asking: dict[str, Any] = {"owner": owner, "history_tokens": budget, "lease_s": LEASE_S}
        known = self.world.keys.get((owner, anchor.id if anchor else "", key)) if key else None
        try:
            admitted = self.do(store.admit(draft, **asking))
        except KeyReused:
            assert known
            assert known[1] != body
            return
        except (NotFound, ConversationLocked, ResponseNotEnded) as error:
            assert not known
            assert anchor
            self.check_refusal(anchor, owner, error)
            return
        if known:
            assert known[1] == body
            assert admitted == Attached(known[0].id)
            return
        if isinstance(anchor, Talk) and anchor.active:
            active = anchor.active
            assert owner == anchor.owner
            assert is_retry
            assert active.draft.claim.body_hash == body
            assert admitted == Attached(active.id)
            return
        assert isinstance(admitted, Admitted)
        if is_twice:
            assert self.do(store.admit(draft, **asking)) == admitted
        self.check_admitted(anchor, owner, draft, admitted, budget)
        self.world.hands.append(Hand(self.world.turns[-1], admitted.epoch, replica))
        if key:
            self.world.keys[owner, anchor.id if anchor else "", key] = (self.world.turns[-1], body)

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
        self.world.turns.append(turn)
        if talk:
            talk.active = turn
        root.use()

    def newest_within(self, budget: int, history: list[Item], *, max_items: int | None = None) -> list[Item]:
        window: list[Item] = []
        for item in reversed(self.world.shown(history)):
            budget -= estimate_tokens(item)
            if budget < 0 or len(window) == max_items:
                break
            window.insert(0, item)
        return window

    @rule(data=st.data(), words=st.lists(texts, max_size=3), is_twice=st.booleans())
    @precondition(lambda self: self.world.hands)
    def append(self, data: st.DataObject, words: list[str], is_twice: bool) -> None:
        hand = self.draw_hand(data)
        turn = hand.turn
        signals: list[Signal] = [Text(word) for word in words]
        is_current = hand.epoch == turn.epoch and turn.is_active
        group = build_group(turn.narration, signals) if is_current else Group(1, 9, pack(signals))
        store = self.replicas[hand.replica].responses
        try:
            for _ in range(1 + is_twice):
                self.do(store.append(turn.id, group, epoch=hand.epoch, lease_s=LEASE_S))
        except StaleRun:
            assert not is_current or turn.root.is_dying
            return
        assert is_current
        turn.is_lost = False
        if signals:
            turn.log.append((group.last_number, signals, False))

    @rule(data=st.data(), missing=st.integers(1, 5), is_renewal=st.booleans())
    @precondition(lambda self: self.world.hands)
    def append_behind_a_hole(self, data: st.DataObject, missing: int, is_renewal: bool) -> None:
        hand = self.draw_hand(data)
        turn = hand.turn
        after = turn.log[-1][0] + missing
        group = Group(after, after + 1, b"" if is_renewal else b'["x"]')
        with pytest.raises((StaleRun, TailLost)) as refused:
            self.do(self.stores.responses.append(turn.id, group, epoch=hand.epoch, lease_s=LEASE_S))
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

    def check_seized(self, turn: Turn, seized: Seized) -> None:
        assert (seized.owner, seized.attempts, seized.ending) == (turn.owner, turn.attempts, turn.ending)
        assert seized.response == turn.narration.response
        assert list(seized.input) == list(turn.draft.input)
        assert seized.model_request == turn.draft.model_request
        assert seized.model_input == turn.account

    def take_end(self, turn: Turn, ended: Response, items: list[Item], signals: Sequence[Signal] = ()) -> None:
        entries = self.do(self.stores.event_log.read(turn.id, after=turn.log[-1][0]))
        assert [(list(entry.signals), entry.is_last) for entry in entries] == [(list(signals), True)]
        turn.log.append((entries[0].last_number, list(signals), True))
        turn.end(ended.status, items)

    # --- takeovers and fail-overs ---

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
        for number, told, _ in turn.log:
            self.do(self.redis.xadd(keys.event_log(turn.id), {"s": pack(told)}, id=f"0-{number}"))
        self.do(self.redis.hset(keys.response(turn.id), "logged", after))
        turn.narration = Narration(turn.narration.response)
        turn.narration.opening()
        for _, told, _ in turn.log:
            turn.narration.tell(told)
        next_group = Group(last_number, last_number + 1, pack(signals))
        with pytest.raises(TailLost) as lost:
            self.do(self.stores.responses.append(turn.id, next_group, epoch=turn.epoch, lease_s=LEASE_S))
        assert lost.value.last_number == after

    def may_fail_over(self, turn: Turn) -> bool:
        return turn.is_active and not turn.root.is_dying

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

    # --- time ---

    @rule(data=st.data())
    @precondition(lambda self: any(turn.is_active and not turn.root.is_dying for turn in self.world.turns))
    def lose_lease(self, data: st.DataObject) -> None:
        active = [turn for turn in self.world.turns if turn.is_active and not turn.root.is_dying]
        self.lose(data.draw(st.sampled_from(active)))

    def lose(self, turn: Turn) -> None:
        assert self.do(self.redis.zadd(keys.leases(PARTITION), {turn.id: 1}, xx=True, ch=True)) in {0, 1}
        turn.is_lost = True

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
            turn.narration.tell(MORE)
            ended = turn.narration.end(completed_at=1, finished=Finished("stop"))
            self.take_end(turn, ended, [*turn.draft.input, *ended.output], MORE)

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

    # --- invariants ---

    @invariant()
    def time_goes_on(self) -> None:
        self.steps_since_an_end += 1

    @invariant()
    def conversations_are_those_of_the_model(self) -> None:
        for talk in self.world.talks:
            if talk.is_deleted:
                with pytest.raises(NotFound):
                    self.do(self.stores.conversations.get(talk.id, owner=talk.owner))
            elif not talk.root.is_dying:
                self.check_talk(talk)

    def check_talk(self, talk: Talk) -> None:
        shown = self.world.shown(talk.history)
        found = self.do(self.stores.conversations.get(talk.id, owner=talk.owner))
        assert found.active_response_id == (talk.active.id if talk.active else None)
        assert found.forked_from == talk.forked_from
        assert self.read_items(talk, "asc", 2) == [encode(item) for item in shown]
        assert self.read_items(talk, "desc", 3) == [encode(item) for item in reversed(shown)]
        if shown:
            got = self.do(self.stores.conversations.get_item(talk.id, shown[-1].id, owner=talk.owner))
            assert got == encode(shown[-1])
            assert list(self.do(self.stores.conversations.find_items([shown[0].id], owner=talk.owner))) == [shown[0]]
        other = OWNERS[talk.owner == OWNERS[0]]
        with pytest.raises(NotFound):
            self.do(self.stores.conversations.list_items(talk.id, owner=other, limit=1, order="asc", after=None))

    def read_items(self, talk: Talk, order: Literal["asc", "desc"], limit: int) -> list[bytes]:
        found: list[bytes] = []
        after = None
        while True:
            listing = self.stores.conversations.list_items(
                talk.id, owner=talk.owner, limit=limit, order=order, after=after
            )
            page = self.do(listing)
            found += page.data
            after = page.last_id
            if not page.has_more:
                return found

    @invariant()
    def responses_are_those_of_the_model(self) -> None:
        for turn in self.world.turns:
            if turn.is_deleted:
                with pytest.raises(NotFound):
                    self.do(self.stores.responses.get(turn.id, owner=turn.owner))
            elif not turn.root.is_dying:
                stored = self.do(self.stores.responses.get(turn.id, owner=turn.owner))
                assert stored.status == turn.status
                entries = self.do(self.stores.event_log.read(turn.id, after=-1))
                assert [(entry.last_number, list(entry.signals), entry.is_last) for entry in entries] == turn.log

    @invariant()
    def leases_are_those_of_active_responses(self) -> None:
        leased = {lease.decode() for lease in self.do(self.redis.zrange(keys.leases(PARTITION), 0, -1))}
        dying = {turn.id for turn in self.world.turns if turn.root.is_dying}
        assert leased - dying == {turn.id for turn in self.world.turns if turn.is_active and not turn.root.is_dying}

    @invariant()
    def expiry_knows_what_there_is(self) -> None:
        members = {member.decode() for member in self.do(self.redis.zrange(keys.expiry(PARTITION), 0, -1))}
        mine = {f"conv:{talk.id}" for talk in self.world.talks if not talk.is_deleted and talk.root.parent is None}
        assert {member for member in members if member.startswith("conv:")} == mine
        for member in members - mine:
            timeline = member.removeprefix("chain:")
            assert self.do(self.redis.exists(f"{keys.prefix(PARTITION)}tl:{timeline}:meta")) == 1

    @invariant()
    def lists_are_those_of_the_model(self) -> None:
        for owner in OWNERS:
            found, _ = self.do(self.stores.conversations.list(owner=owner, limit=100, after=None))
            mine = {talk.id: talk for talk in self.world.talks if talk.owner == owner and not talk.is_deleted}
            listed = [conversation.id for conversation in found]
            assert len(set(listed)) == len(listed)
            assert set(listed) <= set(mine)
            assert {talk.id for talk in mine.values() if not talk.root.is_dying} <= set(listed)

    def teardown(self) -> None:
        """Delete and sweep everything: nothing may be left."""
        for talk in self.world.talks:
            if not talk.is_deleted and not talk.root.is_dying:
                self.do(self.stores.conversations.delete(talk.id, owner=talk.owner))
        members = self.do(self.redis.zrange(keys.expiry(PARTITION), 0, -1))
        if members:
            self.do(self.redis.zadd(keys.expiry(PARTITION), dict.fromkeys(members, 1)))
        self.do(erase_due(self.stores.eraser))
        assert self.do(find_left(self.redis)) == []


async def find_left(redis: Redis) -> list[str]:
    """Keys that nothing refers to any more and that never expire."""
    left = []
    async for key in redis.scan_iter(count=1000):
        name = key.decode().removeprefix(keys.prefix(PARTITION))
        kind = name.partition(":")[0]
        is_tombstone = kind in {"conv", "resp"} and await redis.hkeys(key) == [b"deleted"]
        is_brief = is_tombstone or kind in {"idem", "gone"}
        is_listing = name.startswith("eps:owner:")
        if not is_listing and not (is_brief and await redis.ttl(key) > 0):
            left.append(name)
    return left


@pytest.fixture
def machine(start_valkey: StartValkey) -> Iterator[type[Scripts]]:
    """The state machine on its own Valkey and event loop."""
    server = start_valkey(appendfsync="no")
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        redis = Redis.from_url(server.url)
        stack.callback(lambda: runner.run(redis.aclose()))
        replicas = tuple(open_stores(redis, replica_id=f"rep_{number}", items_a_slice=3) for number in range(2))
        attributes: dict[str, Any] = {"redis": redis, "runner": runner, "replicas": replicas}
        yield type("BoundScripts", (Scripts,), attributes)


@pytest.mark.timeout(600)  # hypothesis shrinks a failure before it reports it
def test_redis_is_as_the_model_says_whatever_happens_in_whatever_order(machine: type[Scripts]) -> None:
    run_state_machine_as_test(machine, settings=FEW)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_redis_is_as_the_model_says_after_long_lives(machine: type[Scripts]) -> None:
    run_state_machine_as_test(machine, settings=settings(FEW, max_examples=2000, stateful_step_count=60))
