"""Attributes as typed rows, and filters as SQL over them."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from prompts.domain.passages import Attributes, Comparison, Compound, Filter

Clause: TypeAlias = tuple[str, list[Any]]
"""SQL over the table `files`, and its parameters."""

OPERATORS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
NOTHING: Clause = ("0", [])
ALL: Clause = ("1", [])


def compose_rows(attributes: Attributes) -> Iterator[tuple[str, str, str | float]]:
    """Key, kind and value of each."""
    for key, value in attributes.items():
        yield key, *_read(value)


def compose_clause(where: Filter | None) -> Clause:
    """What the filter says. Texts are compared by their characters' numbers, `false` is below `true`."""
    match where:
        case None:
            return ALL
        case Compound(type=word, filters=filters):
            return _join(word, [compose_clause(each) for each in filters])
        case Comparison(type="in" | "nin" | "ne", key=key, value=value):
            values = value if isinstance(value, list) else [value]
            sql, parameters = _join("or", [_compare(key, "=", each) for each in values])
            return (sql, parameters) if where.type == "in" else (f"NOT {sql}", parameters)
        case Comparison(key=key, value=value):
            return NOTHING if isinstance(value, list) else _compare(key, OPERATORS[where.type], value)


def _compare(key: str, operator: str, value: str | float | bool) -> Clause:
    """An attribute of another kind fits nothing."""
    sql = f"SELECT file FROM attributes WHERE file = files.id AND key = ? AND kind = ? AND value {operator} ?"  # noqa: S608 -- the operator is one of ours
    return f"EXISTS ({sql})", [key, *_read(value)]


def _join(word: str, clauses: Sequence[Clause]) -> Clause:
    """None of nothing fits, all of nothing does."""
    if not clauses:
        return ALL if word == "and" else NOTHING
    sql = f" {word.upper()} ".join(sql for sql, _ in clauses)
    return f"({sql})", [parameter for _, parameters in clauses for parameter in parameters]


def _read(value: str | float | bool) -> tuple[str, str | float]:
    """Its kind, and itself as SQLite compares it."""
    if isinstance(value, bool):
        return "truth", value
    return ("text", value) if isinstance(value, str) else ("number", float(value))
