"""The scripts of lua/, read once: the text of each, and the names of what it takes.

A script names its keys and arguments on a line each, and is called by these names:

    assert(#KEYS == 1 and #ARGV == 2)
    local response_key = KEYS[1] -- hash
    local owner = ARGV[1]
    local lease_ms = tonumber(ARGV[2])

Their order is the script's business alone. A script that takes anything else is refused at import. One that takes them
any number of times says so, and names them in its loop:

    assert(#KEYS % 1 == 0 and #ARGV == #KEYS / 1 * 2)
      local response_key = KEYS[k + 1] -- hash
      local owner = ARGV[a + 1]
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha1
from operator import itemgetter
from pathlib import Path
from typing import NoReturn, TypeAlias

# What a script takes; redis-py would take more, but not turn it into what was meant.
Arg: TypeAlias = str | bytes | int

# Keys and arguments of one call, in the script's order.
Call: TypeAlias = tuple[Sequence[str], Sequence[Arg]]

LUA = Path(__file__).parent / "lua"
INCLUDES = re.compile(r"^-- INCLUDES (.+)$", re.MULTILINE)
TAKEN = re.compile(r"\b(KEYS|ARGV)\[")
NAMED = re.compile(r"^ *local (\w+) = [^\n]*?\b(KEYS|ARGV)\[(?:\w \+ )?(\d+)\]", re.MULTILINE)


class LuaScript:
    """A script with the parts it includes; `keys` and `args` are the names of what it takes, in its order."""

    def __init__(self, name: str, text: str, *, keys: Sequence[str], args: Sequence[str]) -> None:
        self.name = name
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()
        """The name that Redis knows it by."""
        self.keys = keys
        self.args = args
        self._pick = itemgetter(*keys, *args)  # four times as fast as a loop
        self._count, self._key_count = len(keys) + len(args), len(keys)

    def arrange(self, values: Mapping[str, Arg]) -> Call:
        """The values in the script's order. Raises TypeError when one is missing, or unknown to the script."""
        try:
            ordered = self._pick(values)
        except KeyError:
            self._refuse(values)
        if len(values) != self._count:
            self._refuse(values)
        return ordered[: self._key_count], ordered[self._key_count :]

    def _refuse(self, values: Mapping[str, Arg]) -> NoReturn:
        known = {*self.keys, *self.args}
        missing, unknown = sorted(known - set(values)), sorted(set(values) - known)
        raise TypeError(f"{self.name}.lua: missing {missing}, unknown {unknown}")


def parse_script(name: str, text: str) -> LuaScript:
    """A script from its file's text. Raises ValueError when it does not name what it takes as shown above."""
    named = NAMED.findall(text)
    keys, args = ([local for local, table, _ in named if table == wanted] for wanted in ("KEYS", "ARGV"))
    in_order = [(local, "KEYS", str(number)) for number, local in enumerate(keys, 1)]
    in_order += [(local, "ARGV", str(number)) for number, local in enumerate(args, 1)]
    if named != in_order or len({*keys, *args}) != len(named):
        raise ValueError(f"{name}.lua: keys come first, then arguments, each numbered from 1 and with its own name")
    if len(TAKEN.findall(text)) != len(named):
        raise ValueError(f"{name}.lua: only the line that names a key or an argument may use KEYS or ARGV")
    once = f"\nassert(#KEYS == {len(keys)} and #ARGV == {len(args)})\n"
    often = f"\nassert(#KEYS % {len(keys)} == 0 and #ARGV == #KEYS / {len(keys)} * {len(args)})\n"
    if once not in text and often not in text:
        raise ValueError(f"{name}.lua: it must assert that it gets {len(keys)} keys and {len(args)} arguments")
    return LuaScript(name, "".join([*_read_parts(text), text]), keys=keys, args=args)


def _read_parts(text: str) -> list[str]:
    """The parts that a script, or another part, includes: each once, behind those that it includes itself."""
    parts: dict[str, None] = {}  # a set that keeps its order
    for names in INCLUDES.findall(text):
        for name in names.split():
            part = (LUA / "parts" / f"{name}.lua").read_text("utf-8")
            parts |= dict.fromkeys([*_read_parts(part), part])
    return list(parts)


SCRIPTS: Mapping[str, LuaScript] = {
    path.stem: parse_script(path.stem, path.read_text("utf-8")) for path in LUA.glob("*.lua")
}
