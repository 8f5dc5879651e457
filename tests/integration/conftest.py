"""Fixtures of several files: a Redis for the stores alone, a browser of staff, and what the model is told to do."""

from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
from redis.asyncio import Redis

from tests.integration.event_loops import Run, run_on
from tests.support.builders import Stores, open_redis, open_stores
from tests.support.model_calls import SetModel, open_control
from tests.support.server_fixtures import StartValkey
from tests.support.servers import StandinServer
from tests.support.service import Service
from tests.support.staff import make_members, make_staff, open_signed_in

# Their assertions show values, as those of test modules do.
pytest.register_assert_rewrite("tests.integration.state_machine")


@pytest.fixture
async def set_model(standin: StandinServer) -> AsyncIterator[SetModel]:
    """Set default directives of the stand-in, for calls that the service makes by itself. Reset at the end."""
    async with open_control(standin) as client:

        async def set_defaults(**directives: str | float | bool) -> None:
            answer = await client.post("/_control/defaults", json=directives)
            assert answer.status_code == 200, answer.text

        yield set_defaults
        await client.delete("/_control/defaults")


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's coroutine on each event loop."""
    return run_on(request.param)


@pytest.fixture
async def redis(start_valkey: StartValkey) -> AsyncIterator[Redis]:
    """A client of a Valkey of the test's own."""
    async with open_redis(start_valkey(appendfsync="no").url) as client:
        yield client


@pytest.fixture
def stores(redis: Redis) -> Stores:
    """The stores on it, or on the file's own `redis`."""
    return open_stores(redis)


@pytest.fixture(scope="session")
def staff(service: Service) -> str:
    """The name of somebody who may do everything in the admin of the shared service."""
    return make_staff(service.environment, "staff")


@pytest.fixture(scope="session")
def cookies() -> dict[str, httpx.Cookies]:
    """Of browsers that are signed in there, by the names of staff."""
    return {}


@pytest.fixture
async def browser(service: Service, staff: str, cookies: dict[str, httpx.Cookies]) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is signed in there."""
    async with open_signed_in(service.url, staff, cookies) as client:
        yield client


@pytest.fixture(scope="session")
def members(service: Service) -> Mapping[str, str]:
    """The names of Sue, who is in the group `support`, and of Oscar, who is in `operators`."""
    make_members(service.environment, sue="support", oscar="operators")
    return {"support": "sue", "operators": "oscar"}


@pytest.fixture
async def sue(
    service: Service, members: Mapping[str, str], cookies: dict[str, httpx.Cookies]
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which Sue is signed in: she reads."""
    async with open_signed_in(service.url, members["support"], cookies) as client:
        yield client


@pytest.fixture
async def oscar(
    service: Service, members: Mapping[str, str], cookies: dict[str, httpx.Cookies]
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which Oscar is signed in: he also changes."""
    async with open_signed_in(service.url, members["operators"], cookies) as client:
        yield client
