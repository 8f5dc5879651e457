"""`ChatModel`: what every adapter promises of an answer, whichever protocol its server speaks."""

import base64
import hashlib
import json
from typing import Any

import pytest

from prompts.domain.items import (
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    Part,
    Reasoning,
    ReasoningText,
)
from prompts.domain.signals import Text, Thought
from prompts.domain.text import (
    JsonObject,
    JsonSchema,
    ReasoningConfig,
    TextConfig,
)
from prompts.domain.tools import (
    AllowedTools,
    FunctionChoice,
    FunctionTool,
    ToolChoice,
)
from tests.support.items import called, returned, said
from tests.support.model_asker import Asker

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ZONE = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
WEATHER = FunctionTool(name="get_weather", description="The weather of a city.", parameters=CITY)
TIME = FunctionTool(name="get_time", parameters=ZONE)
PING = FunctionTool(name="ping")
ASK_BOTH = "Call get_weather city=Paris and get_time zone=UTC"
BOTH = [("get_weather", {"city": "Paris"}), ("get_time", {"zone": "UTC"})]


async def test_it_works(asker: Asker) -> None:
    heard = await asker.ask("count to 5")
    assert heard.text == "1 2 3 4 5"
    assert heard.finished.reason == "stop"
    assert len(heard.signals) > 5  # as it comes, and not all at once


async def test_the_model_is_known(asker: Asker) -> None:
    assert "stand-in" in [model.id for model in await asker.model.list_models()]


async def test_everything_that_was_said_is_given_to_the_model(asker: Asker) -> None:
    items = [
        said("system", "Be kind."),
        said("developer", "Very."),
        said("user", "My name is Ada."),
        said("assistant", "Hi"),
    ]
    assert (await asker.ask(*items, "What is my name?")).text == "Your name is Ada."


async def test_a_refusal(asker: Asker) -> None:
    heard = await asker.ask("count to 5 [[standin refuse]]")
    assert heard.refusal
    assert heard.text == ""


@pytest.mark.parametrize(
    ("question", "reason"),
    [("count to 99", "length"), ("count to 2 [[standin finish=content_filter]]", "content_filter")],
)
async def test_an_answer_that_is_cut_says_why(asker: Asker, question: str, reason: str) -> None:
    assert (await asker.ask(question, max_output_tokens=16)).finished.reason == reason


async def test_usage_has_both_details(asker: Asker) -> None:
    usage = (await asker.ask('count to 5 [[standin reason="one two three"]]')).finished.usage
    assert usage is not None
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert 0 < usage.output_tokens_details.reasoning_tokens < usage.output_tokens
    assert usage.input_tokens_details.cached_tokens == 0
    assert (await asker.ask("count to 5 [[standin no_usage]]")).finished.usage is None


async def test_a_call(asker: Asker) -> None:
    heard = await asker.ask("Call get_weather city=Paris", tools=[WEATHER])
    [(name, arguments)] = heard.calls
    assert (name, json.loads(arguments)) == ("get_weather", {"city": "Paris"})
    assert heard.called[0].call_id
    assert heard.finished.reason == "stop"


@pytest.mark.parametrize("directive", ["", " [[standin interleave=1]]", " [[standin interleave=2 tokens_at_once=3]]"])
async def test_calls_side_by_side(asker: Asker, directive: str) -> None:
    heard = await asker.ask(ASK_BOTH + directive, tools=[WEATHER, TIME])
    assert [(name, json.loads(arguments)) for name, arguments in heard.calls] == BOTH
    assert len({call.call_id for call in heard.called}) == 2
    assert len({call.index for call in heard.called}) == 2


async def test_one_call_where_calls_may_not_be_parallel(asker: Asker) -> None:
    heard = await asker.ask(ASK_BOTH, tools=[WEATHER, TIME], parallel_tool_calls=False)
    assert [name for name, _ in heard.calls] == ["get_weather"]


async def test_arguments_that_are_no_json_are_given_as_they_are(asker: Asker) -> None:
    heard = await asker.ask("Call get_weather city=Paris [[standin bad_json]]", tools=[WEATHER])
    assert heard.calls == [("get_weather", '{"city":"Paris"')]


async def test_a_call_without_arguments(asker: Asker) -> None:
    heard = await asker.ask("Call ping", tools=[PING])
    assert [(name, json.loads(arguments or "{}")) for name, arguments in heard.calls] == [("ping", {})]


def allow(mode: Any, *names: str) -> AllowedTools:
    """A hard limit."""
    return AllowedTools([FunctionChoice(name) for name in names], mode)


@pytest.mark.parametrize(
    ("choice", "question", "expected"),
    [
        ("auto", "Hello", []),
        ("none", ASK_BOTH, []),
        ("required", "Hello", ["get_weather"]),
        (FunctionChoice("get_time"), ASK_BOTH, ["get_time"]),
        (allow("auto", "get_time"), ASK_BOTH, ["get_time"]),
        (allow("auto", "get_time"), "Hello", []),
        (allow("required", "get_time"), "Hello", ["get_time"]),
        (allow("none", "get_time"), ASK_BOTH, []),
    ],
)
async def test_a_tool_choice_is_obeyed(asker: Asker, choice: ToolChoice, question: str, expected: list[str]) -> None:
    heard = await asker.ask(question, tools=[WEATHER, TIME], tool_choice=choice)
    assert [name for name, _ in heard.calls] == expected
    assert bool(heard.text) == (not expected)


@pytest.mark.parametrize("output", ["21 degrees", [InputText("21 degrees")]])
async def test_what_a_function_returned_is_given_to_the_model(asker: Asker, output: Any) -> None:
    calls = [called("call_1", "get_weather", '{"city":"Paris"}'), called("call_2", "get_time", '{"zone":"UTC"}')]
    results = [returned("call_2", "noon"), returned("call_1", output)]
    text = (await asker.ask(ASK_BOTH, *calls, *results, tools=[WEATHER, TIME])).text
    assert "get_weather returned: 21 degrees" in text
    assert "get_time returned: noon" in text


THINKING = 'count to 3 [[standin reason="Ada is a name."]]'


@pytest.mark.parametrize(
    "asked", [ReasoningConfig("low"), ReasoningConfig("high", "auto"), ReasoningConfig(None, "auto")]
)
async def test_thoughts_come_first_where_they_were_asked_for(asker: Asker, asked: ReasoningConfig) -> None:
    heard = await asker.ask(THINKING, reasoning=asked)
    assert (heard.thought, heard.text) == ("Ada is a name.", "1 2 3")
    kinds = [type(signal) for signal in heard.signals]
    assert kinds.index(Text) > max(n for n, kind in enumerate(kinds) if kind is Thought)


@pytest.mark.parametrize("asked", [ReasoningConfig(), ReasoningConfig("none"), ReasoningConfig("none", "auto")])
async def test_thoughts_that_nobody_asked_for_are_not_told(asker: Asker, asked: ReasoningConfig) -> None:
    heard = await asker.ask(THINKING, reasoning=asked)
    assert (heard.thought, heard.text) == ("", "1 2 3")


async def test_an_earlier_thought_does_no_harm(asker: Asker) -> None:
    thought = Reasoning(id="rs_1", status="completed", summary=[], content=[ReasoningText("Ada is a name.")])
    items: list[Item] = [said("user", THINKING), thought, said("assistant", "1 2 3")]
    assert (await asker.ask(*items, "count to 2", reasoning=ReasoningConfig("low"))).text == "1 2"


async def test_likelihoods_are_those_of_the_text(asker: Asker) -> None:
    heard = await asker.ask("count to 5", wants_logprobs=True, top_logprobs=2)
    assert "".join(entry.token for entry in heard.logprobs) == heard.text == "1 2 3 4 5"
    for entry in heard.logprobs:
        assert entry.logprob <= 0
        assert bytes(entry.bytes).decode() == entry.token
        assert len(entry.top_logprobs) == 2


async def test_without_asking_there_are_no_likelihoods(asker: Asker) -> None:
    assert (await asker.ask("count to 5", top_logprobs=2)).logprobs == []


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


async def test_a_document_of_a_schema(asker: Asker) -> None:
    form = JsonSchema(name="person", description="Somebody.", schema=SCHEMA, strict=True)
    heard = await asker.ask("name=Ada age=36", text=TextConfig(form))
    assert json.loads(heard.text) == {"name": "Ada", "age": 36}


async def test_any_document(asker: Asker) -> None:
    heard = await asker.ask("Say it in JSON", text=TextConfig(JsonObject()))
    assert isinstance(json.loads(heard.text), dict)


def data_uri(media_type: str, content: bytes) -> str:
    """The content as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def describe(media_type: str, content: bytes) -> str:
    """How the stand-in says what it sees."""
    return f"{media_type}, {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()[:8]}"


async def test_images_and_files_arrive_as_they_were_sent(asker: Asker) -> None:
    picture, paper = bytes(range(256)) * 40, b"My name is Ada."
    parts: list[Part] = [
        InputText("What do you see?"),
        InputImage(data_uri("image/png", picture), "low"),
        InputImage("https://pictures.example/a%20cat.png?size=large&x=1"),
        InputFile(filename="facts.txt", file_data=data_uri("text/plain", paper)),
    ]
    message = Message(id="", status="completed", role="user", content=parts)
    text = (await asker.ask(message)).text
    assert "I see 2 images and 1 file." in text
    assert f"Image 1: {describe('image/png', picture)}, detail low." in text
    assert "Image 2: https://pictures.example/a%20cat.png?size=large&x=1, detail auto." in text
    assert f"File 1: facts.txt, {describe('text/plain', paper)}." in text
