"""The stand-in calls the right tools, with arguments that are valid for their schemas."""

from typing import Any

import msgspec
import pytest

from standin.chat_completions.request import ChatRequest, decode_chat
from standin.errors import StandInError
from tests.unit.standin.asking import answer

WEATHER = {
    "type": "object",
    "properties": {
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "note": {"type": "string"},
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 2, "maximum": 9},
    },
    "required": ["city", "days"],
}
SEARCH = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
TOOLS = [
    {"type": "function", "function": {"name": "search", "parameters": SEARCH}},
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "stop_all"}},
]
# What agents offer: arguments of every type.
RUN = {
    "type": "object",
    "properties": {
        "cmd": {"type": "string"},
        "login": {"type": "boolean"},
        "yield_ms": {"type": "number"},
        "prefix": {"type": "array", "items": {"type": "string"}},
        "limits": {"type": "object", "properties": {"cpu": {"type": "integer"}}},
    },
    "required": ["cmd"],
}
FREE_TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
AGENT_TOOLS = [
    {"type": "function", "function": {"name": "exec_command", "parameters": RUN}},
    {"type": "function", "function": {"name": "apply_patch", "parameters": FREE_TEXT}},
]
PATCH = '*** Begin Patch\n*** Add File: a.txt\n+say "hi"\n+x=1\n*** End Patch'


def call(text: str, **fields: Any) -> list[tuple[str, Any]]:
    """The names and arguments of the calls."""
    calls = answer(text, **{"tools": TOOLS, **fields}).calls
    return [(one.function.name, msgspec.json.decode(one.function.arguments)) for one in calls]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("get_weather", {"city": "city", "days": 2}),
        ("get_weather city=Paris, days=3.", {"city": "Paris", "days": 3}),
        (
            'Use get_weather with city: "New York" and unit=fahrenheit',
            {"unit": "fahrenheit", "city": "New York", "days": 2},
        ),
        ('Use "get_weather" for "Oslo", and note “tomorrow”!', {"note": "tomorrow", "city": "Oslo", "days": 2}),
        ("get_weather days=99 unit=kelvin", {"city": "city", "days": 2, "unit": "celsius"}),
    ],
)
def test_arguments_come_from_the_message_or_the_schema(text: str, arguments: dict[str, Any]) -> None:
    assert call(text) == [("get_weather", arguments)]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('Call exec_command cmd="cat notes.txt".', {"cmd": "cat notes.txt"}),
        ("exec_command with `ls .`", {"cmd": "ls ."}),
        ('exec_command cmd="ls ." login=true yield_ms=1500.', {"cmd": "ls .", "login": True, "yield_ms": 1500}),
        ('exec_command cmd="echo \\"a\\" > b" yield_ms=0.5', {"cmd": 'echo "a" > b', "yield_ms": 0.5}),
        (
            'exec_command "true" prefix=["git", "pull"] limits={"cpu": 2}',
            {"cmd": "true", "prefix": ["git", "pull"], "limits": {"cpu": 2}},
        ),
        ("exec_command 'true' prefix=git limits=none", {"cmd": "true"}),
        ("exec_command cmd=<<END\ncat <<'X'\na=1\nX\nEND\nlogin=false", {"cmd": "cat <<'X'\na=1\nX", "login": False}),
        ("exec_command cmd=\"cat <<'X'\na=1\nX\n\"", {"cmd": "cat <<'X'\na=1\nX\n"}),
    ],
)
def test_arguments_of_every_type_come_from_the_message(text: str, arguments: dict[str, Any]) -> None:
    (name, given), *others = call(text, tools=AGENT_TOOLS)
    assert (name, others) == ("exec_command", [])
    assert {key: given[key] for key in arguments} == arguments


@pytest.mark.parametrize(
    "text", [f"apply_patch: <<END\n{PATCH}\nEND", f"apply_patch\n```diff\n{PATCH}\n```\nThank you."]
)
def test_a_text_of_several_lines_is_an_argument(text: str) -> None:
    assert call(text, tools=AGENT_TOOLS) == [("apply_patch", {"input": PATCH})]


def test_a_tool_named_inside_a_value_is_not_called() -> None:
    (called,) = call('exec_command cmd="grep apply_patch *.md"', tools=AGENT_TOOLS)
    assert called[0] == "exec_command"


def test_no_tool_is_called_unless_it_is_mentioned() -> None:
    assert call("Hello") == []
    assert call("research my get_weather_now") == []


def test_mentioned_tools_are_called_together_in_their_order() -> None:
    assert [name for name, _ in call("stop_all, then SEARCH")] == ["stop_all", "search"]
    assert [name for name, _ in call("stop_all, then search", parallel_tool_calls=False)] == ["stop_all"]


def test_tool_choice_decides() -> None:
    assert call("search", tool_choice="none") == []
    assert call("Hello", tool_choice="required") == [("search", {"query": "Hello"})]
    assert call("search", tool_choice={"type": "function", "function": {"name": "stop_all"}}) == [("stop_all", {})]


def test_call_ids_follow_from_the_messages() -> None:
    first, again, other = (answer(text, tools=TOOLS).calls for text in ("search stop_all", "search stop_all", "search"))
    assert first == again
    assert len({one.id for one in (*first, *other)}) == 3


def test_finish_says_tool_calls() -> None:
    assert answer("search", tools=TOOLS).finish == "tool_calls"


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "required"},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "nothing"}}},
        {"top_logprobs": 2},
        {"response_format": {"type": "json_schema"}},
        {"max_tokens": 0},
        {"n": 2},
        {"messages": []},
    ],
)
def test_a_request_that_contradicts_itself_is_refused(fields: dict[str, Any]) -> None:
    body = {"model": "stand-in", "messages": [{"role": "user", "content": "hi"}], **fields}
    with pytest.raises(StandInError) as caught:
        decode_chat(msgspec.json.encode(body))
    assert caught.value.status == 400
    assert caught.value.error["param"]


def test_a_good_request_is_read() -> None:
    body = b'{"model":"stand-in","messages":[{"role":"user","content":"hi"}],"temperature":0.5}'
    assert isinstance(decode_chat(body), ChatRequest)
