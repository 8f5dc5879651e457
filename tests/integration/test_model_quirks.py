"""What model servers want to be asked like: what is sent, what is learned when they refuse it, what settings change."""

import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI

from prompts.adapters.openai.bodies import MAX_INFLATED_BYTES
from prompts.adapters.openai.chat_model import OpenAIChatModel
from prompts.adapters.openai.http_client import MAX_ERROR_BYTES, ModelServerClient
from prompts.adapters.openai.model_list import MAX_LIST_BYTES
from prompts.adapters.openai.quirks import NO_QUIRKS, ModelQuirks
from prompts.adapters.openai.streams import Patience
from prompts.adapters.openai.think_tags import TaggedModels
from prompts.domain.items import FunctionCall, FunctionCallOutput, Item, Reasoning, ReasoningText
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Called, Sealed, Thought
from prompts.domain.text import ReasoningConfig
from prompts.domain.tools import FunctionTool
from prompts.errors import InvalidPrompt, UpstreamError
from tests.support.items import called as called_by_model
from tests.support.items import returned, said
from tests.support.model_asker import Asker
from tests.support.model_shapes.shape import CALLED, DONE, GOOD, HI, STOP, WHOLE, call, called, chunk, refuse, stream
from tests.support.model_shapes.shape import said as said_by_model
from tests.support.raw_model import Asked, RawModelServer, Reply, reply_json

PATIENCE = Patience(connect_s=5, first_token_s=5, silence_s=5)
F = FunctionTool(name="f")


@pytest.fixture(scope="module")
def raw_model() -> Iterator[RawModelServer]:
    """One for the module; each test says what it plays."""
    with RawModelServer() as server:
        yield server


@asynccontextmanager
async def open_model(
    raw_model: RawModelServer, quirks: ModelQuirks = NO_QUIRKS, *, patience: Patience = PATIENCE
) -> AsyncIterator[OpenAIChatModel]:
    """The adapter as `config.clients` makes it."""
    async with AsyncOpenAI(base_url=raw_model.base_url, api_key="key", http_client=ModelServerClient()) as client:
        yield OpenAIChatModel(client, patience, quirks)


@pytest.fixture
async def asker(raw_model: RawModelServer) -> AsyncIterator[Asker]:
    """Asks the raw server, which is known nothing of."""
    async with open_model(raw_model) as model:
        yield Asker(model)


def refuse_fields(*names: str) -> Callable[[Any], Reply]:
    """A server that refuses these fields, one at a time."""

    def answer(body: Any) -> Reply:
        unknown = next((name for name in names if name in body), None)
        return refuse(400, f"Unrecognized request argument supplied: {unknown}") if unknown else GOOD

    return answer


async def test_what_a_server_refuses_is_left_out_and_remembered(asker: Asker, raw_model: RawModelServer) -> None:
    raw_model.play(refuse_fields("stream_options", "parallel_tool_calls", "reasoning_effort", "prompt_cache_key"))
    asked: dict[str, Any] = {
        "tools": [F],
        "parallel_tool_calls": False,
        "reasoning": ReasoningConfig("low"),
        "prompt_cache_key": "k",
    }
    assert (await asker.ask("Hello", **asked)).text == "hi"
    assert len(raw_model.asked) == 5
    assert (await asker.ask("Hello", **asked)).text == "hi"
    assert len(raw_model.asked) == 6
    assert set(raw_model.bodies[-1]) == {"model", "messages", "stream", "tools"}


async def test_what_one_model_refuses_another_is_still_asked(asker: Asker, raw_model: RawModelServer) -> None:
    raw_model.play(refuse_fields("stream_options"))
    await asker.ask("Hello")
    async with asker.model.stream(ModelRequest(model="other"), [said("user", "Hello")]) as answer:
        assert [signals async for signals in answer]
    assert ["stream_options" in body for body in raw_model.bodies] == [True, False, True, False]


@pytest.mark.parametrize("is_new", [True, False])
async def test_a_limit_goes_under_the_name_that_the_server_knows(
    asker: Asker, raw_model: RawModelServer, is_new: bool
) -> None:
    names = ["max_completion_tokens", "max_tokens"]
    raw_model.play(refuse_fields(*(names[1:] if is_new else names[:1])))
    assert (await asker.ask("Hello", max_output_tokens=64)).text == "hi"
    assert raw_model.bodies[-1][names[0] if is_new else names[1]] == 64
    assert names[1 if is_new else 0] not in raw_model.bodies[-1]


async def test_a_limit_that_is_refused_under_both_names_is_not_dropped(asker: Asker, raw_model: RawModelServer) -> None:
    raw_model.play(refuse_fields("max_completion_tokens", "max_tokens"))
    for _ in range(2):
        heard = await asker.try_to_ask("Hello", max_output_tokens=64)
        assert isinstance(heard.error, InvalidPrompt)
    assert len(raw_model.asked) == 4  # what did not help is not remembered


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Unsupported value: 'reasoning_effort' does not support 'xhigh' with this model.", "unsupported_value"),
        ("Invalid value: 'xhigh'. Supported values are: 'low' and 'high'.", None),
        ("reasoning_effort: Input should be 'low', 'medium' or 'high'", None),
    ],
)
async def test_a_value_that_is_refused_is_told(
    asker: Asker, raw_model: RawModelServer, message: str, code: str | None
) -> None:
    raw_model.play(refuse(400, message, code=code, param="reasoning_effort"))
    heard = await asker.try_to_ask("Hello", reasoning=ReasoningConfig("xhigh"))
    assert isinstance(heard.error, InvalidPrompt)
    assert len(raw_model.asked) == 1


async def test_a_limit_that_is_too_large_is_told(asker: Asker, raw_model: RawModelServer) -> None:
    raw_model.play(refuse(400, "max_completion_tokens is too large: 99999. This model supports at most 16384."))
    heard = await asker.try_to_ask("Hello", max_output_tokens=99_999)
    assert isinstance(heard.error, InvalidPrompt)
    assert len(raw_model.asked) == 1


async def test_a_refusal_that_only_repeats_the_request_is_about_something_else(
    asker: Asker, raw_model: RawModelServer
) -> None:
    echo = {"model": "m", "stream_options": {}, "max_completion_tokens": 64}
    detail = [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": echo}]
    raw_model.play(reply_json({"detail": detail}, 422))
    assert isinstance((await asker.try_to_ask("Hello", max_output_tokens=64)).error, InvalidPrompt)
    assert len(raw_model.asked) == 1


async def test_ids_of_calls_take_the_form_that_a_server_wants(asker: Asker, raw_model: RawModelServer) -> None:
    def answer(body: Any) -> Reply:
        [call_id] = [message["tool_call_id"] for message in body["messages"] if message["role"] == "tool"]
        message = f"Tool call id was {call_id} but must be a-z, A-Z, 0-9, with a length of 9."
        return refuse(400, message) if len(call_id) != 9 else GOOD

    raw_model.play(answer)
    items: list[Item] = [called_by_model("call_1"), returned("call_1", "1")]
    assert (await asker.ask(*items)).text == "hi"
    assert (await asker.ask(*items)).text == "hi"
    assert len(raw_model.asked) == 3


def thinks_and_calls(name: str) -> Reply:
    """An answer that thinks under this name, then calls."""
    return stream(chunk({name: "why"}) + called(call("a", "f", '{"x":1}')) + CALLED + DONE)


def keep(heard_signals: list[Any]) -> list[Item]:
    """What is kept of an answer that thinks and calls, with the call's output."""
    [sealed] = [signal for signal in heard_signals if isinstance(signal, Sealed)]
    [call] = [signal for signal in heard_signals if isinstance(signal, Called)]
    assert heard_signals.index(sealed) < heard_signals.index(call)
    return [
        Reasoning("", "completed", summary=[], encrypted_content=sealed.encrypted_content),
        FunctionCall("", "completed", call.call_id, call.name, '{"x":1}'),
        FunctionCallOutput("", "completed", call.call_id, "1"),
    ]


@pytest.mark.parametrize("effort", [None, "low"])
@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_a_thought_before_a_call_goes_back_under_its_name_whoever_saw_it(
    asker: Asker, raw_model: RawModelServer, name: str, effort: Any
) -> None:
    raw_model.play(thinks_and_calls(name), GOOD)
    heard = await asker.ask("Hello", tools=[F], reasoning=ReasoningConfig(effort))
    assert any(isinstance(signal, Thought) for signal in heard.signals) == (effort is not None)
    await asker.ask("Hello", *keep(heard.signals), tools=[F])
    assert raw_model.bodies[-1]["messages"][1][name] == "why"


async def test_a_thought_that_a_client_kept_goes_back_under_the_servers_name(
    asker: Asker, raw_model: RawModelServer
) -> None:
    raw_model.play(stream(chunk({"reasoning": "hm"}) + WHOLE))
    await asker.ask("Hello")
    thought = Reasoning("", "completed", summary=[], content=[ReasoningText("why")])
    await asker.ask("Hello", thought, called_by_model("a"), returned("a", "1"))
    assert raw_model.bodies[-1]["messages"][1]["reasoning"] == "why"


async def test_details_of_a_thought_go_back_as_they_came(asker: Asker, raw_model: RawModelServer) -> None:
    pieces: list[dict[str, Any]] = [
        {"type": "reasoning.text", "text": "w", "index": 0, "format": "anthropic"},
        {"type": "reasoning.text", "text": "hy", "index": 0, "signature": "c2ln"},
        {"type": "reasoning.encrypted", "data": "YQ==", "id": "a"},
    ]
    deltas = [chunk({"reasoning": piece.get("text", ""), "reasoning_details": [piece]}) for piece in pieces]
    raw_model.play(stream(*deltas, called(call("a", "f", '{"x":1}')) + CALLED + DONE), GOOD)
    heard = await asker.ask("Hello", tools=[F], reasoning=ReasoningConfig("low"))
    assert heard.thought == "why"
    await asker.ask("Hello", *keep(heard.signals), tools=[F])
    assert raw_model.bodies[-1]["messages"][1]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "why", "index": 0, "format": "anthropic", "signature": "c2ln"},
        {"type": "reasoning.encrypted", "data": "YQ==", "id": "a"},
    ]


async def test_a_signature_goes_back_on_its_call(asker: Asker, raw_model: RawModelServer) -> None:
    signature = {"google": {"thought_signature": "c2lnbmVk"}}
    raw_model.play(stream(called(call("a", "f", '{"x":1}', extra_content=signature)) + CALLED + DONE), GOOD)
    heard = await asker.ask("Hello", tools=[F])
    await asker.ask("Hello", *keep(heard.signals), tools=[F])
    [sent] = raw_model.bodies[-1]["messages"][1]["tool_calls"]
    assert sent["extra_content"] == signature


async def test_nothing_is_kept_where_nothing_goes_back(asker: Asker, raw_model: RawModelServer) -> None:
    raw_model.play(stream(chunk({"reasoning": "why"}) + WHOLE))
    assert not any(isinstance(signal, Sealed) for signal in (await asker.ask("Hello")).signals)
    async with open_model(raw_model, ModelQuirks(reasoning_replay="never")) as model:
        heard = await Asker(model).ask("Hello", tools=[F])
    assert not any(isinstance(signal, Sealed) for signal in heard.signals)
    async with open_model(raw_model, ModelQuirks(reasoning_replay="always")) as model:
        heard = await Asker(model).ask("Hello")
    assert any(isinstance(signal, Sealed) for signal in heard.signals)


@pytest.mark.parametrize(
    "message",
    [
        "Please remove the reasoning_content from your message.",
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "messages", 1, "reasoning_content"]}]},
    ],
)
async def test_a_server_that_takes_no_thoughts_gets_none(asker: Asker, raw_model: RawModelServer, message: Any) -> None:
    def answer(body: Any) -> Reply:
        is_refused = any("reasoning_content" in entry for entry in body["messages"])
        return reply_json({"error": {"message": message}}, 422) if is_refused else GOOD

    raw_model.play(answer)
    thought = Reasoning("", "completed", summary=[], content=[ReasoningText("why")])
    items: list[Item] = [thought, called_by_model("a"), returned("a", "1")]
    assert (await asker.ask("Hello", *items)).text == "hi"
    assert (await asker.ask("Hello", *items)).text == "hi"
    assert len(raw_model.asked) == 3


MISSING = {
    "reasoning_content": "Missing `reasoning_content` field in the assistant message at message index 1.",
    "extra_content": "Function call is missing a thought_signature in functionCall parts.",
}


@pytest.mark.parametrize("name", MISSING)
async def test_a_server_that_misses_what_was_never_kept_is_given_a_blank(
    asker: Asker, raw_model: RawModelServer, name: str
) -> None:
    def answer(body: Any) -> Reply:
        message = body["messages"][1]
        return GOOD if name in message or name in message["tool_calls"][0] else refuse(400, MISSING[name])

    raw_model.play(answer)
    items: list[Item] = [called_by_model("a"), returned("a", "1")]
    assert (await asker.ask("Hello", *items, tools=[F])).text == "hi"
    assert len(raw_model.asked) == 2


TAGGED = stream(said_by_model("<thi") + said_by_model("nk>t</th") + said_by_model("ink>\n\nhi") + STOP + DONE)


async def test_thoughts_in_the_text_are_told_apart_by_setting(raw_model: RawModelServer) -> None:
    raw_model.play(TAGGED)
    quirks = ModelQuirks(tagged_models=(TaggedModels("stand*"),))
    async with open_model(raw_model, quirks) as model:
        heard = await Asker(model).ask("Hello", reasoning=ReasoningConfig("low"))
        assert (heard.thought, heard.text) == ("t", "hi")
        heard = await Asker(model).ask("Hello")
        assert (heard.thought, heard.text) == ("", "hi")
        async with model.stream(ModelRequest(model="other"), [said("user", "Hello")]) as answer:
            text = "".join([getattr(signal, "text", "") async for signals in answer for signal in signals])
        assert text == "<think>t</think>\n\nhi"


async def test_options_of_the_server(raw_model: RawModelServer) -> None:
    raw_model.play(GOOD)
    quirks = ModelQuirks(
        options={"temperature": 0.1, "chat_template_kwargs": {"a": 1}}, option_names=frozenset({"top_k"})
    )
    async with open_model(raw_model, quirks) as model:
        await Asker(model).ask("Hello", options={"top_k": 5, "min_p": 0.1})
        assert (
            raw_model.bodies[-1].items() >= {"temperature": 0.1, "chat_template_kwargs": {"a": 1}, "top_k": 5}.items()
        )
        assert "min_p" not in raw_model.bodies[-1]
        await Asker(model).ask("Hello", temperature=0.7)
        assert raw_model.bodies[-1]["temperature"] == 0.7
    async with open_model(raw_model, ModelQuirks(options={"max_tokens": 9})) as model:
        await Asker(model).ask("Hello", max_output_tokens=64)
    assert (raw_model.bodies[-1].get("max_tokens"), raw_model.bodies[-1]["max_completion_tokens"]) == (None, 64)


async def test_a_model_is_known_under_its_listed_id_its_short_name_and_its_aliases(raw_model: RawModelServer) -> None:
    raw_model.play(GOOD)
    raw_model.models = reply_json({"data": [{"id": "llama3.2:latest"}, {"id": "models/gemini"}, {"id": "qwen:7b"}]})
    async with open_model(raw_model, ModelQuirks(aliases={"gpt": "llama3.2", "mine": "not listed"})) as model:
        names = {entry.id for entry in await model.list_models()}
        assert names == {"llama3.2:latest", "llama3.2", "models/gemini", "gemini", "qwen:7b", "gpt", "mine"}
        sent = {}
        for name in (*names, "unheard of"):
            async with model.stream(ModelRequest(model=name), [said("user", "Hello")]) as answer:
                assert [signals async for signals in answer]
            sent[name] = raw_model.bodies[-1]["model"]
    assert sent == {
        "llama3.2:latest": "llama3.2:latest",
        "llama3.2": "llama3.2:latest",
        "models/gemini": "models/gemini",
        "gemini": "models/gemini",
        "qwen:7b": "qwen:7b",
        "gpt": "llama3.2:latest",
        "mine": "not listed",
        "unheard of": "unheard of",
    }


@pytest.mark.parametrize(
    "reply",
    [
        reply_json({"data": []}),
        reply_json({}),
        reply_json({"error": "no"}, 404),
        Reply([b'{"data": [{"id": "a"}, ', *[b'{"id": "a"}, ' * 100_000] * (MAX_LIST_BYTES // 1_300_000 + 1)]),
        Reply([], 302, {"location": "/v1/others"}),
        Reply([gzip.compress(b" " * (MAX_LIST_BYTES * 4))], headers={"content-encoding": "gzip"}),
    ],
)
async def test_a_list_of_models_that_cannot_be_believed_refuses_nothing(
    raw_model: RawModelServer, reply: Reply
) -> None:
    raw_model.models = reply
    async with open_model(raw_model) as model:
        assert not await model.list_models()


async def test_a_slow_list_of_models_delays_one_turn(raw_model: RawModelServer) -> None:
    raw_model.models = Reply(["hang"])
    async with open_model(raw_model, patience=Patience(connect_s=0.2, first_token_s=5, silence_s=5)) as model:
        assert not await model.list_models()
        for _ in range(100):  # each would wait, were it not for the first
            assert not await model.list_models()


async def test_nobody_is_sent_elsewhere(asker: Asker, raw_model: RawModelServer) -> None:
    with RawModelServer() as stranger:
        stranger.play(GOOD)
        for status in (301, 302, 303, 307, 308):
            raw_model.play(Reply([], status, {"location": f"{stranger.base_url}/chat/completions"}))
            assert isinstance((await asker.try_to_ask("Hello")).error, UpstreamError)
        assert stranger.asked == []


async def test_an_error_without_end_is_read_as_far_as_it_matters(asker: Asker, raw_model: RawModelServer) -> None:
    long = b'{"error": {"message": "' + b"x" * MAX_ERROR_BYTES
    raw_model.play(Reply([long, "hang"], 400))
    assert isinstance((await asker.try_to_ask("Hello")).error, InvalidPrompt)
    bomb = gzip.compress(b'{"error": {"message": "' + b"x" * 100_000_000)
    raw_model.play(Reply([bomb, "hang"], 400, {"content-encoding": "gzip"}))
    assert isinstance((await asker.try_to_ask("Hello")).error, InvalidPrompt)


async def test_compression_is_not_asked_for_and_read_all_the_same(asker: Asker, raw_model: RawModelServer) -> None:
    raw_model.play(Reply([gzip.compress(WHOLE)], headers={"content-encoding": "gzip"}))
    assert (await asker.ask("Hello")).text == "hi"
    [asked] = raw_model.asked
    assert isinstance(asked, Asked)
    assert asked.headers["accept-encoding"] == "identity"
    error = gzip.compress(json.dumps({"error": {"message": "maximum context length"}}).encode())
    raw_model.play(Reply([error], 400, {"content-encoding": "gzip"}))
    heard = await asker.try_to_ask("Hello")
    assert type(heard.error).__name__ == "PromptTooLong"


async def test_a_small_body_does_not_become_a_large_one(raw_model: RawModelServer) -> None:
    comments = HI + b": nothing\n" * (MAX_INFLATED_BYTES // 10 + 1)
    bomb = gzip.compress(comments + STOP + DONE)
    assert len(bomb) < 1_000_000
    raw_model.play(Reply([bomb], headers={"content-encoding": "gzip"}))
    async with open_model(raw_model, patience=Patience(connect_s=5, first_token_s=60, silence_s=60)) as model:
        heard = await Asker(model).try_to_ask("Hello")
    assert heard.text == "hi"
    assert isinstance(heard.error, UpstreamError)
