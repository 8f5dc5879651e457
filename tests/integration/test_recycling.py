"""Workers are replaced under load: no stream is cut, no request fails, none is killed."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.support.oracle import check_events, read_frames
from tests.support.servers import Replica, StandinServer, ValkeyServer, eventually
from tests.support.service import ALICE_KEY, prepare, service_environment

CLIENTS = 8
TURNS = 12
WORDS = 30


@pytest.mark.long
async def test_recycled_workers_lose_nothing(own_valkey: ValkeyServer, standin: StandinServer, tmp_path: Path) -> None:
    environment = service_environment(own_valkey, standin, tmp_path)
    environment |= {"WORKERS": "2", "MAX_REQUESTS": "15", "DRAIN_S": "5", "LEASE_S": "5"}
    prepare(environment)
    with Replica(tmp_path / "replica", environment) as replica:
        await asyncio.gather(
            *(talk(replica.url, f"write {WORDS} words [[standin token_s=0.02]]") for _ in range(CLIENTS))
        )
        assert replica.log.count('"worker_recycled"') >= 2, replica.log[-3000:]
        # The last one may still be on its way out.
        await eventually(lambda: replica.log.count("Booting worker with pid") >= 4, within_s=30)
        log = replica.log
        assert "SIGABRT" not in log
        assert "WORKER TIMEOUT" not in log
        assert '"run_lost"' not in log


async def talk(url: str, text: str) -> None:
    """One client's streamed turns, each on a connection of its own: every one is whole."""
    headers = {"Authorization": f"Bearer {ALICE_KEY}", "Connection": "close"}
    for _ in range(TURNS):
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
            answer = await http.post("/v1/responses", json={"input": text, "stream": True})
        assert answer.status_code == 200, answer.text
        final = check_events(read_frames(answer.content))
        assert final["status"] == "completed"
        assert len(final["output"][0]["content"][0]["text"].split()) == WORDS
