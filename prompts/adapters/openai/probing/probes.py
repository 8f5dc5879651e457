"""The probes: each asks one thing, and says what was found and what that means here."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from prompts.adapters.openai.chat_request import continuation_body
from prompts.adapters.openai.continuation import Way
from prompts.adapters.openai.model import OpenAIModel
from prompts.adapters.openai.probing.server import ProbedServer, Told, Turn, stream_turn
from prompts.domain.text import JsonObject, JsonSchema, TextConfig
from prompts.domain.tools import FunctionTool

HELLO = [{"role": "user", "content": "Say hello."}]
COUNT = [{"role": "user", "content": "count to 9"}]
COUNTED = "1 2 3 4"
WEATHER = FunctionTool(
    name="get_weather",
    description="The weather in one city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    strict=False,
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
# One red pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
THOUGHT_FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "reasoning_details", "thinking")
CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "n_ctx", "n_ctx_train", "max_context_length")
# Beyond this a probe of a full context would cost more than a configuration is worth.
MAX_LONG_TOKENS = 300_000
FEW_TOKENS = 16
# A small model that calls nothing writes on and on.
CALL_TOKENS = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found: `yes`, `no`, a word of the server's, or `?`; what it means; what to set."""

    result: str
    meaning: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe may ask: the server itself, and the adapter over it."""

    server: ProbedServer
    turns: OpenAIModel


Probe: TypeAlias = Callable[[Probed], Awaitable[Finding]]


async def probe_list(probed: Probed) -> Finding:
    """Whether the model is listed, and under which name."""
    told = await probed.server.list_models()
    names = [str(entry.get("id")) for entry in _list_entries(told)]
    if not names:
        return Finding("no", "the server lists no models: no model is refused here before it is asked")
    if probed.turns.models.resolve(probed.server.model) in names:
        return Finding("yes", f"{len(names)} listed, and this one among them")
    shown = ", ".join(names[:3])
    meaning = f"not among the {len(names)} listed ({shown} …): this service refuses it"
    return Finding("no", meaning, {"DEFAULT_MODEL": f'one of them, or MODEL_ALIASES={{"{probed.server.model}": …}}'})


async def probe_usage(probed: Probed) -> Finding:
    """Whether a stream reports its tokens."""
    turn = await stream_turn(probed.turns, probed.server.model, "Say hello.")
    if turn.usage is None:
        return Finding("no", "no usage at the end of a stream: tokens are estimated")
    return Finding("yes", f"{turn.usage.input_tokens} in, {turn.usage.output_tokens} out")


async def probe_tools(probed: Probed) -> Finding:
    """Whether a function is called with arguments that are JSON."""
    text = "What is the weather in Paris? Call get_weather with city=Paris."
    turn = await _call(probed, text, [WEATHER])
    if not turn.calls and turn.reason == "length":
        return Finding("?", f"no call within {CALL_TOKENS} tokens")
    if not turn.calls:
        return Finding("no", "it answered with text: agents will not work with this model")
    if not all(_is_object(arguments) for _, arguments in turn.calls):
        return Finding("broken", "it called with arguments that are no JSON: such a response ends as incomplete")
    return Finding("yes", "functions are called")


async def probe_parallel_calls(probed: Probed) -> Finding:
    """Whether it asks for several calls at once."""
    text = "Call get_weather with city=Paris and get_time with city=Rome, both at once."
    tools = [WEATHER, _named("get_time")]
    turn = await _call(probed, text, tools, parallel_tool_calls=True)
    return Finding("yes" if len(turn.calls) > 1 else "no", f"{len(turn.calls)} in one answer")


async def probe_schema(probed: Probed) -> Finding:
    """Whether an answer keeps to a schema."""
    form = TextConfig(format=JsonSchema(name="city", description=None, schema=SCHEMA, strict=True))
    turn = await stream_turn(probed.turns, probed.server.model, "Name a city, as JSON.", text=form)
    document = _find_object(turn.text)
    if document is None or not isinstance(document.get("city"), str):
        return Finding("no", "json_schema is taken, and the answer is another: check what the model says")
    return Finding("yes", "structured output works")


async def probe_json(probed: Probed) -> Finding:
    """Whether an answer is a JSON object when it has to be."""
    form = TextConfig(format=JsonObject())
    turn = await stream_turn(probed.turns, probed.server.model, "Name a city, as a JSON object.", text=form)
    return Finding("yes" if _find_object(turn.text) is not None else "no", "json_object")


async def probe_prefix(probed: Probed) -> Finding:
    """Which way of going on with an answer leads on: what a takeover does with this server."""
    told = {way: await _continue(probed.server, way) for way in (Way.OPEN, Way.MARKED, Way.ASKED)}
    ways = ", ".join(f"{way.value}: {found}" for way, found in told.items())
    good = [way.value for way, found in told.items() if found in {"goes on", "after an echo"}]
    if not good:
        return Finding("no", f"{ways}. An answer that loses its replica may repeat itself")
    return Finding(good[0], f"{ways}. An answer that loses its replica goes on")


async def probe_several_system_messages(probed: Probed) -> Finding:
    """Whether two system messages at the beginning are taken."""
    rules = [{"role": "system", "content": "Be kind."}, {"role": "system", "content": "Be brief."}]
    return _judge_system(await probed.server.ask([*rules, *HELLO], max_tokens=FEW_TOKENS), "several, first")


async def probe_late_system_message(probed: Probed) -> Finding:
    """Whether a system message after a turn is taken."""
    late = [*HELLO, {"role": "assistant", "content": "Hello."}, {"role": "system", "content": "Be brief."}, *HELLO]
    return _judge_system(await probed.server.ask(late, max_tokens=FEW_TOKENS), "one after a turn")


async def probe_thoughts(probed: Probed) -> Finding:
    """Where the model's thoughts are."""
    told = await probed.server.ask([{"role": "user", "content": "What is 17 * 23? Think first."}])
    model = probed.server.model
    if named := [name for name in THOUGHT_FIELDS if told.message.get(name)]:
        return Finding(named[0], "thoughts have a field, and go back with tool calls", {"REASONING_REPLAY": "tools"})
    if "<think>" in told.text:
        return Finding("<think>", "thoughts stand in the text", {"THINK_TAGS": model})
    if "</think>" in told.text:
        return Finding(
            "</think>", "thoughts stand in the text, and the template opens them", {"THINK_TAGS": f"{model}=begun"}
        )
    return _if_taken(told, Finding("none", "no thoughts were seen"))


async def probe_limit(probed: Probed) -> Finding:
    """Under which name a limit of tokens is taken and kept."""
    asked = [{"role": "user", "content": "write 200 words"}]
    kept = []
    for name in ("max_completion_tokens", "max_tokens"):
        told = await probed.server.ask(asked, **{name: FEW_TOKENS})
        if told.is_taken and told.finish_reason == "length":
            kept.append(name)
    if not kept:
        return Finding("no", "no limit was kept: max_output_tokens does nothing here")
    if "max_completion_tokens" in kept:
        return Finding(" and ".join(kept), "max_output_tokens is sent as max_completion_tokens")
    return Finding(
        "max_tokens", "the other name is ignored or refused", {"MODEL_OPTIONS": '{"max_tokens": …}, as a limit for all'}
    )


async def probe_logprobs(probed: Probed) -> Finding:
    """Whether likelihoods are reported."""
    told = await probed.server.ask(HELLO, logprobs=True, top_logprobs=1, max_tokens=FEW_TOKENS)
    match told.body:
        case {"choices": [{"logprobs": {"content": [_, *_]}}, *_]}:
            return Finding("yes", "message.output_text.logprobs can be included")
    return _if_taken(told, Finding("no", "taken, and none came"))


async def probe_images(probed: Probed) -> Finding:
    """Whether an image is taken."""
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    content = [{"type": "text", "text": "What do you see?"}, image]
    told = await probed.server.ask([{"role": "user", "content": content}], max_tokens=FEW_TOKENS)
    return _if_taken(told, Finding("yes", "taken; whether the model sees it, only its answer tells"))


async def probe_unknown_model(probed: Probed) -> Finding:
    """What the server says to a model that it has not."""
    told = await probed.server.ask(HELLO, model="no-such-model-0", max_tokens=FEW_TOKENS)
    if told.is_taken:
        return Finding("answers", "it answers to any name: only its list tells what there is")
    return Finding(f"HTTP {told.status}", _describe_error(told))


async def probe_long_input(probed: Probed) -> Finding:
    """What the server says to an input that is longer than the model can take."""
    told = await probed.server.list_models()
    sizes = [size for entry in _list_entries(told) if entry.get("id") == probed.server.model for size in _sizes(entry)]
    if not sizes or min(sizes) > MAX_LONG_TOKENS:
        return Finding("?", "not asked: the list does not say how much the model takes, or that is too much to try")
    words = "one two three four five six seven eight " * (min(sizes) // 6)
    told = await probed.server.ask([{"role": "user", "content": words}], max_tokens=1)
    room = {"HISTORY_TOKENS": str(min(sizes) // 2)}
    if told.is_taken:
        return Finding("answers", f"it takes {min(sizes)} tokens, and cuts what is longer without a word", room)
    return Finding(f"HTTP {told.status}", f"it takes {min(sizes)} tokens. {_describe_error(told)}", room)


PROBES: Mapping[str, Probe] = {
    "list of models": probe_list,
    "usage in a stream": probe_usage,
    "tools": probe_tools,
    "parallel calls": probe_parallel_calls,
    "JSON schema": probe_schema,
    "JSON object": probe_json,
    "continuing an answer": probe_prefix,
    "system messages": probe_several_system_messages,
    "a late system message": probe_late_system_message,
    "thoughts": probe_thoughts,
    "limit of tokens": probe_limit,
    "log probabilities": probe_logprobs,
    "images": probe_images,
    "unknown model": probe_unknown_model,
    "too long an input": probe_long_input,
}


async def _call(probed: Probed, text: str, tools: list[FunctionTool], **asked: Any) -> Turn:
    limit = {"max_output_tokens": CALL_TOKENS}
    return await stream_turn(probed.turns, probed.server.model, text, tools=tools, **limit, **asked)


async def _continue(server: ProbedServer, way: Way) -> str:
    body = continuation_body({"messages": COUNT}, COUNTED, way)
    told = await server.ask(body.pop("messages"), max_tokens=40, **body)
    said = told.text.strip()
    if not told.is_taken:
        return f"HTTP {told.status}"
    if said.startswith("5"):
        return "goes on"
    return "after an echo" if said.startswith(COUNTED) and "5" in said else "begins anew"


def _judge_system(told: Told, what: str) -> Finding:
    if told.is_taken:
        return Finding("yes", f"{what}: taken")
    meaning = f"{what}: refused with HTTP {told.status}; the service sends one, first"
    return Finding("no", meaning, {"SYSTEM_MESSAGES": "merge"})


def _if_taken(told: Told, finding: Finding) -> Finding:
    return finding if told.is_taken else Finding("no", f"refused with HTTP {told.status}: {_describe_error(told)}")


def _describe_error(told: Told) -> str:
    match told.body:
        case {"error": {"message": str(), **rest}}:
            return f"OpenAI's envelope, code {rest.get('code')!r}"
        case {"error": _} | {"detail": _} | {"message": _}:
            return "JSON, not OpenAI's envelope"
    return "no JSON"


def _named(name: str) -> FunctionTool:
    return FunctionTool(name=name, description=None, parameters=WEATHER.parameters, strict=False)


def _list_entries(told: Told) -> list[dict[str, Any]]:
    match told.body:
        case {"data": list(entries)}:
            return [entry for entry in entries if isinstance(entry, dict)]
    return []


def _sizes(entry: Mapping[str, Any]) -> list[int]:
    """What of a list's entry says how many tokens the model takes; llama.cpp has it below `meta`."""
    places = [entry, entry.get("meta") if isinstance(entry.get("meta"), dict) else {}]
    found = [place.get(name) for place in places if place for name in CONTEXT_FIELDS]
    return [size for size in found if isinstance(size, int) and size > 0]


def _is_object(text: str) -> bool:
    return _find_object(text) is not None


def _find_object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
