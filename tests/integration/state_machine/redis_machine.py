"""What every state machine on Redis has: a server and an event loop of its own."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine
from redis.asyncio import Redis

from prompts.ports.event_log import Group
from prompts.ports.responses import ResponseStore
from tests.support.server_fixtures import StartValkey

Result = TypeVar("Result")

SHORT_LIVES = settings(
    stateful_step_count=40, report_multiple_bugs=False, deadline=None, suppress_health_check=list(HealthCheck)
)


class RedisMachine(RuleBasedStateMachine):
    """It begins with an empty Redis."""

    redis: Any  # its types do not say that it returns bytes
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.do(self.redis.flushdb())

    def do(self, work: Awaitable[Result]) -> Result:
        async def wait() -> Result:
            return await work

        return self.runner.run(wait())


async def append(store: ResponseStore, response_id: str, group: Group, *, epoch: str, lease_s: float) -> None:
    """`ResponseStore.append` is called in the event loop."""
    await store.append(response_id, group, epoch=epoch, lease_s=lease_s)


@contextmanager
def open_redis(start_valkey: StartValkey) -> Iterator[tuple[Redis, asyncio.Runner]]:
    """A client of a Valkey that nobody else uses, and the event loop that it lives on."""
    server = start_valkey(appendfsync="no")
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        redis = Redis.from_url(server.url)
        stack.callback(lambda: runner.run(redis.aclose()))
        yield redis, runner
