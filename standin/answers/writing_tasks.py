"""Writes a requested text: "count to N", "write N words", "repeat: TEXT"."""

import re

_COUNT = re.compile(r"\bcount(?: up)? to (\d{1,5})\b", re.IGNORECASE)
_WORDS = re.compile(r"\bwrite (?:me )?(\d{1,5}) words?\b", re.IGNORECASE)
_REPEAT = re.compile(r"^[ \t]*(?:please )?repeat:[ \t]?(.*)", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_VOCABULARY = (
    "river stone lamp window garden paper silver morning bread harbour letter winter cloud table music bridge "
    "apple forest candle road clock island needle thunder meadow copper ladder ocean violin shadow pepper anchor"
).split()


def find_requested_text(text: str) -> str | None:
    """The requested text, or None when none is requested."""
    if found := _REPEAT.search(text):
        return found[1]
    if found := _COUNT.search(text):
        return " ".join(map(str, range(1, int(found[1]) + 1)))
    if found := _WORDS.search(text):
        return " ".join(_VOCABULARY[number % len(_VOCABULARY)] for number in range(int(found[1])))
    return None
