"""Pure: how deeply JSON is nested: a document, found without reading it, and a value that was read."""

from itertools import accumulate
from typing import Any

# Whatever comes in must come out again, everywhere, wrapped a few levels deeper: in an event, in a list of items. Of
# what clients and model servers read and write with, serde_json ends at 128 levels, jiter (pydantic) at 200, orjson at
# 254, PHP at 512, Lua's cjson and Python at about 1,000. What people send has less than 20.
MAX_DEPTH = 100

# A bracket as a signed byte: one level down, or up again.
_STEPS = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")
_OTHER = bytes(code for code in range(256) if code not in b"{}[]")


def is_too_deep(document: str | bytes | bytearray | memoryview, max_depth: int = MAX_DEPTH) -> bool:
    """Whether JSON holds more than so many objects and lists inside each other.

    Nearly every document has fewer brackets than that, and costs two counts.
    """
    given = document.encode(errors="replace") if isinstance(document, str) else bytes(document)
    if given.count(b"[") + given.count(b"{") <= max_depth:
        return False
    steps = drop_strings(drop_escapes(given)).translate(_STEPS, _OTHER)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > max_depth


def is_shallow(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether a value holds at most so many objects and lists inside each other."""
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(is_shallow(each, depth - 1) for each in inner)


def drop_escapes(document: bytes) -> bytes:
    """JSON of which each quotation mark begins or ends a string."""
    return document.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in document else document


def drop_strings(unescaped: bytes) -> bytes:
    """What stands outside of strings, of JSON without escapes."""
    return b"".join(unescaped.split(b'"')[::2])
