"""`include_obfuscation`: padded deltas, the same on every replay, whoever sends them."""

from typing import Any

import httpx
import pytest

from prompts.api.obfuscation import BLOCK_CHARACTERS
from tests.support.oracle import check_events, read_frames
from tests.support.turns import ask

PADDED = {"stream": True, "stream_options": {"include_obfuscation": True}}
TEXT = 'repeat: a longer answer, "ünd" it has \U0001f600 words of every length unquestionably'
CALL = "Call get_weather city=Paris"
THOUGHT = 'Hello [[standin reason="I think about it"]]'
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}


@pytest.mark.parametrize(
    ("text", "more", "kind"),
    [
        (TEXT, {}, "output_text"),
        ("Hello [[standin refuse]]", {}, "refusal"),
        (CALL, {"tools": [WEATHER]}, "function_call_arguments"),
        (THOUGHT, {"reasoning": {"effort": "low"}}, "reasoning"),
    ],
)
async def test_every_delta_is_padded_and_a_replay_is_the_same(
    http: httpx.AsyncClient, other: httpx.AsyncClient, text: str, more: dict[str, Any], kind: str
) -> None:
    created = await ask(http, text, **PADDED, **more)
    events = read_frames(created.content)
    deltas = [event for event in events if event["type"].endswith(".delta")]
    assert f"response.{kind}.delta" in {event["type"] for event in deltas}
    assert all(event["obfuscation"] for event in deltas)
    assert [event for event in events if "obfuscation" in event] == deltas
    final = check_events(events)
    for client in (http, other):
        query = {"stream": "true", "include_obfuscation": "true"}
        replay = await client.get(f"/v1/responses/{final['id']}", params=query)
        assert replay.content == created.content
        plain = await client.get(f"/v1/responses/{final['id']}", params={"stream": "true"})
        assert read_frames(plain.content) == [_without_padding(event) for event in events]


async def test_a_delta_and_its_padding_do_not_tell_the_length_of_a_word(http: httpx.AsyncClient) -> None:
    created = await ask(http, "repeat: a an and many happy returns", **PADDED)
    lines = [line for line in created.content.split(b"\n") if b'"obfuscation"' in line]
    numbers = [line for line in lines if b'"sequence_number":1' not in line]  # of one digit
    assert len({len(line) for line in numbers}) == 1
    deltas = [event for event in read_frames(created.content) if "obfuscation" in event]
    assert len({event["obfuscation"] for event in deltas}) == len(deltas)
    assert all(len(event["obfuscation"]) <= BLOCK_CHARACTERS for event in deltas)


async def test_the_padding_of_another_response_is_another(http: httpx.AsyncClient) -> None:
    first, second = [read_frames((await ask(http, "Hello", **PADDED)).content) for _ in range(2)]
    assert [event.get("obfuscation") for event in first] != [event.get("obfuscation") for event in second]


async def test_a_retry_may_ask_for_another_form_of_the_events(http: httpx.AsyncClient) -> None:
    http.headers["Idempotency-Key"] = "padded-or-not"
    padded, plain = await ask(http, TEXT, **PADDED), await ask(http, TEXT, stream=True)
    assert plain.headers["idempotency-replayed"] == "true"
    assert read_frames(plain.content) == [_without_padding(event) for event in read_frames(padded.content)]


def _without_padding(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "obfuscation"}
