"""`context_management`: a history above its threshold is compacted during the turn, and the answer shows it."""

from typing import Any

import httpx
import pytest

from tests.support.model_calls import ModelCalls
from tests.support.oracle import read_frames
from tests.support.refusals import check_refusal
from tests.support.turns import ask, check_stored, get_text, make_conversation

QUESTION = {"role": "user", "content": "What is my name?"}
# About 3,500 tokens.
LONG = [
    {"role": "user", "content": "My name is Ada."},
    *({"role": role, "content": "detail " * 80} for _ in range(20) for role in ("assistant", "user")),
    QUESTION,
]


def beyond(threshold: int) -> list[dict[str, Any]]:
    """Compact above this number of tokens."""
    return [{"type": "compaction", "compact_threshold": threshold}]


def kinds(response: dict[str, Any]) -> list[str]:
    """The types of a response's items."""
    return [item["type"] for item in response["output"]]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_long_input_is_compacted_and_answered(http: httpx.AsyncClient, stream: bool) -> None:
    answer = await ask(http, "", input=LONG, context_management=beyond(1_000), stream=stream)
    response = (await check_stored(http, answer)) if stream else answer.json()
    assert kinds(response) == ["compaction", "message"]
    assert get_text(response) == "Your name is Ada."
    if stream:
        items = [event["item"]["type"] for event in read_frames(answer.content) if "item" in event]
        assert items == ["compaction", "compaction", "message", "message"]


async def test_the_model_is_given_less(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    await ask(http, "", input=LONG)
    whole = str(await model_calls.get_messages("What is my name?"))
    await model_calls.forget()
    await ask(http, "", input=LONG, context_management=beyond(1_000))
    assert len(str(await model_calls.get_messages("What is my name?"))) < len(whole)


@pytest.mark.parametrize("way", ["previous_response_id", "conversation"])
async def test_a_long_history_is_compacted_and_later_turns_know_the_facts(http: httpx.AsyncClient, way: str) -> None:
    where = {"conversation": await make_conversation(http)} if way == "conversation" else {}
    first = (await ask(http, "", input=LONG, **where)).json()
    more: dict[str, Any] = where or {"previous_response_id": first["id"]}
    second = (await ask(http, "What is my name?", context_management=beyond(1_000), **more)).json()
    assert kinds(second) == ["compaction", "message"]
    assert get_text(second) == "Your name is Ada."
    more = where or {"previous_response_id": second["id"]}
    third = (await ask(http, "What is my name?", **more)).json()
    assert kinds(third) == ["message"]
    assert get_text(third) == "Your name is Ada."


@pytest.mark.parametrize("management", [beyond(100_000), [], None])
async def test_below_the_threshold_nothing_is_compacted(http: httpx.AsyncClient, management: Any) -> None:
    response = (await ask(http, "", input=LONG, context_management=management)).json()
    assert kinds(response) == ["message"]


@pytest.mark.parametrize(
    ("management", "param"),
    [
        ([{"type": "truncation"}], "context_management[0].type"),
        ([{"compact_threshold": 1_000}], "context_management[0].type"),
        ([{"type": "compaction", "compact_threshold": "x"}], "context_management[0].compact_threshold"),
        ([{"type": "compaction", "compact_threshold": 0}], "context_management[0].compact_threshold"),
        ([{"type": "compaction", "compact_threshold": -5}], "context_management[0].compact_threshold"),
        ({"type": "compaction"}, "context_management"),
    ],
)
async def test_odd_context_management_is_refused_with_its_place(
    http: httpx.AsyncClient, management: Any, param: str
) -> None:
    check_refusal(await ask(http, "Hello", context_management=management), param=param)
