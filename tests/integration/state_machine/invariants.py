"""What must hold after every step."""

from typing import Literal

import pytest
from hypothesis.stateful import invariant

from prompts.adapters.redis import keys
from prompts.answer.events import encode
from prompts.domain.waypoints import pack_waypoint
from prompts.errors import NotFound
from tests.integration.state_machine.machine import OWNERS, PARTITION, Machine
from tests.integration.state_machine.world import Talk


class Invariants(Machine):
    """Redis shows what is expected."""

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
        listed, _ = self.do(
            self.stores.conversations.list(owner=talk.owner, limit=100, after=None, forked_from=talk.id)
        )
        forks = {each.id for each in self.world.talks if each.forked_from == talk.id and not each.is_deleted}
        dying = {each.id for each in self.world.talks if each.root.is_dying}
        assert forks - dying <= {each.id for each in listed} <= forks
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
                passed = self.do(self.stores.event_log.find_waypoint(turn.id, upto=turn.log[-1][0]))
                found = (passed.last_number, pack_waypoint(passed.waypoint)) if passed else None
                assert found == max(turn.waypoints.items(), default=None)

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
