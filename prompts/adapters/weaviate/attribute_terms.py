"""Attributes as terms of one property, and filters as sets of terms.

Every attribute of every tenant is in one array of short texts, so the schema knows no tenant's keys and never grows: a
key may be any text, and have a number here and a text there. A term is a hash of a key, a kind and a code, so nothing
in it has a meaning to Weaviate (a tokenizer trims blanks, for one).

    year = 2024      →  (year, number, 2024), and (year, order of numbers, each beginning of 2024's ordered code)

An ordered code is a text of hex digits that sorts as the values do: a number's is its IEEE 754 bits, with the sign's
turned; a text's is its UTF-8. Whatever is greater than a value has, at some place, a higher digit after the same
beginning. So "greater than 2024" is: any of the terms of those beginnings, 15 a digit at most. Numbers are compared
exactly. Texts are compared by their first 32 bytes: equal ones are neither greater nor less.

Each filter becomes `ContainsAny` or `ContainsNone` of terms, which Weaviate resolves in its inverted index before it
searches.
"""

import struct
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TypeAlias

from weaviate.classes.query import Filter as Where
from weaviate.collections.classes.filters import _Filters

from prompts.domain.passages import Attributes, Comparison, Compound, Filter

PROPERTY = "terms"
Value: TypeAlias = str | float | bool

# A date with its time and zone is no longer. Each byte costs two terms a passage.
MAX_ORDERED_BYTES = 32
HEX = "0123456789abcdef"
# 96 bits: two of the same would have to be looked for on purpose, and would harm the searches of their owner alone.
TERM_BYTES = 12
# Every passage has this one, and none the other.
EVERY, NO = "*", "-"


def compose_terms(attributes: Attributes) -> list[str]:
    """The terms of a file's attributes."""
    return [EVERY, *(term for key, value in attributes.items() for term in _list_terms(key, value))]


def compose_filter(where: Filter) -> _Filters:
    """The filter for Weaviate."""
    match where:
        case Compound(type="and", filters=filters):
            return Where.all_of([compose_filter(each) for each in filters]) if filters else _any_of([EVERY])
        case Compound(filters=filters):
            return Where.any_of([compose_filter(each) for each in filters]) if filters else _any_of([])
        case Comparison(type="eq" | "in", key=key, value=value):
            return _any_of(_list_equal(key, value))
        case Comparison(type="ne" | "nin", key=key, value=value):
            return Where.by_property(PROPERTY).contains_none(_list_equal(key, value) or [NO])
        case Comparison(type=operator, key=key, value=value):
            return _any_of([] if isinstance(value, list) else list(_list_ordered(operator, key, value)))


def _any_of(terms: Sequence[str]) -> _Filters:
    return Where.by_property(PROPERTY).contains_any(terms or [NO])


def _list_equal(key: str, value: Value | list[Value]) -> list[str]:
    return [_equal(key, each) for each in (value if isinstance(value, list) else [value])]


def _list_terms(key: str, value: Value) -> Iterator[str]:
    yield _equal(key, value)
    if not isinstance(value, bool):
        kind, code = _order(value)
        yield from (_term(key, kind, code[:length]) for length in range(1, len(code) + 1))


def _list_ordered(operator: str, key: str, value: Value) -> Iterator[str]:
    """The terms of everything that is so ordered beside the value; `false` is below `true`."""
    is_greater, has_equal = operator.startswith("g"), operator.endswith("e")
    if isinstance(value, bool):
        yield from (_equal(key, each) for each in (False, True) if (each > value if is_greater else each < value))
        if has_equal:
            yield _equal(key, value)
        return
    kind, code = _order(value)
    for place, digit in enumerate(code):
        others = HEX[HEX.index(digit) + 1 :] if is_greater else HEX[: HEX.index(digit)]
        yield from (_term(key, kind, code[:place] + other) for other in others)
    if isinstance(value, str):
        yield from _list_nested(key, kind, code, is_greater=is_greater)
    if has_equal:
        yield _term(key, kind, code) if len(code) == 2 * MAX_ORDERED_BYTES else _equal(key, value)


def _list_nested(key: str, kind: str, code: str, *, is_greater: bool) -> Iterator[str]:
    """The terms of the texts that begin with this one and go on; or else of those that this one begins with."""
    if not is_greater:
        yield from (_term(key, "text", code[:length]) for length in range(0, len(code), 2))
    elif len(code) < 2 * MAX_ORDERED_BYTES:
        yield from (_term(key, kind, code + digit) for digit in HEX)


def _equal(key: str, value: Value) -> str:
    if isinstance(value, bool):
        return _term(key, "truth", str(value))
    if isinstance(value, str):
        return _term(key, "text", _hex(value))
    return _term(key, "number", _order(value)[1])


def _order(value: str | float) -> tuple[str, str]:
    """The kind of order, and the ordered code."""
    if isinstance(value, str):
        return "order of texts", _hex(value)[: 2 * MAX_ORDERED_BYTES]
    [bits] = struct.unpack(">Q", struct.pack(">d", float(value) + 0.0))  # -0.0 is 0.0
    turned = ~bits & (1 << 64) - 1 if bits >> 63 else bits | 1 << 63
    return "order of numbers", f"{turned:016x}"


def _hex(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").hex()


def _term(key: str, kind: str, code: str) -> str:
    seed = b"\0".join(part.encode("utf-8", "surrogatepass") for part in (kind, code, key))
    return urlsafe_b64encode(blake2b(seed, digest_size=TERM_BYTES).digest()).decode()
