"""Makes every event of the document happen, at a real service."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from prompts.api.openapi.ids import EXAMPLE_IDS
from tests.recording.plain import PlainText, make_plain
from tests.recording.world import HELLO, QUESTION, World
from tests.support.turns import Stream

_FUNCTION = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_THOUGHT = '[[standin reason="They want three numbers." summary="Counting." first_token_s=1.5]]'

TURNS: tuple[dict[str, Any], ...] = (
    {"input": HELLO},
    {"input": f"{HELLO} [[standin refuse]]"},
    {"input": "Call get_weather with city=Bergen", "tools": [_FUNCTION]},
    {"input": 'Call run with "ls"', "tools": [{"type": "custom", "name": "run"}]},
    {"input": 'Count to 3 [[standin reason="They want three numbers."]]', "reasoning": {"effort": "low"}},
    {"input": "write 200 words", "max_output_tokens": 16},
    {"input": f"{HELLO} [[standin status=500]]"},
)
QUIET_TURN = {"input": f"{HELLO} {_THOUGHT}", "reasoning": {"effort": "low", "summary": "auto"}}
"""Needs a model's server that speaks Responses, and a short time of silence."""
QUIET_SETTINGS: Mapping[str, str] = {"MODEL_PROTOCOL": "responses", "KEEP_ALIVE_S": "1"}


async def record_events(http: httpx.AsyncClient, quiet: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """Type → the first event of that type, made plain. `quiet` is a replica with `QUIET_SETTINGS`."""
    found: dict[str, dict[str, Any]] = {}
    async for raw in _stream_turns(http, quiet):
        plain = PlainText()
        for line in raw.decode().splitlines():
            if line.startswith("data: {"):
                event = json.loads(plain.replace(line[6:], kept=frozenset(EXAMPLE_IDS.values())))
                found.setdefault(event["type"], make_plain(event))
    return found


async def _stream_turns(http: httpx.AsyncClient, quiet: httpx.AsyncClient) -> AsyncIterator[bytes]:
    for body in TURNS:
        yield await Stream(http, "POST", "/v1/responses", json={**body, "stream": True}).read()
    world = World(http, "createResponse")
    tool = {"type": "file_search", "vector_store_ids": [await world.get("vector_store_id")]}
    body = {"input": QUESTION, "tools": [tool], "tool_choice": {"type": "file_search"}, "stream": True}
    yield await Stream(http, "POST", "/v1/responses", json=body).read()
    queued = await world.ask("responses", {"input": HELLO, "background": True})
    yield await Stream.of_response(http, queued["id"]).read()
    yield await Stream(quiet, "POST", "/v1/responses", json={**QUIET_TURN, "stream": True}).read()
