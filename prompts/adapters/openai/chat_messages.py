"""Items as the messages of Chat Completions.

That protocol is narrower than items are. What has no place in it, and where it goes:

    calls of any kind         are calls of functions, under flat names (`flat_calls.py`)
    calls side by side        one assistant message, with what was said in the same breath; their outputs follow it at
                              once, as servers want it (`call_places.py` says where, when they stood elsewhere)
    images and files that     a tool message holds text only: they follow in a user message, which says whose they are
      a call returned
    a file's address          is told as text; whether it can be fetched is the model's affair
    instructions              are one system message, first (`instructions.py`)
    thoughts                  go back with the turn that they led to, under the name they came in, where the server
                              wants them; others are left out, as templates of models that think drop them anyway
    what hosted tools did     is told as text, where there is anything to tell; what a file search gave is in the answer
    tools that were found     are offered (`prompts/history/found_tools.py`)
    phases                    are not sent
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, assert_never

from msgspec import UNSET

from prompts.adapters.openai.call_places import bring_calls_to_outputs
from prompts.adapters.openai.files import as_data_uri
from prompts.adapters.openai.flat_calls import CallOutput, flatten_call, list_given
from prompts.adapters.openai.instructions import arrange_instructions
from prompts.adapters.openai.kept_thoughts import KeptThought
from prompts.adapters.openai.quirks import SystemMessages
from prompts.adapters.openai.thought_replay import USUAL_REPLAY, ThoughtReplay
from prompts.adapters.openai.told_records import tell_record
from prompts.adapters.openai.tool_names import ToolNames
from prompts.domain.hosted_records import HostedRecord
from prompts.domain.item_kinds import find_answered_call, find_made_call
from prompts.domain.items import (
    AdditionalTools,
    Call,
    Compaction,
    CustomToolCall,
    CustomToolCallOutput,
    FileSearchCall,
    FunctionCall,
    FunctionCallOutput,
    GivenPart,
    InputFile,
    InputImage,
    InputText,
    Item,
    LocalShellCall,
    LocalShellCallOutput,
    Message,
    OutputText,
    Part,
    Reasoning,
    Refusal,
    ToolSearchCall,
    ToolSearchOutput,
    text_of,
)

# Many chat templates know no developer; OpenAI's newer models take the one for the other.
_ROLES = {"developer": "system"}
_PLAIN_ROLES = ("user", "assistant")
# What a tool message says of a result that is no text.
_FOLLOWS = "The result follows in the next message."


def compose_messages(
    items: Sequence[Item],
    *,
    system_messages: SystemMessages = "merge",
    replay: ThoughtReplay = USUAL_REPLAY,
    names: ToolNames | None = None,
) -> list[dict[str, Any]]:
    """The items as `compose_items` gives them: each output after its call, each compaction opened.

    `names` are those under which tools are offered.
    """
    if (plain := _compose_plain(items)) is not None:
        return plain
    arranged = bring_calls_to_outputs(arrange_instructions(items, system_messages))
    dialogue = _Dialogue(replay, replay.find_extras(arranged), names or ToolNames())
    for item in arranged:
        dialogue.add(item)
    return dialogue.list_messages()


def _compose_plain(items: Sequence[Item]) -> list[dict[str, Any]] | None:
    """Of a dialogue of texts alone, perhaps after one instruction, as most are; None for any other.

    Nothing in it has to be arranged: this takes a tenth of the time.
    """
    messages: list[dict[str, Any]] = []
    for item in items:
        if type(item) is not Message or len(item.content) != 1:
            return None
        part = item.content[0]
        if type(part) is not InputText and type(part) is not OutputText:
            return None
        role = item.role if messages else _ROLES.get(item.role, item.role)
        if role not in _PLAIN_ROLES and (messages or role != "system"):
            return None
        messages.append({"role": role, "content": part.text})
    return messages


@dataclass(slots=True)
class _Turn:
    """One message; when it makes calls, their results too, and what of these no tool message can hold."""

    message: dict[str, Any]
    thoughts: list[KeptThought] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether the assistant may say and call more in it."""
        return self.message["role"] == "assistant" and not self.results

    def call(self, call_id: str, name: str, arguments: str, extra: Mapping[str, Any]) -> None:
        """One more call, beside the others."""
        call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **extra}
        self.message.setdefault("tool_calls", []).append(call)

    def add_result(self, call_id: str, given: Sequence[GivenPart]) -> None:
        """What one of its calls gave."""
        composed = [_part(part) for part in given]
        attachments = [part for part in composed if part["type"] != "text"]
        text = "\n".join(part["text"] for part in composed if part["type"] == "text")
        content = text or (_FOLLOWS if attachments else "")
        self.results.append({"role": "tool", "tool_call_id": call_id, "content": content})
        if attachments:
            self.attachments += [_text(f"What the function call {call_id} returned:"), *attachments]

    def list_messages(self, replay: ThoughtReplay, *, is_calling: bool) -> Iterable[dict[str, Any]]:
        """The messages, in order."""
        yield replay.add_thoughts(self.message, self.thoughts, is_calling=is_calling)
        yield from self.results
        if self.attachments:
            yield {"role": "user", "content": self.attachments}


class _Dialogue:
    """Messages in the making."""

    def __init__(self, replay: ThoughtReplay, extras: Mapping[str, Mapping[str, Any]], names: ToolNames) -> None:
        """`extras`: what goes back with calls, by their ids."""
        self._replay = replay
        self._names = names
        self._extras = extras
        self._turns: list[_Turn] = []
        self._thoughts: list[KeptThought] = []
        """What was thought before what the model says or calls next."""
        self._callers: dict[str, _Turn] = {}

    def add(self, item: Item) -> None:
        """What follows."""
        match item:
            case Message():
                self._say(item) if item.role == "assistant" else self._give(item)
            case FunctionCall() | CustomToolCall() | LocalShellCall() | ToolSearchCall():
                self._call(item)
            case FunctionCallOutput() | CustomToolCallOutput() | LocalShellCallOutput() | ToolSearchOutput():
                self._return(item)
            case Reasoning():
                self._thoughts.append(self._replay.read_thought(item))
            case HostedRecord():
                self._tell(item)
            case FileSearchCall() | AdditionalTools():
                pass  # what a search gave stands in the answer, and tools are offered
            case Compaction():
                raise AssertionError("a compaction is opened before a model is asked")
            case _:
                assert_never(item)

    def list_messages(self) -> list[dict[str, Any]]:
        """All of them."""
        messages: list[dict[str, Any]] = []
        for is_models, group in groupby(self._turns, key=lambda turn: turn.message["role"] == "assistant"):
            turns = list(group)
            is_calling = is_models and any("tool_calls" in turn.message for turn in turns)
            for turn in turns:
                messages += turn.list_messages(self._replay, is_calling=is_calling)
        return messages

    def _give(self, item: Message) -> None:
        self._thoughts = []
        self._turns.append(_Turn(_given(item)))

    def _say(self, item: Message) -> None:
        """A message of its own; between calls and their outputs, where none may stand, it joins theirs."""
        said = _said(item)
        last = self._turns[-1] if self._turns else None
        if last is None or not last.is_open or "tool_calls" not in last.message:
            self._begin(said)
            return
        content = "\n".join(filter(None, (last.message["content"], said["content"])))
        last.message = {**last.message, **said, "content": content or None}
        last.thoughts += self._take_thoughts()

    def _tell(self, record: Item) -> None:
        message = tell_record(record)
        if message is not None:
            self.add(message)

    def _call(self, item: Call) -> None:
        call_id = find_made_call(item)
        if call_id is None:
            return  # a search that another server made
        if not self._turns or not self._turns[-1].is_open:
            self._begin({"role": "assistant", "content": None})
        turn = self._turns[-1]
        turn.thoughts += self._take_thoughts()
        turn.call(call_id, *flatten_call(item, self._names), self._extras.get(call_id, {}))
        self._callers[call_id] = turn

    def _return(self, item: CallOutput) -> None:
        call_id = find_answered_call(item)
        if call_id is not None:
            self._callers[call_id].add_result(call_id, list_given(item))

    def _begin(self, message: dict[str, Any]) -> None:
        """What the model said, with what it thought before."""
        self._turns.append(_Turn(message, self._take_thoughts()))

    def _take_thoughts(self) -> list[KeptThought]:
        thoughts, self._thoughts = self._thoughts, []
        return thoughts


def _given(item: Message) -> dict[str, Any]:
    """A message that is not the model's. Text alone is a string: not every server takes parts."""
    is_text = all(isinstance(part, (InputText, OutputText)) for part in item.content)
    content = text_of(item) if is_text else [_part(part) for part in item.content]
    return {"role": _ROLES.get(item.role, item.role), "content": content}


def _said(item: Message) -> dict[str, Any]:
    """A message of the model's; a refusal stands beside its text. Some servers take no null in the text's place."""
    text = "".join(part.text for part in item.content if isinstance(part, (InputText, OutputText)))
    refusal = "".join(part.refusal for part in item.content if isinstance(part, Refusal))
    said = {"role": "assistant", "content": text}
    return {**said, "refusal": refusal} if refusal else said


def _part(part: Part) -> dict[str, Any]:
    match part:
        case InputText(text) | OutputText(text) | Refusal(text):
            return _text(text)
        case InputImage(url, detail):
            return {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        case InputFile():
            return _file(part)
        case _:
            assert_never(part)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _file(part: InputFile) -> dict[str, Any]:
    filename = part.filename or ""
    if part.file_data is UNSET:
        return _text(f"[File {filename}: {part.file_url}]" if filename else f"[File: {part.file_url}]")
    named = {"filename": filename} if filename else {}
    return {"type": "file", "file": {**named, "file_data": as_data_uri(part.file_data, filename)}}
