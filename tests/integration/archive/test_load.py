"""Turns do not notice whether SQL is there; what they said comes to it when it is back."""

import asyncio
import time
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.support.postgres import PostgresServer
from tests.support.servers import StandinServer, ValkeyServer, eventually
from tests.support.service import ALICE_KEY, start_service
from tests.support.turns import ask

AT_ONCE = 8
TURNS_A_ROUND = 400
ROUNDS = 4


async def take_turns(http: httpx.AsyncClient) -> float:
    """Turns a second."""
    began = time.monotonic()

    async def talk() -> None:
        for _ in range(TURNS_A_ROUND // AT_ONCE):
            await ask(http, "Hello")

    await asyncio.gather(*(talk() for _ in range(AT_ONCE)))
    return TURNS_A_ROUND / (time.monotonic() - began)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_turns_are_as_fast_without_sql_and_are_archived_when_it_is_back(
    own_valkey: ValkeyServer, standin: StandinServer, tmp_path: Path
) -> None:
    headers = {"Authorization": f"Bearer {ALICE_KEY}"}
    rates: dict[str, list[float]] = {"with": [], "without": []}
    with (
        PostgresServer(tmp_path) as postgres,
        start_service(own_valkey, standin, tmp_path, DATABASE_URL=postgres.url) as service,
    ):
        async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=60) as http:
            await take_turns(http)
            for _ in range(ROUNDS):  # in turn: others use the machine too
                rates["with"].append(await take_turns(http))
                await asyncio.to_thread(postgres.kill)
                rates["without"].append(await take_turns(http))
                await asyncio.to_thread(postgres.start)
        ratio = sum(rates["without"]) / sum(rates["with"])
        print(f"turns a second {rates}, without SQL {ratio:.2f} of those with it")  # noqa: T201 -- the figure

        def count_archived() -> bool:
            with psycopg.connect(postgres.url) as database:
                [(count,)] = database.execute(
                    "SELECT count(*) FROM prompts_archivedresponse WHERE status = 'completed'"
                ).fetchall()
            return bool(count == TURNS_A_ROUND * (2 * ROUNDS + 1))

        await eventually(count_archived, within_s=120)
    assert ratio >= 0.9
