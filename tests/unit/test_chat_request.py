"""The body of a Chat Completions request: items as messages, parameters as fields, nothing else."""

import base64
import re
from collections.abc import Sequence
from itertools import product
from typing import Any, get_args

import pytest
from msgspec import UNSET

from prompts.adapters.openai.chat_request import model_body
from prompts.adapters.openai.instructions import MARK
from prompts.adapters.openai.kept_thoughts import KeptThought, pack_kept
from prompts.adapters.openai.learned import NOTHING_LEARNED, Traits
from prompts.adapters.openai.quirks import NO_QUIRKS, ModelQuirks, SystemMessages
from prompts.adapters.openai.thought_replay import NO_SIGNATURE
from prompts.domain.items import (
    Compaction,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    OutputText,
    Part,
    Reasoning,
    ReasoningText,
    Refusal,
    Role,
    SummaryText,
)
from prompts.domain.model_request import ModelRequest
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

PNG = "data:image/png;base64,AAAA"
BARE = base64.b64encode(b"My name is Ada.").decode()


def speak(role: Role, *parts: Part) -> Message:
    """A message of these parts."""
    return Message(id="", status="completed", role=role, content=list(parts))


def messages(*items: Item, quirks: ModelQuirks = NO_QUIRKS, traits: Traits = NOTHING_LEARNED) -> list[dict[str, Any]]:
    """The messages that are sent for these items."""
    composed: list[dict[str, Any]] = model_body(ModelRequest(model="m"), items, quirks, traits)["messages"]
    return composed


def reasoning(kept_as: str) -> Reasoning:
    """A thought as it comes back from where it was kept."""
    return Reasoning(id="", status="completed", summary=[], encrypted_content=kept_as)


def kept(text: str) -> Reasoning:
    """A thought that came as `reasoning`."""
    return reasoning(pack_kept(KeptThought("reasoning", text)))


def fields(**asked: Any) -> dict[str, Any]:
    """The fields that these parameters add to the body."""
    body = model_body(ModelRequest(model="m", **asked), [said("user", "Hi")])
    plain = model_body(ModelRequest(model="m"), [said("user", "Hi")])
    assert plain.items() <= body.items()
    return {name: value for name, value in body.items() if name not in plain}


def calling(*call_ids: str, content: str | None = None) -> dict[str, Any]:
    """The assistant's message with calls to `ping`."""
    function = {"name": "ping", "arguments": "{}"}
    calls = [{"id": call_id, "type": "function", "function": function} for call_id in call_ids]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def result(call_id: str, content: str) -> dict[str, Any]:
    """The message with a tool's result."""
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_the_body_asks_for_what_was_asked_for_and_no_more() -> None:
    items = [said("system", "Be brief."), said("developer", "Very."), said("user", "Hi"), said("assistant", "Ho")]
    assert model_body(ModelRequest(model="m"), items) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief.\n\nVery."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Ho"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_text_alone_is_a_string() -> None:
    assert messages(speak("user", InputText("one "), InputText("two"))) == [{"role": "user", "content": "one two"}]


def test_parts_keep_their_order_and_what_they_hold() -> None:
    parts: list[Part] = [
        InputImage(PNG, "low"),
        InputText("What is this?"),
        InputImage("https://x.example/a%20cat.png"),
    ]
    assert messages(speak("user", *parts)) == [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://x.example/a%20cat.png", "detail": "auto"}},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("file", "sent"),
    [
        (
            InputFile(filename="a.txt", file_data="data:text/x;base64,QQ=="),
            {"filename": "a.txt", "file_data": "data:text/x;base64,QQ=="},
        ),
        (
            InputFile(filename="a.pdf", file_data=BARE),
            {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{BARE}"},
        ),
        (
            InputFile(filename="a.qqq", file_data=BARE),
            {"filename": "a.qqq", "file_data": f"data:application/octet-stream;base64,{BARE}"},
        ),
        (InputFile(file_data=BARE), {"file_data": f"data:application/octet-stream;base64,{BARE}"}),
    ],
)
def test_a_files_data_is_sent_as_a_data_uri(file: InputFile, sent: dict[str, str]) -> None:
    assert messages(speak("user", file)) == [{"role": "user", "content": [{"type": "file", "file": sent}]}]


@pytest.mark.parametrize(
    ("name", "told"), [("a.pdf", "[File a.pdf: https://x.example/y]"), (None, "[File: https://x.example/y]")]
)
def test_a_files_address_is_told_in_words(name: str | None, told: str) -> None:
    file = InputFile(filename=name or UNSET, file_url="https://x.example/y")
    assert messages(speak("user", file)) == [{"role": "user", "content": [{"type": "text", "text": told}]}]


def test_a_refusal_stands_beside_the_text() -> None:
    assert messages(speak("assistant", OutputText("Well, "), Refusal("no. "), Refusal("Sorry."))) == [
        {"role": "assistant", "content": "Well, ", "refusal": "no. Sorry."}
    ]
    assert messages(speak("assistant", Refusal("No."))) == [{"role": "assistant", "content": "", "refusal": "No."}]


def test_calls_side_by_side_are_one_message_with_what_was_said_before() -> None:
    items: list[Item] = [
        said("assistant", "Let me see."),
        called("a"),
        called("b"),
        returned("a", "1"),
        returned("b", "2"),
    ]
    assert messages(said("user", "Hi"), *items)[1:] == [
        calling("a", "b", content="Let me see."),
        result("a", "1"),
        result("b", "2"),
    ]


def test_calls_one_after_another_are_a_message_each() -> None:
    items: list[Item] = [called("a"), returned("a", "1"), called("b"), returned("b", "2"), said("assistant", "Done.")]
    assert messages(*items) == [
        calling("a"),
        result("a", "1"),
        calling("b"),
        result("b", "2"),
        {"role": "assistant", "content": "Done."},
    ]


def test_outputs_follow_their_calls_at_once() -> None:
    items: list[Item] = [
        *(called("a"), called("b"), said("assistant", "One moment.")),
        *(returned("b", "2"), called("c"), returned("c", "3"), returned("a", "1")),
    ]
    assert messages(*items) == [
        calling("a", "b", content="One moment."),
        result("b", "2"),
        result("a", "1"),
        calling("c"),
        result("c", "3"),
    ]


def test_a_call_moves_down_to_an_output_before_which_somebody_has_spoken() -> None:
    question = {"role": "user", "content": "What is it?"}
    items: list[Item] = [said("user", "What is it?"), called("a"), said("user", "What is it?"), returned("a", "1")]
    assert messages(*items) == [question, question, calling("a"), result("a", "1")]


def test_calls_side_by_side_move_together_and_those_that_were_answered_stay() -> None:
    items: list[Item] = [
        *(said("assistant", "One moment."), called("a"), called("b"), called("c"), returned("b", "2")),
        *(said("user", "Well?"), returned("c", "3"), returned("a", "1"), said("assistant", "Done.")),
    ]
    assert messages(*items) == [
        calling("b", content="One moment."),
        result("b", "2"),
        {"role": "user", "content": "Well?"},
        calling("c", "a"),
        result("c", "3"),
        result("a", "1"),
        {"role": "assistant", "content": "Done."},
    ]


def test_a_thought_moves_with_its_calls_and_stays_with_those_that_stay() -> None:
    items: list[Item] = [
        *(kept("Hm."), called("a"), called("b"), returned("b", "2"), said("user", "Well?"), returned("a", "1")),
        *(kept("So."), called("c"), said("user", "And?"), returned("c", "3")),
    ]
    assert messages(*items) == [
        {**calling("b"), "reasoning": "Hm."},
        result("b", "2"),
        {"role": "user", "content": "Well?"},
        {**calling("a"), "reasoning": "Hm."},
        result("a", "1"),
        {"role": "user", "content": "And?"},
        {**calling("c"), "reasoning": "So."},
        result("c", "3"),
    ]


@pytest.mark.parametrize("arguments", ["", " ", "{}"])
def test_no_arguments_are_an_empty_object(arguments: str) -> None:
    [message, _] = messages(called("a", arguments=arguments), returned("a", "1"))
    assert message == calling("a")


MIXED = [
    said("developer", "Rule B."),
    said("assistant", "Hello!"),
    said("system", "Rule C."),
    said("user", "One"),
    said("developer", "Rule D."),
    said("user", "Two"),
]


def test_instructions_are_one_system_message_first() -> None:
    assert messages(said("system", "Rule A."), *MIXED) == [
        {"role": "system", "content": "Rule A.\n\nRule B.\n\nRule C.\n\nRule D."},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "One"},
        {"role": "user", "content": "Two"},
    ]


def test_later_instructions_may_keep_their_place_as_marked_words_of_the_user() -> None:
    assert messages(said("system", "Rule A."), *MIXED, quirks=ModelQuirks(system_messages="keep")) == [
        {"role": "system", "content": "Rule A.\n\nRule B.\n\nRule C."},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "One"},
        {"role": "user", "content": f"{MARK}Rule D."},
        {"role": "user", "content": "Two"},
    ]


def test_instructions_of_several_parts_keep_what_is_no_text() -> None:
    picture = speak("developer", InputText("See "), InputText("this:"), InputImage(PNG))
    assert messages(said("system", "Rule A."), picture, said("user", "Hi"))[0]["content"] == [
        {"type": "text", "text": "Rule A.\n\nSee this:"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "auto"}},
    ]


def test_an_id_that_was_used_before_is_that_of_the_newest_call() -> None:
    items: list[Item] = [called("a"), returned("a", "1"), said("user", "Again."), called("a"), returned("a", "2")]
    assert messages(*items)[3:] == [calling("a"), result("a", "2")]


def test_two_messages_of_the_assistant_stay_two() -> None:
    assert messages(said("assistant", "One."), said("assistant", "Two.")) == [
        {"role": "assistant", "content": "One."},
        {"role": "assistant", "content": "Two."},
    ]


def test_a_result_in_parts_is_text_a_line_each() -> None:
    output = returned("a", [InputText("21 degrees"), InputText("and sunny")])
    assert messages(called("a"), output)[1] == result("a", "21 degrees\nand sunny")


def test_what_is_no_text_of_a_result_follows_in_a_users_message() -> None:
    shown = returned("a", [InputText("the sky"), InputImage(PNG)])
    bare = returned("b", [InputFile(filename="a.txt", file_data="data:text/plain;base64,QQ==")])
    assert messages(called("a"), called("b"), shown, bare, said("user", "And?"))[1:] == [
        result("a", "the sky"),
        result("b", "The result follows in the next message."),
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What the function call a returned:"},
                {"type": "image_url", "image_url": {"url": PNG, "detail": "auto"}},
                {"type": "text", "text": "What the function call b returned:"},
                {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,QQ=="}},
            ],
        },
        {"role": "user", "content": "And?"},
    ]


@pytest.mark.parametrize("output", ["", []])
def test_a_function_may_return_nothing(output: Any) -> None:
    assert messages(called("a"), returned("a", output))[1] == result("a", "")


def test_phases_are_not_sent() -> None:
    comment = Message(id="", status="completed", role="assistant", content=[OutputText("Hi")], phase="commentary")
    assert messages(comment, called("a"), returned("a", "1"))[:1] == [calling("a", content="Hi")]


PLAIN = {"role": "assistant", "content": "Hi"}


def test_thoughts_go_back_with_turns_that_call() -> None:
    items: list[Item] = [kept("One."), said("assistant", "Hi"), said("user", "And?"), kept("Two."), called("a")]
    assert messages(*items, returned("a", "1"))[0] == PLAIN
    assert messages(*items, returned("a", "1"))[2] == {**calling("a"), "reasoning": "Two."}


def test_the_thought_before_the_answer_goes_back_when_calls_led_to_it() -> None:
    items: list[Item] = [kept("One."), called("a"), returned("a", "1"), kept("Two."), said("assistant", "Hi")]
    assert messages(*items, said("user", "And?"), kept("Three."), said("assistant", "Hi")) == [
        {**calling("a"), "reasoning": "One."},
        result("a", "1"),
        {**PLAIN, "reasoning": "Two."},
        {"role": "user", "content": "And?"},
        PLAIN,
    ]


def test_thoughts_go_back_always_or_never_by_setting() -> None:
    items: list[Item] = [kept("One."), said("assistant", "Hi"), kept("Two."), called("a"), returned("a", "1")]
    said_and_called = calling("a", content="Hi")
    always = messages(*items, quirks=ModelQuirks(reasoning_replay="always"))
    assert always[0] == {**said_and_called, "reasoning": "One.Two."}
    assert messages(kept("One."), said("assistant", "Hi"), quirks=ModelQuirks(reasoning_replay="always")) == [
        {**PLAIN, "reasoning": "One."}
    ]
    assert messages(*items, quirks=ModelQuirks(reasoning_replay="never"))[0] == said_and_called


def test_a_thought_belongs_to_nobody_once_somebody_else_has_spoken() -> None:
    assert messages(kept("Hm."), said("user", "Hi"), called("a"), returned("a", "1"))[1] == calling("a")


@pytest.mark.parametrize(
    ("thought", "sent"),
    [
        (KeptThought("reasoning_content", "Hm."), {"reasoning_content": "Hm."}),
        (KeptThought("reasoning", "Hm."), {"reasoning": "Hm."}),
        (
            KeptThought("reasoning", "Hm.", [{"type": "reasoning.text"}]),
            {"reasoning_details": [{"type": "reasoning.text"}]},
        ),
        (
            KeptThought("thinking", "Hm."),
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                    {"type": "text", "text": "Hi"},
                ]
            },
        ),
        (KeptThought("<think>", "Hm."), {"content": "<think>\nHm.\n</think>\n\nHi"}),
    ],
)
def test_a_thought_goes_back_under_the_name_it_came_in(thought: KeptThought, sent: dict[str, Any]) -> None:
    items: list[Item] = [reasoning(pack_kept(thought)), said("assistant", "Hi"), called("a"), returned("a", "1")]
    assert messages(*items)[0] == {**calling("a", content="Hi"), **sent}


@pytest.mark.parametrize(
    "thought",
    [
        Reasoning("", "completed", summary=[SummaryText("Hm.")]),
        Reasoning("", "completed", summary=[], content=[ReasoningText("Hm.")]),
        Reasoning(
            "", "completed", summary=[SummaryText("Short")], content=[ReasoningText("Hm.")], encrypted_content="x"
        ),
    ],
)
def test_a_thought_that_a_client_has_kept_goes_under_the_name_its_server_has(thought: Reasoning) -> None:
    items: list[Item] = [thought, called("a"), returned("a", "1")]
    assert messages(*items)[0] == {**calling("a"), "reasoning_content": "Hm."}
    for name, sent in (("reasoning", "reasoning"), ("reasoning_content",) * 2, ("<think>", "reasoning_content")):
        assert messages(*items, traits=Traits(thought_name=name))[0] == {**calling("a"), sent: "Hm."}


def test_a_server_that_misses_a_thought_gets_an_empty_one() -> None:
    items: list[Item] = [
        called("a"),
        returned("a", "1"),
        kept("Hm."),
        called("b"),
        returned("b", "2"),
        said("user", "?"),
    ]
    composed = messages(*items, traits=Traits(needs_thoughts=True))
    assert composed[0] == {**calling("a"), "reasoning_content": ""}
    assert composed[2] == {**calling("b"), "reasoning": "Hm."}
    assert composed[4] == {"role": "user", "content": "?"}


SIGNED = {"extra_content": {"google": {"thought_signature": "c2lnbmVk"}}}


def test_what_a_server_has_signed_goes_back_on_the_call() -> None:
    signature = reasoning(pack_kept(KeptThought(calls={"a": SIGNED})))
    items: list[Item] = [signature, called("a"), called("b"), returned("a", "1"), returned("b", "2")]
    one, other = messages(*items)[0]["tool_calls"]
    assert one == {**calling("a")["tool_calls"][0], **SIGNED}
    assert other == calling("b")["tool_calls"][0]
    one, other = messages(*items, traits=Traits(needs_signatures=True))[0]["tool_calls"]
    assert one == {**calling("a")["tool_calls"][0], **SIGNED}
    assert other == {**calling("b")["tool_calls"][0], **NO_SIGNATURE}
    assert messages(*items, quirks=ModelQuirks(reasoning_replay="never"))[0] == calling("a", "b")


def test_ids_in_the_form_that_a_server_wants() -> None:
    items: list[Item] = [called("call_1"), called("abcdEFG12"), returned("call_1", "1"), returned("abcdEFG12", "2")]
    assistant, *results = messages(*items, traits=Traits(has_short_ids=True))
    ids = [call["id"] for call in assistant["tool_calls"]]
    assert ids == [answer["tool_call_id"] for answer in results]
    assert re.fullmatch(r"[a-zA-Z0-9]{9}", ids[0])
    assert ids[1] == "abcdEFG12"


def test_a_compaction_that_is_still_sealed_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError):
        messages(Compaction(id="", encrypted_content="x"))


PING = FunctionTool(name="ping")
WEATHER = FunctionTool(name="get_weather", description="The weather.", parameters={"type": "object"}, strict=True)
SENT_PING = {"type": "function", "function": {"name": "ping"}}
SENT_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather.",
        "parameters": {"type": "object"},
        "strict": True,
    },
}


def allow(mode: Any, *names: str) -> AllowedTools:
    """An `allowed_tools` choice."""
    return AllowedTools([FunctionChoice(name) for name in names], mode)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"tools": [SENT_PING, SENT_WEATHER]}),
        ("none", {}),
        ("required", {"tools": [SENT_PING, SENT_WEATHER], "tool_choice": "required"}),
        (
            FunctionChoice("ping"),
            {"tools": [SENT_PING], "tool_choice": {"type": "function", "function": {"name": "ping"}}},
        ),
        (allow("auto", "ping"), {"tools": [SENT_PING]}),
        (allow("required", "ping"), {"tools": [SENT_PING], "tool_choice": "required"}),
        (allow("none", "ping"), {}),
    ],
)
def test_what_is_offered_is_all_that_is_sent(choice: ToolChoice, sent: dict[str, Any]) -> None:
    assert fields(tools=[PING, WEATHER], tool_choice=choice) == sent


@pytest.mark.parametrize("is_parallel", [True, False])
def test_without_tools_nothing_is_said_of_them(is_parallel: bool) -> None:
    assert fields(parallel_tool_calls=is_parallel, max_tool_calls=3) == {}
    asked = fields(parallel_tool_calls=is_parallel, tools=[PING])
    assert asked == {"tools": [SENT_PING], "parallel_tool_calls": is_parallel}


SCHEMA = {"type": "object"}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"temperature": 0.0, "top_p": 1.0}, {"temperature": 0.0, "top_p": 1.0}),
        ({"presence_penalty": 0.0, "frequency_penalty": -2.0}, {"presence_penalty": 0.0, "frequency_penalty": -2.0}),
        ({"max_output_tokens": 16}, {"max_completion_tokens": 16}),
        ({"wants_logprobs": True}, {"logprobs": True}),
        ({"wants_logprobs": True, "top_logprobs": 0}, {"logprobs": True, "top_logprobs": 0}),
        ({"top_logprobs": 3}, {}),
        ({"text": TextConfig(JsonObject())}, {"response_format": {"type": "json_object"}}),
        (
            {"text": TextConfig(JsonSchema(name="x", description="An x.", schema=SCHEMA, strict=True))},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "description": "An x.", "schema": SCHEMA, "strict": True},
                }
            },
        ),
        (
            {"text": TextConfig(JsonSchema(name="x", schema=SCHEMA))},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
        ),
        ({"text": TextConfig(verbosity="low")}, {"verbosity": "low"}),
        ({"reasoning": ReasoningConfig("none")}, {"reasoning_effort": "none"}),
        ({"reasoning": ReasoningConfig("high", "auto")}, {"reasoning_effort": "high"}),
        ({"reasoning": ReasoningConfig(None, "auto"), "wants_encrypted_reasoning": True}, {}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        (
            {"safety_identifier": "s", "prompt_cache_key": "k", "user": "u"},
            {"safety_identifier": "s", "prompt_cache_key": "k", "user": "u"},
        ),
        ({"truncation": "auto", "compact_threshold": 100}, {}),
    ],
)
def test_parameters(asked: dict[str, Any], sent: dict[str, Any]) -> None:
    assert fields(**asked) == sent


@pytest.mark.parametrize("mode", get_args(SystemMessages))
@pytest.mark.parametrize("roles", [roles for count in range(4) for roles in product(get_args(Role), repeat=count)])
def test_a_text_is_sent_the_same_in_one_part_or_in_two(mode: SystemMessages, roles: Sequence[Role]) -> None:
    quirks = ModelQuirks(system_messages=mode)
    whole = [said(role, f"{role} {number}") for number, role in enumerate(roles)]
    cut = [speak(item.role, *item.content, InputText("")) for item in whole]
    assert messages(*whole, quirks=quirks) == messages(*cut, quirks=quirks)
