"""A replica is killed during a summary or just after it: another continues, and the events show no seam."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.oracle import read_frames
from tests.support.server_fixtures import StartReplica
from tests.support.service import Service
from tests.support.turns import Stream, ask, get_text, open_client

# The question's directive sets the pace of its answer, and of a summary that contains it.
LONG = [
    {"role": "user", "content": "My name is Ada."},
    *({"role": role, "content": "detail " * 80} for _ in range(10) for role in ("assistant", "user")),
    {"role": "assistant", "content": "Go on."},
]
BEYOND = [{"type": "compaction", "compact_threshold": 1_000}]
COUNTED = " ".join(map(str, range(1, 31)))
DIRECTIVES = "[[standin token_s=0.1]]"


@pytest.mark.parametrize(
    "words", [0, pytest.param(4, marks=pytest.mark.long)], ids=["while it is summed up", "while it is answered"]
)
async def test_a_killed_replica_leaves_no_seam(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, words: int
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "LEASE_S": "1"})
    async with open_client(http, replica) as victim:
        question = {"role": "user", "content": f"count to 30 {DIRECTIVES}"}
        given: Any = {"input": [*LONG, question], "context_management": BEYOND}
        creator = Stream(victim, "POST", "/v1/responses", json={"stream": True, **given})
        response_id = await creator.get_id()
        follower = Stream.of_response(http, response_id)
        for reader in (creator, follower):
            await reader.see_words(words)
        await asyncio.to_thread(replica.kill)
        seen = await creator.read_broken(within_s=5)
        final = await follower.read_final()
    whole_frames = seen[: seen.rindex(b"\n\n") + 2]
    assert follower.raw.startswith(whole_frames)
    assert (b'"compaction"' in whole_frames) == (words > 0)
    assert [item["type"] for item in final["output"]] == ["compaction", "message"]
    assert get_text(final) == COUNTED
    done = [event for event in read_frames(follower.raw) if event["type"] == "response.output_item.done"]
    assert [event["item"] for event in done] == final["output"]
    again = await ask(http, "What is my name?", previous_response_id=response_id)
    assert get_text(again.json()) == "Your name is Ada."
