"""Fixtures of every test: the running service, and its clients."""

import gc
import os

# Nine thousand tests are a million objects that stay. Python looked through them again and again: 18 of the 27 seconds
# that collecting them took, in each process of pytest.
gc.disable()

# Django reads its settings when pytest starts. The servers of a test are started later, on free ports.
os.environ.setdefault("SECRET_KEY", "a key for tests, which protects nothing")

from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

import httpcore2
import httpx
import httpx._transports.default as httpx_transports
import pytest
from openai import AsyncOpenAI

from tests.support.model_calls import ModelCalls, open_control, wait_until_left
from tests.support.oracle import check_answer
from tests.support.servers import ColdReplica, Replica, StandinServer, ValkeyServer
from tests.support.service import Service, start_service
from tests.support.turns import open_client

pytest_plugins = ["tests.support.server_fixtures"]

# Each of some ten thousand clients read the certificates of the web: 30 ms of CPU, for servers on loopback. Now the
# first one does, of httpx, and of that of the official SDK.
for module, name in ((httpx_transports, "create_ssl_context"), (httpcore2, "default_ssl_context")):
    setattr(module, name, cache(getattr(module, name)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files that share servers go to one process."""
    from tests.support.side_by_side import Scheduling  # without xdist this hook is not asked

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """From here on only what tests make is looked through."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that measures time may fail because the machine did something else. A fault of ours fails every time."""
    for item in items:
        if item.get_closest_marker("timed"):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=2))


@pytest.fixture(scope="session")
def service(
    valkey: ValkeyServer, standin: StandinServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The shared replica: the production server on a real Valkey and the stand-in model."""
    with start_service(valkey, standin, tmp_path_factory.mktemp("service"), ColdReplica) as running:
        yield running


@pytest.fixture(scope="session")
def other_replica(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """The shared second replica of the same service."""
    with Replica(tmp_path_factory.mktemp("replica"), service.environment) as replica:
        yield replica


@pytest.fixture
async def alice(service: Service) -> AsyncIterator[AsyncOpenAI]:
    """The official SDK with Alice's key. It never retries, so that a test sees what the server answers."""
    async with AsyncOpenAI(base_url=service.api_url, api_key=service.alice_key, max_retries=0) as client:
        yield client


@pytest.fixture
async def bob(service: Service) -> AsyncIterator[AsyncOpenAI]:
    """The official SDK with the key of another owner."""
    async with AsyncOpenAI(base_url=service.api_url, api_key=service.bob_key, max_retries=0) as client:
        yield client


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Plain HTTP with Alice's key. Every answer under `/v1` is checked against the specification."""
    headers = {"Authorization": f"Bearer {service.alice_key}"}
    hooks = {"response": [check_answer]}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, event_hooks=hooks, timeout=30) as client:
        yield client


@pytest.fixture
async def other(http: httpx.AsyncClient, other_replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """The same at the other replica."""
    async with open_client(http, other_replica) as client:
        yield client


@pytest.fixture
async def quiet_model(standin: StandinServer) -> None:
    """For a test that counts open calls: an earlier one may have left an answer that is still written."""
    await wait_until_left(standin)


@pytest.fixture
async def model_calls(standin: StandinServer) -> AsyncIterator[ModelCalls]:
    """The calls to the model since the test began."""
    async with open_control(standin) as client:
        calls = ModelCalls(client)
        await calls.forget()
        yield calls
