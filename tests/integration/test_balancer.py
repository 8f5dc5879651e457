"""compose.yaml's load balancer, HAProxy with the file of this repository, in front of three replicas."""

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.missing import give_up
from tests.support.processes import REPO_ROOT, ServerProcess
from tests.support.servers import Replica, get_status
from tests.support.service import Service
from tests.support.turns import Stream, get_text

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

CONFIGURATION = REPO_ROOT / "deploy/haproxy.cfg"
SDK_CLIENTS = 3


class Balancer(ServerProcess):
    """HAProxy on a port of its own; the replicas stand where Docker's DNS would name them."""

    def __init__(self, directory: Path, replicas: Sequence[Replica]) -> None:
        super().__init__(directory)
        self._replicas = replicas

    def get_command(self) -> list[str]:
        path = self.directory / "haproxy.cfg"
        path.write_text(self._compose_configuration(), "utf-8")
        return ["haproxy", "-db", "-f", str(path)]

    def is_ready(self) -> bool:
        return get_status(self.ports[0], "/readyz") == 200

    def _compose_configuration(self) -> str:
        text = CONFIGURATION.read_text("utf-8").replace("bind :8080", f"bind 127.0.0.1:{self.ports[0]}")
        servers = "\n".join(
            f"    server replica{number} 127.0.0.1:{replica.port}" for number, replica in enumerate(self._replicas)
        )
        text, replaced = re.subn(r"    server-template .*", servers, text)
        assert replaced == 1
        return text


@pytest.fixture(scope="module")
def replicas(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Replica]]:
    """Three replicas of the service."""
    with ExitStack() as stack:
        environment = {**service.environment, "DRAIN_S": "3"}
        yield [stack.enter_context(Replica(tmp_path_factory.mktemp("balanced"), environment)) for _ in range(3)]


@pytest.fixture
def balancer(replicas: list[Replica], tmp_path: Path) -> Iterator[Balancer]:
    """HAProxy in front of them. Where it is not installed, CI fails and others skip."""
    if not shutil.which("haproxy"):
        give_up("there is no haproxy: as root on Debian, apt-get install --no-install-recommends haproxy")
    with Balancer(tmp_path, replicas) as running:
        yield running


@pytest.fixture
async def client(balancer: Balancer, service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Alice, through the balancer."""
    key = {"Authorization": f"Bearer {service.alice_key}"}
    async with httpx.AsyncClient(base_url=balancer.url, headers=key, timeout=60) as opened:
        yield opened


@pytest.mark.timed
async def test_words_pass_as_they_come(client: httpx.AsyncClient) -> None:
    began = time.monotonic()
    stream = Stream.of_turn(client, "count to 12 [[standin token_s=0.5]]")
    await stream.see_words(2)
    assert time.monotonic() - began < 5  # of six seconds that the answer takes
    assert get_text(await stream.read_final())


async def test_a_large_body_passes_and_a_larger_one_is_refused_by_the_service(client: httpx.AsyncClient) -> None:
    half = await client.post("/v1/responses/input_tokens", json={"input": "x" * 5_000_000})
    assert half.status_code == 200
    too_large = await client.post("/v1/responses/input_tokens", json={"input": "x" * 11_000_000})
    assert too_large.json()["error"]["code"] == "request_too_large"


async def test_replicas_leave_and_come_back_and_the_plain_sdk_notices_nothing(
    balancer: Balancer, replicas: list[Replica], service: Service
) -> None:
    stop = asyncio.Event()
    answers: list[str] = []

    async def keep_asking(number: int) -> None:
        async with AsyncOpenAI(base_url=f"{balancer.url}/v1", api_key=service.alice_key) as sdk:
            while not stop.is_set():
                text = f"Client {number}, question {len(answers)}: count to 20 [[standin token_s=0.03]]"
                async with sdk.responses.stream(input=text, model="stand-in") as stream:
                    async for _ in stream:
                        pass
                    answers.append((await stream.get_final_response()).output_text)

    async with asyncio.TaskGroup() as clients:
        for number in range(SDK_CLIENTS):
            clients.create_task(keep_asking(number))
        for replica in replicas:
            await asyncio.to_thread(replica.restart)
        stop.set()
    assert len(answers) >= 3 * SDK_CLIENTS
    assert set(answers) == {" ".join(str(number) for number in range(1, 21))}


async def test_a_dying_replica_fails_no_get(client: httpx.AsyncClient, replicas: list[Replica]) -> None:
    replicas[0].kill()
    try:
        statuses = {(await client.get("/healthz")).status_code for _ in range(20)}
        assert statuses == {200}
    finally:
        replicas[0].start()
