"""Every operation on conversations and responses, in any order, compared with a model of plain dictionaries.

An object whose erasure has begun is *dying*. Nothing may continue it. It may stay visible for a few milliseconds, and
in the end nothing of it may be left.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import initialize, run_state_machine_as_test
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.run.sweeping import erase_due
from tests.integration.state_machine.conversation_rules import ConversationRules
from tests.integration.state_machine.erasure_rules import ErasureRules
from tests.integration.state_machine.invariants import Invariants
from tests.integration.state_machine.machine import OWNERS, PARTITION
from tests.integration.state_machine.redis_machine import SHORT_LIVES, open_redis
from tests.integration.state_machine.takeover_rules import TakeoverRules
from tests.support.builders import open_stores
from tests.support.server_fixtures import StartValkey

FEW = settings(SHORT_LIVES, max_examples=15)


class Scripts(ConversationRules, TakeoverRules, ErasureRules, Invariants):
    """The rules. Each acts on Redis and on the model, and compares the results."""

    @initialize()
    def begin_with_something(self) -> None:
        """Conversations and running answers, so that every rule has something to work on from the first step."""
        for owner in OWNERS:
            self.make_conversation(owner, ["a", "b"])
            self.begin(self.world.talks[-1], "c")
        self.begin(None, "d")

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
        is_tombstone = kind in {"conv", "resp"} and set(await redis.hkeys(key)) <= {b"deleted", b"erasing", b"let_go"}
        is_brief = is_tombstone or kind in {"idem", "gone", "readers"}
        is_listing = name.startswith("eps:owner:")
        if not is_listing and not (is_brief and await redis.ttl(key) > 0):
            left.append(name)
    return left


@pytest.fixture
def machine(start_valkey: StartValkey) -> Iterator[type[Scripts]]:
    """The state machine on its own Valkey and event loop."""
    with open_redis(start_valkey) as (redis, runner):
        # One of them stages whatever it writes, as if it were much.
        replicas = tuple(
            open_stores(redis, replica_id=f"rep_{number}", items_a_slice=3, max_at_once=at_once)
            for number, at_once in enumerate((100, 0))
        )
        attributes: dict[str, Any] = {"redis": redis, "runner": runner, "replicas": replicas}
        yield type("BoundScripts", (Scripts,), attributes)


@pytest.mark.timeout(600)  # hypothesis shrinks a failure before it reports it
def test_redis_is_as_the_model_says_whatever_happens_in_whatever_order(machine: type[Scripts]) -> None:
    run_state_machine_as_test(machine, settings=FEW)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_redis_is_as_the_model_says_after_long_lives(machine: type[Scripts]) -> None:
    run_state_machine_as_test(machine, settings=settings(FEW, max_examples=2000, stateful_step_count=60))
