"""The table of item kinds: every kind in it is handled everywhere, and a new kind needs only its entry."""

from collections.abc import Sequence
from typing import Any, cast, get_args

import msgspec
import pytest
from msgspec import Struct

from prompts.adapters.openai.chat_messages import compose_messages
from prompts.adapters.openai.responses_items import compose_input
from prompts.adapters.redis.items import decode_items, encode, pack_items
from prompts.api.wire.item_reader import ItemReader, read_items
from prompts.api.wire.items import InputItem, Sender
from prompts.api.wire.unknown import ReadingRules, Unknown
from prompts.domain.item_kinds import (
    HIDDEN_TYPES,
    ITEM_ID_PREFIXES,
    ITEM_KINDS,
    KINDS_BY_TYPE,
    ItemKind,
    find_answered_call,
    find_made_call,
    find_speaker,
    index_kinds,
)
from prompts.domain.items import FunctionCall, FunctionCallOutput, Item, ItemStatus, Message
from prompts.errors import InvalidRequest
from prompts.history.calls import drop_unanswered, find_places_inside, find_unanswered
from prompts.history.estimates import TOKENS_A_MESSAGE, estimate_tokens
from prompts.history.model_input import compose_items
from prompts.run.summary import compose_transcript
from prompts.usecases.markdown import render_item
from tests.support.items import said

# One item of each kind as a client writes it, with all its fields. WORD is its text.
WORD = "pomegranate"
FOUND = {"type": "function", "name": WORD, "description": "Sells it."}
EXAMPLES: dict[str, dict[str, Any]] = {
    "message": {"role": "assistant", "content": WORD, "phase": "final_answer"},
    "function_call": {
        "call_id": "call_1",
        "name": "get_fruit",
        "arguments": f'{{"fruit":"{WORD}"}}',
        "namespace": "shop",
    },
    "function_call_output": {"call_id": "call_1", "output": WORD},
    "reasoning": {
        "summary": [{"type": "summary_text", "text": WORD}],
        "content": [{"type": "reasoning_text", "text": WORD}],
        "encrypted_content": f'{{"text":"","model_content":"{WORD}"}}',
    },
    "file_search_call": {"queries": [WORD], "results": [{"text": WORD}]},
    "compaction": {"encrypted_content": WORD},
    "custom_tool_call": {"call_id": "call_1", "name": "apply_patch", "input": WORD, "namespace": "shop"},
    "custom_tool_call_output": {"call_id": "call_1", "output": WORD},
    "local_shell_call": {
        "call_id": "call_1",
        "action": {"type": "exec", "command": ["echo", WORD], "env": {"FRUIT": WORD}, "timeout_ms": 1_000},
    },
    "local_shell_call_output": {"call_id": "call_1", "output": WORD},
    "tool_search_call": {"call_id": "call_1", "execution": "client", "arguments": {"query": WORD}},
    "tool_search_output": {"call_id": "call_1", "execution": "client", "tools": [FOUND]},
    "additional_tools": {"role": "developer", "tools": [FOUND]},
    "web_search_call": {"action": {"type": "search", "query": WORD}},
    "image_generation_call": {
        "status": "failed",
        "revised_prompt": WORD,
        "result": "aW1hZ2U=",
        "action": "generate",
        "background": "opaque",
        "error": {"code": "moderation_blocked", "message": "No."},
        "output_format": "png",
        "quality": "high",
        "size": "1024x1024",
        "svg_usage": {"total_tokens": 1},
    },
    "code_interpreter_call": {"code": "print()", "outputs": [{"type": "logs", "logs": WORD}], "container_id": "cntr_1"},
    "computer_call": {
        "call_id": "call_1",
        "action": {"type": "type", "text": WORD},
        "actions": [{"type": "wait"}],
        "pending_safety_checks": [{"id": "cu_sc_1"}],
    },
    "computer_call_output": {
        "call_id": "call_1",
        "output": {"type": "computer_screenshot", "image_url": f"https://example.com/{WORD}.png"},
        "acknowledged_safety_checks": [{"id": "cu_sc_1"}],
    },
    "mcp_call": {
        "server_label": "shop",
        "name": "get_fruit",
        "arguments": "{}",
        "output": WORD,
        "error": {"type": "http_error", "code": 500},
        "approval_request_id": "mcpr_1",
    },
    "mcp_list_tools": {"server_label": "shop", "tools": [FOUND], "error": "None was left out."},
    "mcp_approval_request": {"server_label": "shop", "name": WORD, "arguments": "{}"},
    "mcp_approval_response": {"approval_request_id": "mcpr_1", "approve": True, "reason": WORD},
    "shell_call": {
        "call_id": "call_1",
        "action": {"commands": [f"echo {WORD}"]},
        "environment": {"type": "local"},
        "caller": {"type": "direct"},
    },
    "shell_call_output": {
        "call_id": "call_1",
        "output": [{"stdout": WORD, "stderr": "", "outcome": {"type": "exit", "exit_code": 1}}],
        "max_output_length": 100,
        "caller": {"type": "direct"},
    },
    "apply_patch_call": {
        "call_id": "call_1",
        "operation": {"type": "create_file", "path": "fruit.txt", "diff": f"+{WORD}"},
        "caller": {"type": "direct"},
    },
    "apply_patch_call_output": {
        "status": "failed",
        "call_id": "call_1",
        "output": WORD,
        "caller": {"type": "direct"},
    },
    "program": {"call_id": "call_1", "code": WORD, "fingerprint": "f1"},
    "program_output": {"call_id": "call_1", "result": WORD},
    "configuration_update": {"reasoning": {"effort": "low"}, "text": {"verbosity": "low"}},
}
# Kinds that are left out: a compaction is replaced by its notes, Chat Completions accepts no reasoning, the results of
# a search are in the answer, tools are offered, and of others nothing can be told.
WORDLESS = {"computer_call_output", "mcp_list_tools", "configuration_update"}
NOT_IN_A_TRANSCRIPT = {"compaction", *WORDLESS}
NOT_IN_AN_EXPORT = {"compaction", *WORDLESS}
NOT_IN_CHAT_COMPLETIONS = {"reasoning", "file_search_call", "additional_tools", *WORDLESS}
NOT_IN_RESPONSES = {"file_search_call", "additional_tools", *WORDLESS}
# Fields whose values are a choice, or an id.
UNWORDY = {"type", "role", "phase", "status", "call_id", "execution"}
EVERY_KIND = pytest.mark.parametrize("name", KINDS_BY_TYPE)
EVERY_TAKEN_KIND = pytest.mark.parametrize("name", KINDS_BY_TYPE)


def read_plain(_kind: str, sealed: str) -> str:
    """An unsealer for texts that are not sealed."""
    return sealed


def take_any(_kind: str, _sealed: str, _param: str) -> None:
    """Accepts any seal."""


def find_sender() -> Sender:
    """Somebody whose seals all open."""
    return Sender(take_any, Unknown())


def read(name: str, /, **changes: Any) -> Item:
    """The example as it is read from the wire, with these changes; of a kind that nobody may send, as it is stored."""
    if name not in KINDS_BY_TYPE:
        stored = {"type": name, "id": "", "status": "completed", **EXAMPLES[name], **changes}
        return cast(Item, msgspec.convert(stored, KINDS_BY_TYPE[name].struct))
    body = msgspec.json.encode([{"type": name, **EXAMPLES[name], **changes}])
    [item] = read_items(msgspec.json.decode(body, type=list[InputItem]), param="input", sender=find_sender())
    return cast(Item, item)


def compose_around(name: str) -> Sequence[Item]:
    """The model's input for a history with the example, with its call or output, and an answer."""
    item = read(name)
    calls = [FunctionCall("", "completed", "call_1", "get_fruit", "{}")] if find_answered_call(item) else []
    outputs = [FunctionCallOutput("", "completed", "call_1", "a fruit")] if find_made_call(item) else []
    window: list[Item] = [said("user", "Which?"), *calls, item, *outputs]
    return compose_items(
        instructions=None,
        window=window,
        new_input=[said("assistant", "That."), said("user", "Why?")],
        unseal=read_plain,
    )


def test_the_table_has_every_kind_of_item_once() -> None:
    assert set(get_args(Item)) == set(ITEM_KINDS)
    assert set(EXAMPLES) == set(KINDS_BY_TYPE)
    assert len(set(ITEM_ID_PREFIXES)) == len(ITEM_KINDS) == len(KINDS_BY_TYPE)
    assert {"compaction"} == HIDDEN_TYPES


@EVERY_TAKEN_KIND
def test_its_fields_are_those_of_the_wire_and_of_its_struct(name: str) -> None:
    kind = KINDS_BY_TYPE[name]
    assert set(kind.fields) <= set(InputItem.__struct_fields__)
    own = set(kind.struct.__struct_fields__)
    assert own == {"id", *kind.fields} | (own & {"status", "kept"})  # nobody sends what is kept
    assert kind.pairing is None or "call_id" in kind.fields


@EVERY_KIND
def test_it_is_read_from_the_wire_and_kept_as_it_is(name: str) -> None:
    item = read(name)
    assert type(item) is KINDS_BY_TYPE[name].struct
    assert all(getattr(item, field) for field in KINDS_BY_TYPE[name].fields)
    assert [msgspec.to_builtins(kept) for kept in decode_items(encode([item]))] == [msgspec.to_builtins(item)]
    [(_, stored, tokens, call_id, kept)] = pack_items([item])
    assert msgspec.json.decode(stored)["type"] == name
    assert tokens == estimate_tokens(item)
    assert (call_id, kept) == (find_made_call(item) or "", "")


@EVERY_TAKEN_KIND
def test_without_a_needed_field_it_is_refused(name: str) -> None:
    kind = KINDS_BY_TYPE[name]
    for needed in kind.needed:
        body = {"type": name, **EXAMPLES[name]}
        del body[needed]
        with pytest.raises(InvalidRequest, match=f"Missing required parameter: 'input\\[0\\].{needed}'"):
            read_items([msgspec.convert(body, InputItem)], param="input", sender=find_sender())


@EVERY_TAKEN_KIND
def test_a_foreign_field_is_left_out_and_named_or_refused(name: str) -> None:
    foreign = next(field for field in ("name", "summary") if field not in KINDS_BY_TYPE[name].fields)
    body = {"type": name, **EXAMPLES[name], foreign: [] if foreign == "summary" else "x"}
    items, sender = [msgspec.convert(body, InputItem)], find_sender()
    assert read_items(items, param="input", sender=sender) == [read(name)]
    assert sender.unknown.list_names() == [f"input[0].{foreign}"]
    with pytest.raises(InvalidRequest, match=f"Unknown parameter: 'input\\[0\\].{foreign}'"):
        read_items(items, param="input", sender=Sender(take_any, Unknown(ReadingRules(is_strict=True))))


@EVERY_TAKEN_KIND
def test_an_optional_field_may_be_left_out(name: str) -> None:
    kind = KINDS_BY_TYPE[name]
    body = {"type": name, **{field: EXAMPLES[name][field] for field in kind.needed}}
    [item] = read_items([msgspec.convert(body, InputItem)], param="input", sender=find_sender())
    defaults = {field.name: field.default for field in msgspec.structs.fields(kind.struct)}
    assert all(getattr(item, field) == defaults[field] for field in kind.optional)


@EVERY_KIND
def test_somebody_said_it(name: str) -> None:
    assert find_speaker(read(name)) in ("model", "person", "program")


@EVERY_KIND
def test_more_words_cost_more_tokens(name: str) -> None:
    tokens, more = estimate_tokens(read(name)), estimate_tokens(read(name, **_lengthen(EXAMPLES[name])))
    if name in WORDLESS:
        assert tokens == more == TOKENS_A_MESSAGE
    else:
        assert TOKENS_A_MESSAGE < tokens < more


def _lengthen(value: Any) -> Any:
    """The same with longer words."""
    if isinstance(value, list):
        return [_lengthen(part) for part in value]
    if isinstance(value, dict):
        return {name: each if name in UNWORDY else _lengthen(each) for name, each in value.items()}
    return value * 2 if isinstance(value, str) else value


@EVERY_KIND
def test_a_summary_is_made_from_its_words(name: str) -> None:
    assert (WORD in compose_transcript([read(name)])) == (name not in NOT_IN_A_TRANSCRIPT)


@EVERY_KIND
def test_an_export_has_a_heading_for_it_and_its_words(name: str) -> None:
    document = "".join(render_item(read(name)))
    assert document.startswith("\n##")
    assert (WORD in document) == (name not in NOT_IN_AN_EXPORT)


@EVERY_KIND
def test_chat_completions_is_told_it(name: str) -> None:
    sent = msgspec.json.encode(compose_messages(compose_around(name))).decode()
    assert (WORD in sent) == (name not in NOT_IN_CHAT_COMPLETIONS)


@EVERY_KIND
def test_a_responses_server_is_told_it(name: str) -> None:
    sent = msgspec.json.encode(compose_input(compose_around(name))).decode()
    assert (WORD in sent) == (name not in NOT_IN_RESPONSES)


class Errand(Struct, frozen=True, tag_field="type", tag="errand"):
    """A call of a kind that the service does not know."""

    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


class Souvenir(Struct, frozen=True, tag_field="type", tag="souvenir"):
    """The output of such a call."""

    id: str
    status: ItemStatus
    call_id: str
    output: str


ERRAND = ItemKind(
    struct=Errand,
    id_prefix="er",
    said_by="model",
    needed=("call_id", "name", "arguments"),
    pairing="call",
    size=lambda item: (len(item.arguments), ()),
    body=lambda item: item.arguments,
    name=lambda item: item.name,
    transcript_title="the assistant sends for {name}",
    export_title="Sent for {name}",
)
SOUVENIR = ItemKind(
    struct=Souvenir,
    id_prefix="so",
    said_by="program",
    needed=("call_id", "output"),
    pairing="output",
    size=lambda item: (len(item.output), ()),
    body=lambda item: item.output,
    name=lambda _: "somebody",
    transcript_title="{name} brings",
    export_title="It brought",
)
KINDS = {**ITEM_KINDS, **index_kinds(ERRAND, SOUVENIR)}
SENT = cast(Item, Errand("", "completed", "call_1", "Ada", "some tea"))
BROUGHT = cast(Item, Souvenir("", "completed", "call_1", "green tea"))


def test_a_new_kind_is_read_from_the_wire() -> None:
    given = InputItem(type="errand", call_id="call_1", name="Ada", arguments="some tea")
    assert ItemReader(ERRAND).read(given, "input[0]", find_sender()) == SENT
    with pytest.raises(InvalidRequest, match=r"Missing required parameter: 'input\[0\].output'"):
        ItemReader(SOUVENIR).read(InputItem(type="souvenir", call_id="call_1"), "input[0]", find_sender())
    sender = find_sender()
    named = InputItem(type="souvenir", call_id="call_1", name="Ada", output="green tea")
    assert ItemReader(SOUVENIR).read(named, "input[0]", sender) == BROUGHT
    assert sender.unknown.list_names() == ["input[0].name"]


def test_a_new_kind_has_its_estimate_and_its_speaker() -> None:
    assert estimate_tokens(SENT, KINDS) == TOKENS_A_MESSAGE + 2
    assert (find_speaker(SENT, KINDS), find_speaker(BROUGHT, KINDS)) == ("model", "program")


def test_a_new_kind_of_call_and_its_output_belong_together() -> None:
    question: Item = said("user", "Tea?")
    assert find_unanswered([SENT, BROUGHT], KINDS) == []
    assert find_unanswered([BROUGHT], KINDS) == ["call_1"]
    assert drop_unanswered([BROUGHT, SENT, question, BROUGHT, SENT], KINDS) == [SENT, question, BROUGHT]
    assert find_places_inside([question, SENT, question, BROUGHT], KINDS) == {2, 3}


def test_a_new_kind_is_in_transcripts_and_exports() -> None:
    assert compose_transcript([SENT, BROUGHT], KINDS).split("\n\n")[:2] == [
        "[the assistant sends for Ada]\nsome tea",
        "[Ada brings]\ngreen tea",
    ]
    assert compose_transcript([BROUGHT], KINDS).startswith("[somebody brings]\ngreen tea")
    assert "".join(render_item(SENT, KINDS)) == "\n### Sent for Ada\n\n> ```\n> some tea\n> ```\n"


def test_the_table_of_a_test_has_the_known_kinds_too() -> None:
    message = Message("", "completed", "user", [])
    assert "".join(render_item(message, KINDS)) == "\n## User\n"
