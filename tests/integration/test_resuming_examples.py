"""The example clients of `docs/examples/` print the whole answer, whatever breaks while it is written."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.support.balancer import Balancer
from tests.support.missing import give_up
from tests.support.model_calls import ModelCalls
from tests.support.processes import REPO_ROOT
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.turns import get_text, open_client, wait_until_known

FOLDER = REPO_ROOT / "docs" / "examples"
COMMANDS = {"resume.py": [sys.executable], "resume.mjs": ["node"], "resume.sh": ["sh"]}
# A text with all that a shell or a parser could get wrong, over ten seconds.
HARD = 'Say "it\'s 100 % \\done\\"; {next}: äöü 漢字 🙂 $HOME `id` \\n\nend'
QUESTION = f"repeat: {HARD} {' '.join(map(str, range(100)))} [[standin token_s=0.1]]"
LIMIT_S = 60
StartReplica = Callable[..., Replica]


@dataclass
class Client:
    """An example that runs; what it has printed so far."""

    process: asyncio.subprocess.Process
    printed: bytes = b""

    async def see(self, words: bytes) -> None:
        """Wait until it has printed this."""
        assert self.process.stdout is not None
        while words not in self.printed:
            data = await self.process.stdout.read(1024)
            assert data, (self.printed, await self.read_errors())
            self.printed += data

    async def finish(self) -> tuple[str, str]:
        """What it has printed in all, and the id of the response. It must end well."""
        assert self.process.stdout is not None
        self.printed += await self.process.stdout.read()
        told = await self.read_errors()
        assert await self.process.wait() == 0, told
        return self.printed.decode(), told.strip()

    async def read_errors(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


@asynccontextmanager
async def run_example(name: str, url: str, key: str, question: str = QUESTION) -> AsyncIterator[Client]:
    """The example, asked this."""
    [program, *_] = command = COMMANDS[name]
    if shutil.which(program) is None:
        give_up(f"{program} is not installed")
    process = await asyncio.create_subprocess_exec(
        *command,
        str(FOLDER / name),
        question,
        env={**os.environ, "EPS_URL": f"{url}/v1", "EPS_KEY": key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Client(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_they_go_on_after_a_cut_and_after_the_death_of_the_replica_that_writes(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    settings = {**service.environment, "LEASE_S": "3"}
    dying, living = await asyncio.gather(*(asyncio.to_thread(start_replica, settings) for _ in range(2)))
    ports = [dying.port]
    async with (
        open_client(http, living) as client,
        Balancer(lambda: ports) as balancer,
        AsyncExitStack() as stack,
        asyncio.timeout(LIMIT_S),
    ):
        await wait_until_known(client)
        await balancer.wait_until_ready()
        opened = [run_example(name, balancer.url, service.alice_key) for name in COMMANDS]
        examples = [await stack.enter_async_context(each) for each in opened]
        await asyncio.gather(*(each.see(b" 5 ") for each in examples))
        balancer.reset_connections()
        await asyncio.gather(*(each.see(b" 25 ") for each in examples))
        ports.append(living.port)
        await asyncio.to_thread(dying.kill)
        for name, (printed, response_id) in zip(COMMANDS, [await each.finish() for each in examples], strict=True):
            stored = (await client.get(f"/v1/responses/{response_id}")).json()
            assert stored["status"] == "completed", name
            assert printed == get_text(stored), name
            assert printed.startswith(HARD)
            assert printed.endswith(" 98 99")


@pytest.mark.parametrize("name", COMMANDS)
async def test_when_its_request_arrives_and_the_answer_does_not_there_is_still_one_answer(
    name: str, service: Service, http: httpx.AsyncClient, model_calls: ModelCalls
) -> None:
    words = f"once, says {name}"

    async def count_calls() -> int:
        return len([body for body in await model_calls.list_bodies() if words in str(body)])

    async with Balancer(lambda: [service.replica.port]) as balancer, asyncio.timeout(LIMIT_S):
        await balancer.wait_until_ready()
        async with run_example(name, balancer.url, service.alice_key, f"repeat: {words}") as example:
            balancer.is_mute = True
            await eventually(count_calls, within_s=LIMIT_S)  # an SDK takes seconds to import on a busy machine
            balancer.is_mute = False
            balancer.reset_connections()
            printed, response_id = await example.finish()
    assert printed == words == get_text((await http.get(f"/v1/responses/{response_id}")).json())
    assert await count_calls() == 1


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_refusal_is_told_and_not_tried_again(name: str, service: Service) -> None:
    async with run_example(name, service.url, "a wrong key") as example, asyncio.timeout(LIMIT_S):
        assert await example.process.wait() != 0
        assert "Incorrect API key" in await example.read_errors()
