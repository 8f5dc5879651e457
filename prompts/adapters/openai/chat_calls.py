"""Function calls from the deltas of a stream, whichever way a server tells them apart.

OpenAI gives each call an `index`, its first delta an id and the name, and the others a piece of the arguments. Servers
that say they do the same

    leave the index out (Gemini), give 0 to every call (ai-dynamo/dynamo#4723), or write it as a string
    count it on with every piece of one call (Nebius, Cerebras: dirac-run/dirac#215)
    leave the id out (Ollama: continuedev/continue#13225), repeat it, or give every piece another one (older vLLM, and
      LM Studio, which repeats the name too: NousResearch/hermes-agent#106943)
    send each call whole, in one delta, several of them in one chunk, or whole once more at its end
    repeat the name with every piece, or send it in pieces
    send the arguments as an object instead of its JSON
    call one function, the old way: `function_call`

A function may stand for a tool of another kind (`flat_tools.py`): its call is told as that tool's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from prompts.adapters.openai.call_ids import is_fit_call_id, make_call_id
from prompts.adapters.openai.chat_chunks import CallDelta, FunctionDelta
from prompts.adapters.openai.json_balance import JsonBalance
from prompts.adapters.openai.kept_thoughts import measure
from prompts.adapters.openai.lines import is_document, too_large, unreadable
from prompts.adapters.openai.odd_values import read_integer, read_text
from prompts.adapters.openai.surrogates import Halves
from prompts.adapters.openai.tool_names import ToolNames, name_tools
from prompts.adapters.openai.written_calls import MAX_ARGUMENTS_CHARACTERS, WrittenCall
from prompts.domain.callees import Callee
from prompts.domain.signals import Signal

encode = msgspec.json.Encoder().encode

# As many as there may be tools. A server that sends more without end must not fill the memory.
MAX_CALLS = 128
# What one event may add to them: each call whole, and some more.
MAX_DELTAS = 1_000
# What its server may want back with all calls; more than this no signature takes.
MAX_EXTRA_BYTES = 256 * 1024
# A name and an id as they are on the wire; no tool that was offered has a longer one.
MAX_NAME_CHARACTERS = 1_000
_NO_FUNCTION = FunctionDelta()


class OpenCall:
    """One call. It is told when its name is whole: with the first of its arguments, or when something else begins."""

    def __init__(self, index: int, wire_id: str) -> None:
        self.index = index
        self.wire_id = wire_id
        self.name = ""
        self.written: WrittenCall | None = None
        """What it stands for, from when it is told."""
        self.pieces: list[str] = []
        self.size = 0
        """How many characters the pieces have."""
        self.half = Halves()
        self.extra: dict[str, Any] = {}
        """What the server wants back with the call, field by field."""
        self._balance = JsonBalance()

    def looks_whole(self) -> bool:
        """Whether its arguments are a JSON document: nothing more can belong to it."""
        return self._balance.is_whole(self.pieces)

    def has_said(self, arguments: str) -> bool:
        """Whether these are its whole arguments, once more."""
        return len(arguments) == self.size and self.looks_whole() and arguments == "".join(self.pieces)

    def goes_on(self, name: str, arguments: str) -> bool:
        """Whether these are more of its arguments, though they come under another id."""
        if name != self.name or not arguments:
            return False
        return not (self.looks_whole() if self.pieces else is_document(arguments))

    def take_name(self, name: str) -> None:
        """A piece of it, or all of it again. Raises AnswerTooLarge for one without end."""
        if self.written is None:
            self.name = name if name.startswith(self.name) else self.name + name
            if len(self.name) > MAX_NAME_CHARACTERS:
                raise too_large()


class ChatCalls:
    """The calls of one answer."""

    def __init__(self, names: ToolNames | None = None) -> None:
        """`names` are those under which tools were offered."""
        self._names = names or name_tools(())
        self._calls: list[OpenCall] = []
        self._latest: dict[int | None, OpenCall] = {}
        self._by_id: dict[tuple[int | None, str], OpenCall] = {}
        self._told_ids: set[str] = set()
        self._size = 0
        self._extra_bytes = 0

    def take(self, deltas: Sequence[CallDelta]) -> list[Signal]:
        """What these deltas say; nothing yet of a call whose name may go on. Raises AnswerTooLarge."""
        if len(deltas) > MAX_DELTAS:
            raise too_large()
        signals: list[Signal] = []
        for delta in deltas:
            index = delta.index if type(delta.index) is int else read_integer(delta.index)
            wire_id = read_text(delta.id)[:MAX_NAME_CHARACTERS] if delta.id else ""
            function = delta.function or _NO_FUNCTION
            name, arguments = read_text(function.name) if function.name else "", _as_text(function.arguments)
            call = self._find(index, wire_id, name, arguments)
            if call is None:
                signals += self.tell()
                call = self._open(index, wire_id)
            call.wire_id = call.wire_id or wire_id
            if name:
                call.take_name(name)
            if delta.extra_content or delta.provider_specific_fields or delta.thought_signature:
                self._keep_extra(call, delta)
            if not arguments.isascii() or call.half.held:
                arguments = call.half.join(arguments)
            if arguments and not (name and call.has_said(arguments)):
                signals += self._argue(call, arguments)
        return signals

    def tell(self) -> list[Signal]:
        """The calls that nothing more was said of: they are complete, without arguments."""
        untold = [call for call in self._calls if call.written is None and (call.name or call.pieces)]
        return [signal for call in untold for signal in self._tell(call)]

    def finish(self, *, is_complete: bool) -> list[Signal]:
        """What is left when the model has ended, be it well (`is_complete`) or cut off."""
        signals = self.tell()
        for call in self._list_told():
            signals += call.finish(is_complete=is_complete)
        return signals

    @property
    def is_cut(self) -> bool:
        """Whether a call is not whole; to be asked at the end."""
        return not all(call.is_whole for call in self._list_told())

    @property
    def has_any(self) -> bool:
        """Whether a call was told."""
        return bool(self._told_ids)

    def get_extras(self) -> Mapping[str, Mapping[str, Any]]:
        """What the server wants back with its calls, by our id of the call."""
        return {call.written.call_id: call.extra for call in self._calls if call.written and call.extra}

    def _list_told(self) -> list[WrittenCall]:
        return [call.written for call in self._calls if call.written is not None]

    def _find(self, index: int | None, wire_id: str, name: str, arguments: str) -> OpenCall | None:
        """The call that this delta goes on with; None when it begins one."""
        known = self._by_id.get((index, wire_id)) if wire_id else None
        call = known or self._latest.get(index)
        if call is None:
            is_piece = self._calls and not (name or wire_id)  # the index alone is new: it only counts the pieces
            return self._calls[-1] if is_piece else None
        if not name:
            return call
        is_other = bool(call.wire_id) and wire_id != call.wire_id if wire_id else index is None
        if is_other:
            return call if call.goes_on(name, arguments) else None
        is_again = bool(wire_id) and call.has_said(arguments)
        is_next = call.looks_whole() and not is_again and (bool(arguments) or name != call.name)
        return None if is_next else call

    def _open(self, index: int | None, wire_id: str) -> OpenCall:
        if len(self._calls) == MAX_CALLS:
            raise too_large()
        call = OpenCall(len(self._calls), wire_id)
        self._calls.append(call)
        self._latest[index] = call
        if wire_id:
            self._by_id[index, wire_id] = call
        return call

    def _argue(self, call: OpenCall, arguments: str) -> list[Signal]:
        self._size += len(arguments)  # of all calls together
        if self._size > MAX_ARGUMENTS_CHARACTERS:
            raise too_large()
        call.pieces.append(arguments)
        call.size += len(arguments)
        if call.written is not None:
            return call.written.write(arguments)
        return self._tell(call) if call.name else []

    def _tell(self, call: OpenCall) -> list[Signal]:
        """The call, with what there is of its arguments; once."""
        callee = self._names.find(call.name) or Callee("function", call.name)
        call.written = WrittenCall(call.index, self._choose_id(call), callee)
        written = [signal for piece in call.pieces for signal in call.written.write(piece)]
        return [call.written.begin(), *written]

    def _keep_extra(self, call: OpenCall, delta: CallDelta) -> None:
        """What the server wants back with the call; what is too long for that is left out."""
        for name in _EXTRA:
            value = getattr(delta, name)
            if value and (size := measure(value)) + self._extra_bytes <= MAX_EXTRA_BYTES:
                self._extra_bytes += size
                call.extra[name] = value

    def _choose_id(self, call: OpenCall) -> str:
        """The server's; a new one when there is none, or none that could be stored and tell it from the others."""
        is_fit = is_fit_call_id(call.wire_id) and call.wire_id not in self._told_ids
        call_id = call.wire_id if is_fit else make_call_id()
        self._told_ids.add(call_id)
        return call_id


def _as_text(arguments: Any) -> str:
    if type(arguments) is str:
        return arguments
    if arguments is None:
        return ""
    try:
        return encode(arguments).decode()
    except (UnicodeEncodeError, RecursionError, OverflowError) as exc:
        raise unreadable() from exc


# What of a call only its server can read, under the names it has it.
_EXTRA = ("extra_content", "provider_specific_fields", "thought_signature")
