"""Tools under flat names: the only way in which Chat Completions tells them apart.

A name must fit `^[a-zA-Z0-9_-]{1,64}$` and be the only one. A tool of a namespace is called `namespace__name`; where
that is too long, or another tool's, the end of it is a hash, the same one in every request.
"""

import re
from collections.abc import Sequence
from hashlib import sha256

from prompts.domain.callees import Callee, list_callees
from prompts.domain.tools import Tool

MAX_NAME_CHARACTERS = 64
_HASH_CHARACTERS = 8
_JOINT = "__"
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
# What models write between a namespace and a name.
_OTHER_JOINTS = (".", "/", ":", "_", "")


class ToolNames:
    """The flat names of some tools; of others, the names that they would have."""

    def __init__(self, tools: Sequence[Tool] = ()) -> None:
        self.functions: list[tuple[str, Callee, Tool]] = []
        """Each tool that can be called, with its flat name."""
        self._callees: dict[str, Callee] = {}
        self._names: dict[Callee, str] = {}
        for callee, tool in sorted(list_callees(tools), key=lambda entry: entry[0].namespace is not None):
            if callee not in self._names:
                name = self._choose(callee)
                self._names[callee], self._callees[name] = name, callee
                self.functions.append((name, callee, tool))
        self._others = self._list_other_names()

    def get_name(self, callee: Callee) -> str:
        """The name under which a model calls it."""
        return self._names.get(callee) or _flatten(callee)

    def find(self, name: str) -> Callee | None:
        """What a model means by a name: the flat one, or another one that can only mean one tool."""
        return self._callees.get(name) or self._others.get(name)

    def _choose(self, callee: Callee) -> str:
        name = _flatten(callee)
        return name if name not in self._callees else _shorten(name, callee)

    def _list_other_names(self) -> dict[str, Callee]:
        others: dict[str, Callee | None] = {}
        for callee in self._names:
            if callee.namespace is not None:
                for name in {callee.name, *(f"{callee.namespace}{joint}{callee.name}" for joint in _OTHER_JOINTS)}:
                    others[name] = callee if name not in others else None
        return {name: callee for name, callee in others.items() if callee is not None}


_NO_NAMES = ToolNames()


def name_tools(tools: Sequence[Tool]) -> ToolNames:
    """The flat names of these tools; most turns have none."""
    return ToolNames(tools) if tools else _NO_NAMES


def _flatten(callee: Callee) -> str:
    joined = callee.name
    if callee.namespace is not None:
        joined = f"{callee.namespace.removesuffix(_JOINT)}{_JOINT}{callee.name}"
    fit = _UNFIT.sub("_", joined)
    is_fit = fit == joined and 0 < len(fit) <= MAX_NAME_CHARACTERS
    return fit if is_fit else _shorten(fit, callee)


def _shorten(name: str, callee: Callee) -> str:
    told = "\n".join((callee.kind, callee.namespace or "", callee.name))
    digest = sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    return f"{name[: MAX_NAME_CHARACTERS - _HASH_CHARACTERS - 1]}_{digest}"
