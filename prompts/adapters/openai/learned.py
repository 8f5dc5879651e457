"""What a process has learned of a model's server, model by model. Another process learns it for itself.

When a server refuses a field by its name, it is asked again without it, or with its other name, and from then on so:

    Mistral             422 to what it does not know: `max_completion_tokens`, `stream_options`, cache keys
    older vLLM, TGI     400 to `parallel_tool_calls`, `reasoning_effort`
    OpenAI              400 to `max_tokens` of models that think, to `parallel_tool_calls` of some
    vLLM, llama.cpp     400 to tools of the Responses protocol that are no functions: they are offered as functions

Only fields that a turn can do without are left out: hints, wishes, the report of usage. A refused *value* is told to
the client, who can change it (`reasoning_effort: "max"`).
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from prompts.adapters.openai.errors import find_server_words
from prompts.adapters.openai.server_words import ServerWords
from prompts.errors import InvalidImage, InvalidPrompt, PromptTooLong, ServiceError

# The models that are remembered: those learned of last.
MAX_MODELS = 1_000
# The other name of a field.
OTHER_NAMES = {"max_completion_tokens": "max_tokens", "max_tokens": "max_completion_tokens"}
# The answer is the same without these, whatever the server has against them.
_HINTS = (
    "stream_options",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "user",
)
# These may change the answer: left out only when the field is refused, and not its value.
_WISHES = ("parallel_tool_calls", "reasoning_effort", "reasoning", "verbosity")
_VALUE_CODES = {"invalid_value", "unsupported_value", "invalid_type"}
_VALUE_WORDS = re.compile(
    r"(?:invalid|unsupported) value|supported values|not one of|be one of|input should be|literal_error|\benum\b",
    re.IGNORECASE,
)
_BOUND_WORDS = re.compile(
    r"too (?:large|small|high|low|big)|at (?:most|least)|(?:less|greater|more) than|between|exceed|(?:max|min)imum|"
    r"must be",
    re.IGNORECASE,
)
_UNKNOWN_WORDS = re.compile(
    r"extra_forbidden|extra (?:inputs|fields)|unknown|unrecogni[sz]ed|unexpected|unsupported|"
    r"not (?:supported|permitted|allowed)|does not support",
    re.IGNORECASE,
)
# What goes back of earlier thoughts. DeepSeek R1 refuses it by its name; so does who takes no unknown fields.
_KEPT = {"reasoning_content", "reasoning", "reasoning_text", "reasoning_details", "extra_content"}
# Items of a Responses request that only OpenAI's own server is sure to know.
_AGENTS_ITEMS = {
    *("custom_tool_call", "custom_tool_call_output", "local_shell_call", "local_shell_call_output"),
    *("tool_search_call", "tool_search_output"),
}
# Mistral says that a tool call's id "must be a-z, A-Z, 0-9, with a length of 9".
_SHORT_IDS = re.compile(r"tool.call.id.{0,200}length of 9", re.IGNORECASE | re.DOTALL)
# DeepSeek says "Missing `reasoning_content` field", Kimi that "reasoning_content is missing in" a message.
_MISSING_THOUGHT = re.compile(r"missing.{0,40}reasoning_content|reasoning_content.{0,40}missing", re.IGNORECASE)
# Gemini says that a "function call is missing a thought_signature".
_MISSING_SIGNATURE = re.compile(r"missing a.{0,10}thought_signature", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Traits:
    """What its server has said of one model, mostly by refusing something."""

    refused_fields: frozenset[str] = frozenset()
    thought_name: str = ""
    """The name under which thoughts came."""
    has_short_ids: bool = False
    """Whether ids of calls must be nine letters and digits."""
    needs_thoughts: bool = False
    """Whether a turn with calls is refused without a thought; an empty one will do."""
    takes_no_thoughts: bool = False
    """Whether earlier thoughts are refused, or fields that came on calls."""
    takes_functions_only: bool = False
    """Whether tools of other kinds are refused (Responses)."""
    needs_signatures: bool = False
    """Whether a call is refused without a thought signature; the one for foreign calls will do."""


NOTHING_LEARNED = Traits()


class ServerMemory:
    """The traits of one server's models."""

    def __init__(self) -> None:
        self._traits: OrderedDict[str, Traits] = OrderedDict()

    def get(self, model: str) -> Traits:
        """What is known of the model; nothing, for a new one."""
        return self._traits.get(model, NOTHING_LEARNED)

    def set(self, model: str, traits: Traits) -> None:
        """Remember it: the server has taken a request of that form."""
        self._traits[model] = traits
        self._traits.move_to_end(model)
        while len(self._traits) > MAX_MODELS:
            self._traits.popitem(last=False)

    def note_thought_name(self, model: str, name: str) -> None:
        """Remember the name under which thoughts came."""
        if self.get(model).thought_name != name:
            self.set(model, replace(self.get(model), thought_name=name))


def learn(traits: Traits, error: ServiceError, body: Mapping[str, Any]) -> Traits | None:
    """The traits with which the same turn may be taken; None when the refusal is about something else."""
    told = find_server_words(error)
    if not isinstance(error, InvalidPrompt) or isinstance(error, (PromptTooLong, InvalidImage)) or told is None:
        return None
    if not traits.has_short_ids and _SHORT_IDS.search(told.whole):
        return replace(traits, has_short_ids=True)
    if not traits.needs_thoughts and _MISSING_THOUGHT.search(told.whole):
        return replace(traits, needs_thoughts=True)
    if not traits.needs_signatures and _MISSING_SIGNATURE.search(told.whole):
        return replace(traits, needs_signatures=True)
    if not traits.takes_no_thoughts and any(_is_named(name, told) for name in _list_kept(body)):
        return replace(traits, takes_no_thoughts=True)
    if not traits.takes_functions_only and any(_is_kind_named(kind, told) for kind in _list_tool_kinds(body)):
        return replace(traits, takes_functions_only=True)
    refused = _find_refused(traits, told, body)
    return replace(traits, refused_fields=traits.refused_fields | refused) if refused else None


def leave_out(body: dict[str, Any], refused_fields: frozenset[str]) -> dict[str, Any]:
    """The request without the refused fields; a limit goes under its other name."""
    for name in refused_fields & body.keys():
        value = body.pop(name)
        other = OTHER_NAMES.get(name)
        if other is not None and other not in refused_fields:
            body[other] = value
    return body


def _find_refused(traits: Traits, told: ServerWords, body: Mapping[str, Any]) -> frozenset[str]:
    """The fields that are refused by name; but not a limit that is refused under both of its names."""
    is_about_value = told.codes & _VALUE_CODES or _VALUE_WORDS.search(told.whole)
    is_about_bound = _BOUND_WORDS.search(told.whole) and not _UNKNOWN_WORDS.search(told.whole)
    names = _HINTS if is_about_value or is_about_bound else (*_HINTS, *_WISHES, *OTHER_NAMES)
    named = {name for name in names if name in body and _is_named(name, told)}
    lost = {name for name in named if OTHER_NAMES.get(name) in traits.refused_fields}
    return frozenset(named - lost - traits.refused_fields)


def _list_kept(body: Mapping[str, Any]) -> set[str]:
    """The names in the messages under which thoughts go back, and fields on calls."""
    messages = body.get("messages", ())
    calls = (call for message in messages for call in message.get("tool_calls", ()))
    return {name for holder in (*messages, *calls) for name in holder if name in _KEPT}


def _list_tool_kinds(body: Mapping[str, Any]) -> set[str]:
    """The kinds of tools, and of calls, that are no functions; of a Responses request."""
    if "input" not in body:
        return set()
    kinds = {str(tool.get("type")) for tool in body.get("tools", ())} - {"function"}
    return kinds | {item["type"] for item in body["input"] if item.get("type") in _AGENTS_ITEMS}


def _is_kind_named(kind: str, told: ServerWords) -> bool:
    """Whether the error is about this kind of tool; some only say that the type must be `function`."""
    mention = rf"[\"'`]{kind}[\"'`]|type.{{0,40}}must be.{{0,20}}function"
    return re.search(mention, told.whole, re.IGNORECASE | re.DOTALL) is not None


def _is_named(name: str, told: ServerWords) -> bool:
    """Whether the error names the field. An ordinary word (`user`) counts only in quotes."""
    mention = rf"\b{name}\b" if "_" in name else rf"[\"'`]{name}[\"'`]"
    return told.param == name or re.search(mention, told.whole) is not None
