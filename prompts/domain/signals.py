"""What a model says, in the smallest steps, whichever protocol carries it; this is what a log holds.

An answer is a sequence of these. Signals of several function calls may be mixed; all others concern what is being said
at the moment: a thought ends where text begins, and the other way round.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypeGuard

import msgspec
from msgspec import Struct

from prompts.domain.call_arguments import write_action, write_arguments
from prompts.domain.items import (
    Call,
    Compaction,
    CustomToolCall,
    FileSearchCall,
    FunctionCall,
    Item,
    LocalShellCall,
    Logprob,
    Message,
    OutputText,
    Phase,
    Reasoning,
    Refusal,
    ToolSearchCall,
)
from prompts.domain.passages import Passage
from prompts.domain.tools import CallKind
from prompts.domain.usage import Usage

encode = msgspec.json.Encoder().encode


class Text(Struct, frozen=True, array_like=True, tag="t", omit_defaults=True, gc=False):
    """The model wrote some more text; `logprobs` of its tokens, when they were asked for."""

    text: str
    logprobs: list[Logprob] = []
    annotations: list[Any] = []
    """What is noted where the text ends. A log has none: they follow from the text and the passages."""


class Refused(Struct, frozen=True, array_like=True, tag="r"):
    """The model wrote some more of its refusal."""

    text: str


class Opened(Struct, frozen=True, array_like=True, tag="m"):
    """The model begins a message of its own, and says what for."""

    phase: Phase | None = None


class Thought(Struct, frozen=True, array_like=True, tag="h"):
    """The model thought some more."""

    text: str


class Summarized(Struct, frozen=True, array_like=True, tag="s"):
    """The model said some more of what it thought, in short; in parts, the first of which is 0."""

    text: str
    part: int = 0


class Sealed(Struct, frozen=True, array_like=True, tag="e"):
    """What the model thought, as only whoever sealed it can read."""

    encrypted_content: str


class Compacted(Struct, frozen=True, array_like=True, tag="k"):
    """The history was summed up, and the model goes on from the summary; `usage` is the cost of the summary."""

    encrypted_content: str
    usage: Usage | None = None
    is_estimated: bool = False
    """Whether the cost was estimated, because the model's server reported none."""


class Called(Struct, frozen=True, array_like=True, tag="c"):
    """The model begins to call a function; `index` tells its calls apart."""

    index: int
    call_id: str
    name: str


class CalledTool(Struct, frozen=True, array_like=True, tag="p"):
    """The model begins to call a tool of another kind, or one of a namespace.

    It is no `Called` with more fields: a release that does not know them would tell of a plain function.
    """

    index: int
    call_id: str
    name: str
    kind: CallKind
    namespace: str | None = None


class Argued(Struct, frozen=True, array_like=True, tag="a"):
    """The model wrote some more of a call's arguments, or of a custom tool's input.

    `kept` is what its server wants back with the call. It comes without text, so that releases that do not know it tell
    nothing.
    """

    index: int
    text: str
    kept: str = ""


class HostedCall(Struct, frozen=True, array_like=True):
    """A call of a tool that the service itself runs: the tool's kind, and what the model wrote.

    `name` is that of the function that the model called; "" where it called none, and the service itself began.
    """

    call_id: str
    kind: str
    name: str
    arguments: str


class RoundEnded(Struct, frozen=True, array_like=True, tag="u"):
    """The model stopped to call tools that the service runs: they run now, and it is asked again.

    `usage` is what this round cost.
    """

    calls: list[HostedCall]
    usage: Usage | None = None


class Found(Struct, frozen=True, omit_defaults=True):
    """What a search has found: the passages as the model is given them, numbered over the whole response."""

    passages: list[Passage] = []
    dropped: int = 0
    """How many were left out for want of room."""
    is_failed: bool = False
    """Whether the search could not be made."""
    is_shown: bool = False
    """Whether the client asked to see the results."""
    results: list[Any] | None = None
    """What the item shows, where an ended answer is told again; in a log it follows from the passages."""


class HostedReturned(Struct, frozen=True, array_like=True, tag="y"):
    """What a tool of the service gave; `output` is what the model is given in the next round."""

    call_id: str
    output: str
    found: Found | None = None


class BegunAnew(Struct, frozen=True, array_like=True, tag="n"):
    """The model was asked again: an open thought ends here.

    `lost` is about what a run had used that was lost before: nobody reports it any more.
    """

    lost: Usage | None = None


class Finished(Struct, frozen=True, array_like=True, tag="f"):
    """The model ended its answer: `stop`, `length` or `content_filter`."""

    reason: Literal["stop", "length", "content_filter"]
    usage: Usage | None = None


Signal: TypeAlias = (
    Text
    | Refused
    | Opened
    | Thought
    | Summarized
    | Sealed
    | Compacted
    | Called
    | CalledTool
    | Argued
    | RoundEnded
    | HostedReturned
    | BegunAnew
    | Finished
)


def pack(signals: Sequence[Signal]) -> bytes:
    """The signals as a log holds them: a JSON array, in which a plain text stands as a string."""
    if len(signals) == 1 and type(signals[0]) is Text and not signals[0].logprobs:  # nearly always
        return encode([signals[0].text])
    return encode([signal.text if type(signal) is Text and not signal.logprobs else signal for signal in signals])


def unpack(packed: bytes) -> list[Signal]:
    """What `pack` was given."""
    return [Text(entry) if isinstance(entry, str) else entry for entry in _decode_packed(packed)]


def is_text(signals: Sequence[Signal]) -> TypeGuard[Sequence[Text]]:
    """Whether they are nothing but text, as nearly all are."""
    for signal in signals:  # noqa: SIM110  # for each token: a generator would cost more than all other checks
        if type(signal) is not Text:
            return False
    return True


def get_size(signal: Signal) -> int:
    """How many characters it adds to the answer."""
    match signal:
        case Text(text) | Refused(text) | Thought(text) | Summarized(text) | Argued(_, text):
            return len(text)
        case Sealed(content) | Compacted(content):
            return len(content)
    return 0


def read_signals(output: Sequence[Item]) -> list[Signal]:
    """The signals that produce this output, each text in one piece."""
    signals: list[Signal] = []
    for index, item in enumerate(output):
        match item:
            case Message(phase=phase, content=content):
                signals += [
                    Opened(phase or None),
                    *(_say(part) for part in content if isinstance(part, (OutputText, Refusal))),
                ]
            case Reasoning(summary=summary, content=content, encrypted_content=sealed):
                signals += [Summarized(part.text, number) for number, part in enumerate(summary)]
                signals += [Thought(part.text) for part in content or ()]
                signals += [Sealed(sealed)] if sealed else []
            case Compaction(encrypted_content=sealed):
                signals.append(Compacted(sealed))
            case FileSearchCall():
                signals += _read_search(f"search_{index}", item)
            case FunctionCall() | CustomToolCall() | LocalShellCall() | ToolSearchCall():
                called, written = _read_call(index, item)
                signals += [called, Argued(index, written)]
    return signals


def call_tool(index: int, call_id: str, name: str, kind: CallKind, namespace: str | None) -> Called | CalledTool:
    """The signal of a call; a plain function has the one that every release reads."""
    if kind == "function" and namespace is None:
        return Called(index, call_id, name)
    return CalledTool(index, call_id, name, kind, namespace)


def cut_texts(signals: Sequence[Signal], max_characters: int) -> list[list[Signal]]:
    """The same in groups, none of which has a longer text; the log probabilities of one that is cut go to its first."""
    groups: list[list[Signal]] = [[]]
    for signal in signals:
        if type(signal) is not Text or len(signal.text) <= max_characters:
            groups[-1].append(signal)
            continue
        for start in range(0, len(signal.text), max_characters):
            piece = signal.text[start : start + max_characters]
            groups += [[Text(piece, signal.logprobs if start == 0 else [])], []]
    return [group for group in groups if group]


def _read_call(index: int, item: Call) -> tuple[Called | CalledTool, str]:
    """A call, and what the model wrote of it."""
    match item:
        case FunctionCall(call_id=call_id, name=name, arguments=arguments, namespace=namespace):
            return call_tool(index, call_id, name, "function", namespace or None), arguments
        case CustomToolCall(call_id=call_id, name=name, input=written, namespace=namespace):
            return call_tool(index, call_id, name, "custom", namespace or None), written
        case LocalShellCall(call_id=call_id, action=action):
            return call_tool(index, call_id, "local_shell", "local_shell", None), write_action(action)
        case ToolSearchCall(call_id=call_id, arguments=arguments):
            return call_tool(index, call_id or "", "tool_search", "tool_search", None), write_arguments(arguments)


def _read_search(call_id: str, item: FileSearchCall) -> list[Signal]:
    """A search that the service made; one that was broken off stays open."""
    call = HostedCall(call_id, "file_search", "", encode({"queries": item.queries}).decode())
    found = Found(is_failed=item.status == "failed", results=item.results)
    is_over = item.status in ("completed", "failed")
    return [RoundEnded([call]), *([HostedReturned(call_id, "", found)] if is_over else [])]


def _say(part: OutputText | Refusal) -> Signal:
    return Refused(part.refusal) if isinstance(part, Refusal) else Text(part.text, part.logprobs, part.annotations)


# Not in a union with Text: a plain text is a string, which msgspec does not tell from an array of one.
_decode_packed = msgspec.json.Decoder(list[str | Signal]).decode
