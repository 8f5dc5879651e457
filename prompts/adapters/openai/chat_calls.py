"""Function calls from the deltas of a stream, whichever way a server tells them apart.

OpenAI gives each call an `index`, its first delta an id and the name, and the others a piece of the arguments. Servers
that say they do the same

    leave the index out (Gemini), or give 0 to every call (ai-dynamo/dynamo#4723)
    count it on with every piece of one call (Nebius, Cerebras: dirac-run/dirac#215)
    leave the id out (Ollama: continuedev/continue#13225), repeat it, or give every piece another one (older vLLM)
    send each call whole, in one delta, several of them in one chunk, or whole once more at its end
    repeat the name with every piece, or send it in pieces
    send the arguments as an object instead of its JSON
    call one function, the old way: `function_call`
"""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from prompts.domain.signals import Argued, Called, Signal

encode = msgspec.json.Encoder().encode

# What our own API takes as a call's id; a longer one could not come back to us with the call's output.
MAX_CALL_ID_CHARACTERS = 64


class FunctionDelta(Struct):
    """A piece of the name, and of the arguments."""

    name: str | None = None
    arguments: Any = None


class CallDelta(Struct):
    """What a chunk adds to a call."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class OpenCall:
    """One call. It is told when its name is whole: with the first of its arguments, or when something else begins."""

    def __init__(self, index: int, wire_id: str) -> None:
        self.index = index
        self.wire_id = wire_id
        self.name = ""
        self.is_told = False
        self.pieces: list[str] = []

    def looks_whole(self) -> bool:
        """Whether its arguments are a JSON document: nothing more can belong to it."""
        if not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        try:
            msgspec.json.decode("".join(self.pieces))
        except msgspec.DecodeError:
            return False
        return True

    def has_said(self, arguments: str) -> bool:
        """Whether these are its whole arguments, once more."""
        return self.looks_whole() and arguments == "".join(self.pieces)

    def take_name(self, name: str) -> None:
        """A piece of it, or all of it again."""
        if not self.is_told:
            self.name = name if name.startswith(self.name) else self.name + name


class ChatCalls:
    """The calls of one answer."""

    def __init__(self) -> None:
        self._calls: list[OpenCall] = []
        self._latest: dict[int | None, OpenCall] = {}
        self._by_id: dict[tuple[int | None, str], OpenCall] = {}
        self._told_ids: set[str] = set()

    def take(self, deltas: Sequence[CallDelta]) -> list[Signal]:
        """What these deltas say; nothing yet of a call whose name may go on."""
        signals: list[Signal] = []
        for delta in deltas:
            function = delta.function or FunctionDelta()
            name, arguments = function.name or "", _as_text(function.arguments)
            call = self._find(delta, name, arguments)
            if call is None:
                signals += self.tell()
                call = self._open(delta)
            call.wire_id = call.wire_id or delta.id or ""
            call.take_name(name)
            if arguments and not (name and call.has_said(arguments)):
                signals += self._argue(call, arguments)
        return signals

    def tell(self) -> list[Signal]:
        """The calls that nothing more was said of: they are complete, without arguments."""
        return [signal for call in self._calls if call.name or call.pieces for signal in self._tell(call)]

    def _find(self, delta: CallDelta, name: str, arguments: str) -> OpenCall | None:
        """The call that this delta goes on with; None when it begins one."""
        known = self._by_id.get((delta.index, delta.id or ""))
        call = known or self._latest.get(delta.index)
        if call is None:
            is_piece = self._calls and not (name or delta.id)  # the index alone is new: it only counts the pieces
            return self._calls[-1] if is_piece else None
        if not name:
            return call
        is_other = bool(call.wire_id) and delta.id != call.wire_id if delta.id else delta.index is None
        is_again = bool(delta.id) and call.has_said(arguments)
        is_next = call.looks_whole() and not is_again and (bool(arguments) or name != call.name)
        return None if is_other or is_next else call

    def _open(self, delta: CallDelta) -> OpenCall:
        call = OpenCall(len(self._calls), delta.id or "")
        self._calls.append(call)
        self._latest[delta.index] = call
        if delta.id:
            self._by_id[delta.index, delta.id] = call
        return call

    def _argue(self, call: OpenCall, arguments: str) -> list[Signal]:
        call.pieces.append(arguments)
        if call.is_told:
            return [Argued(call.index, arguments)]
        return self._tell(call) if call.name else []

    def _tell(self, call: OpenCall) -> list[Signal]:
        """The call, with what there is of its arguments; once."""
        if call.is_told:
            return []
        call.is_told = True
        called = Called(call.index, self._choose_id(call), call.name)
        return [called, *(Argued(call.index, piece) for piece in call.pieces)]

    def _choose_id(self, call: OpenCall) -> str:
        """The server's; a new one when there is none, or none that could tell this call from the others."""
        is_fit = 0 < len(call.wire_id) <= MAX_CALL_ID_CHARACTERS and call.wire_id not in self._told_ids
        call_id = call.wire_id if is_fit else f"call_{secrets.token_hex(12)}"
        self._told_ids.add(call_id)
        return call_id


def _as_text(arguments: Any) -> str:
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return encode(arguments).decode()
