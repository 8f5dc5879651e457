"""Makes recorded answers plain: ids, times, seals and long vectors become what does not change; and compares them."""

import json
import re
from typing import Any

ID = re.compile(r"\b([a-z]+[_-])[0-9a-f]{32,}\b")
CALL_ID = re.compile(r"\bcall_[0-9a-f]{20,}")
CLOCK = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
TIME, TIME_S = "2026-01-01 10:00 UTC", 1_767_261_600
SEAL = "gAAAAABpVlGgc2VhbGVkIHdpdGggdGhlIHNlcnZlcidzIGtleQ"
MAX_NUMBERS = 4


class PlainText:
    """Replaces each id by one that only tells the order of appearance."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def replace(self, text: str, *, kept: frozenset[str]) -> str:
        """`kept` are ids that stand in examples."""

        def name(found: re.Match[str]) -> str:
            if found[0] in kept:
                return found[0]
            return self._seen.setdefault(found[0], f"{found[1]}0701982f4c2a7b3c{len(self._seen) + 1:016x}")

        return CLOCK.sub(TIME, CALL_ID.sub("call_1", ID.sub(name, text)))


def make_plain(value: Any, key: str = "") -> Any:
    """The value with fixed times and seals; of long lists of numbers the beginning."""
    match value:
        case dict():
            return {name: make_plain(inner, name) for name, inner in value.items()}
        case list():
            is_vector = len(value) > MAX_NUMBERS and all(isinstance(each, float) for each in value)
            return [make_plain(inner) for inner in value[: MAX_NUMBERS if is_vector else None]]
        case int() if key.endswith("_at") or key == "created":
            return TIME_S
        case float() if not isinstance(value, bool):
            return round(value, 3)
        case str() if key == "encrypted_content":
            return SEAL
        case str() if value.startswith("ek_"):
            return f"ek_{SEAL}"
    return value


def make_stream_plain(raw: str) -> str:
    """The same for the events of a stream."""
    return "\n".join(map(_make_line_plain, raw.split("\n")))


def _make_line_plain(line: str) -> str:
    if not line.startswith("data: {"):
        return line
    return "data: " + json.dumps(make_plain(json.loads(line[6:])), ensure_ascii=False, separators=(",", ":"))


def draw_shape(value: Any) -> Any:
    """What stays the same from one answer to the next: keys, types, the values of `type`, `object` and `status`."""
    match value:
        case dict():
            names = sorted({*value} - UNSTEADY)
            return {name: value[name] if name in FIXED else draw_shape(value[name]) for name in names}
        case list():
            shapes = {json.dumps(draw_shape(each), sort_keys=True) for each in value}
            return sorted(shapes)
        case str() if "\ndata: " in value or value.startswith("data: "):
            return draw_stream_shape(value)
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


FIXED = ("type", "object", "status", "role")
UNSTEADY = {"eps:cancel_confirmed"}
"""What a busy machine may add."""


def draw_stream_shape(raw: str) -> list[str]:
    """The names of the events, in order; of several that are the same one."""
    names = [line for line in raw.splitlines() if line.startswith("event: ") or line == "data: [DONE]"]
    return [name for index, name in enumerate(names) if name != (names[index - 1] if index else None)]
