"""Writes the simplest text that a regular expression accepts: first alternatives, fewest repeats.

It walks the tree that Python's own parser makes of the expression. It gives up (None) on another dialect and on
look-around; the caller then does without.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

_CLASSES = {"CATEGORY_DIGIT": "0", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "a", "CATEGORY_NOT_DIGIT": "a"}
_CLASSES |= {"CATEGORY_NOT_SPACE": "a", "CATEGORY_NOT_WORD": "-"}
_CANDIDATES = "a0A _-.!\n"

# The parser of the standard library's `re`; it has no public name.
_PARSER: Any = import_module("re._parser")


def find_match(pattern: str) -> str | None:
    """A text that the pattern accepts, or None."""
    try:
        text = _write(_PARSER.parse(pattern))
    except (re.error, KeyError, RecursionError):
        return None
    return text if re.search(pattern, text) else None


def _write(tree: Sequence[tuple[Any, Any]]) -> str:
    return "".join(_write_node(str(kind), value) for kind, value in tree)


def _write_node(kind: str, value: Any) -> str:
    match kind:
        case "LITERAL":
            return chr(int(value))
        case "ANY":
            return "a"
        case "AT" | "ASSERT" | "ASSERT_NOT":
            return ""
        case "IN" | "NOT_LITERAL":
            return _write_set(value if kind == "IN" else [("NEGATE", None), ("LITERAL", value)])
        case "BRANCH":
            return _write(value[1][0])
        case "SUBPATTERN":
            return _write(value[-1])
        case "MAX_REPEAT" | "MIN_REPEAT":
            return _write(value[2]) * int(max(value[0], min(1, value[1])))
    raise KeyError(kind)


def _write_set(members: Sequence[tuple[Any, Any]]) -> str:
    kind, value = str(members[0][0]), members[0][1]
    if kind == "NEGATE":
        refused = {_write_set([member]) for member in members[1:]}
        return next(sign for sign in _CANDIDATES if sign not in refused)
    if kind == "CATEGORY":
        return _CLASSES[str(value)]
    return chr(int(value[0] if kind == "RANGE" else value))
