"""The body of a Responses request: the parameters, the whole window, and none of our own fields."""

from typing import Any

import pytest
from msgspec import UNSET

from prompts.adapters.openai.continuation import INSTRUCTION, Way
from prompts.adapters.openai.kept_thoughts import KeptThought, pack_kept
from prompts.adapters.openai.responses_request import MIN_OUTPUT_TOKENS, compose_body, compose_continuation
from prompts.domain.items import (
    FunctionCall,
    FunctionCallOutput,
    GivenPart,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    OutputText,
    Phase,
    Reasoning,
    Refusal,
    SummaryText,
)
from prompts.domain.model_request import ModelRequest
from prompts.domain.text import (
    JsonObject,
    JsonSchema,
    ReasoningConfig,
    TextConfig,
)
from prompts.domain.tools import AllowedTools, FunctionChoice, FunctionTool
from tests.support.items import said

PLAIN = ModelRequest(model="m")
QUESTION = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
CITY = FunctionTool(name="get_city", parameters={"type": "object"}, strict=True)
TIME = FunctionTool(name="get_time", description="The time.")
CITY_SENT = {"type": "function", "name": "get_city", "parameters": {"type": "object"}, "strict": True}
TIME_SENT = {"type": "function", "name": "get_time", "description": "The time.", "parameters": None, "strict": None}
CALL = FunctionCall(id="fc_1", status="completed", call_id="call_1", name="get_time", arguments="{}")


def send(*items: Item) -> list[dict[str, Any]]:
    """The input items of a window."""
    sent: list[dict[str, Any]] = compose_body(PLAIN, items)["input"]
    return sent


def ask(**parameters: Any) -> dict[str, Any]:
    """The body that these parameters give."""
    body = compose_body(ModelRequest(model="m", **parameters), [said("user", "Hi")])
    return {name: value for name, value in body.items() if name not in {"model", "input", "stream", "store"}}


def thought(sealed: str | None = None) -> Reasoning:
    """A reasoning item."""
    return Reasoning("rs_1", "completed", [SummaryText("Hm")], encrypted_content=sealed or UNSET)


def spoke(*parts: OutputText | Refusal, phase: Phase | None = None) -> Message:
    """A message of the model."""
    return Message("msg_1", "completed", "assistant", [*parts], phase or UNSET)


def test_it_asks_a_server_that_keeps_nothing() -> None:
    assert compose_body(PLAIN, [said("user", "Hi")]) == {
        "model": "m",
        "input": [QUESTION],
        "stream": True,
        "store": False,
    }


def test_the_leading_system_message_is_the_instructions() -> None:
    body = compose_body(PLAIN, [said("system", "Be brief."), said("developer", "Very."), said("user", "Hi")])
    assert body["instructions"] == "Be brief.\n\nVery."
    assert body["input"] == [QUESTION]
    alone = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Alone."}]}
    assert send(said("system", "Alone.")) == [alone]


def test_thoughts_that_another_protocol_has_kept_are_not_sent() -> None:
    thought = Reasoning("rs_1", "completed", summary=[], encrypted_content=pack_kept(KeptThought("reasoning", "Hm.")))
    assert send(thought, CALL) == send(CALL)


def test_what_the_model_said_goes_back_as_it_said_it() -> None:
    commentary = spoke(OutputText("Wait"), phase="commentary")
    text, refusal = {"type": "output_text", "text": "Wait", "annotations": []}, {"type": "refusal", "refusal": "No"}
    assert send(commentary, spoke(OutputText("Wait"), Refusal("No")), spoke()) == [
        {"type": "message", "role": "assistant", "content": [text], "phase": "commentary"},
        {"type": "message", "role": "assistant", "content": [text, refusal]},
    ]


def test_images_and_files() -> None:
    parts: list[GivenPart] = [
        InputText("Look:"),
        InputImage("https://example.com/a.png", "low"),
        InputFile(filename="a.pdf", file_data="QQ=="),
        InputFile(file_data="data:text/plain;base64,QQ=="),
        InputFile(filename="named already", file_url="https://example.com/a.pdf"),
    ]
    [message] = send(Message("msg_1", "completed", "user", [*parts]))
    sent = [
        {"type": "input_text", "text": "Look:"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="},
        {"type": "input_file", "filename": "file", "file_data": "data:text/plain;base64,QQ=="},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
    ]
    assert message["content"] == sent
    output = FunctionCallOutput("fco_1", "completed", "call_1", [*parts])
    assert send(CALL, output)[1] == {"type": "function_call_output", "call_id": "call_1", "output": sent}


def test_calls_and_their_outputs() -> None:
    assert send(CALL, FunctionCallOutput("fco_1", "completed", "call_1", "noon")) == [
        {"type": "function_call", "call_id": "call_1", "name": "get_time", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "noon"},
    ]


def test_only_sealed_thoughts_go_back_and_only_with_what_they_led_to() -> None:
    sealed = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}], "encrypted_content": "x"}
    sent = send(thought("x"), thought("x"), CALL, FunctionCallOutput("fco_1", "completed", "call_1", "noon"))
    assert sent[:2] == [sealed, sealed]
    assert [item["type"] for item in send(thought(), spoke(OutputText("Hi")))] == ["message"]
    assert send(thought("x"), spoke(), said("user", "Hi")) == [QUESTION]
    assert send(said("user", "Hi"), thought("x")) == [QUESTION]


@pytest.mark.parametrize(
    ("choice", "tools", "sent"),
    [
        ("auto", [CITY_SENT, TIME_SENT], None),
        ("required", [CITY_SENT, TIME_SENT], "required"),
        (FunctionChoice("get_time"), [TIME_SENT], {"type": "function", "name": "get_time"}),
        (AllowedTools([FunctionChoice("get_city")]), [CITY_SENT], None),
        (AllowedTools([FunctionChoice("get_city")], "required"), [CITY_SENT], "required"),
    ],
)
def test_what_is_offered_is_what_is_sent(choice: Any, tools: list[Any], sent: Any) -> None:
    asked = ask(tools=[CITY, TIME], tool_choice=choice, parallel_tool_calls=False)
    expected = {"tools": tools, "parallel_tool_calls": False}
    assert asked == (expected if sent is None else {**expected, "tool_choice": sent})


def test_nothing_is_said_of_tools_that_are_not_offered() -> None:
    assert ask(tools=[CITY], tool_choice="none", parallel_tool_calls=True) == {}
    assert ask(parallel_tool_calls=True) == {}


@pytest.mark.parametrize(
    ("parameters", "sent"),
    [
        ({"temperature": 0.0, "top_p": 1.0}, {"temperature": 0.0, "top_p": 1.0}),
        ({"presence_penalty": 0.0, "frequency_penalty": 1.0}, {"presence_penalty": 0.0, "frequency_penalty": 1.0}),
        ({"max_output_tokens": 100}, {"max_output_tokens": 100}),
        ({"max_output_tokens": 3}, {"max_output_tokens": MIN_OUTPUT_TOKENS}),
        ({"max_tool_calls": 3}, {}),
        ({"truncation": "auto"}, {"truncation": "auto"}),
        ({"truncation": "disabled"}, {}),
        ({"service_tier": "flex", "user": "u"}, {"service_tier": "flex", "user": "u"}),
        ({"safety_identifier": "s", "prompt_cache_key": "k"}, {"safety_identifier": "s", "prompt_cache_key": "k"}),
        ({"reasoning": ReasoningConfig("low", "auto")}, {"reasoning": {"effort": "low", "summary": "auto"}}),
        ({"reasoning": ReasoningConfig("none")}, {"reasoning": {"effort": "none"}}),
        ({"wants_encrypted_reasoning": True}, {"include": ["reasoning.encrypted_content"]}),
        ({"wants_logprobs": True}, {"include": ["message.output_text.logprobs"]}),
        ({"wants_logprobs": True, "top_logprobs": 0}, {"include": ["message.output_text.logprobs"], "top_logprobs": 0}),
        ({"top_logprobs": 3}, {}),
        ({"text": TextConfig(verbosity="low")}, {"text": {"verbosity": "low"}}),
        ({"text": TextConfig(JsonObject())}, {"text": {"format": {"type": "json_object"}}}),
        (
            {"text": TextConfig(JsonSchema(name="n", schema={"type": "object"}, strict=True), "high")},
            {
                "text": {
                    "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
                    "verbosity": "high",
                }
            },
        ),
    ],
)
def test_parameters_go_as_they_were_given(parameters: dict[str, Any], sent: dict[str, Any]) -> None:
    assert ask(**parameters) == sent


BEGUN = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Oh.", "annotations": []}],
}


def test_ways_to_go_on() -> None:
    def end_of(way: Way) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = compose_continuation(compose_body(PLAIN, [said("user", "Hi")]), "Oh.", way)[
            "input"
        ]
        assert sent[0] == QUESTION
        return sent[1:]

    asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": INSTRUCTION}]}
    assert end_of(Way.OPEN) == end_of(Way.MARKED) == [{**BEGUN, "status": "in_progress"}]
    assert end_of(Way.ASKED) == [BEGUN, asked]
    assert end_of(Way.ANEW) == []
