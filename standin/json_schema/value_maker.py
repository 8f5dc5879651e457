"""Makes a value that is valid for a JSON schema; always the same one.

It knows what OpenAI's structured outputs allow, and what people also write: references, unions, formats, patterns,
bounds. `propose` may propose a value for a named property (from the words of a message); a value that does not fit is
replaced. `texts` gives the text of a string property by its name.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from standin.errors import StandInError
from standin.json_schema.scalars import Schema, fits, get_type, make_distinct, make_number, make_string
from standin.json_schema.suggestions import find_suggestions

Propose = Callable[[str, Schema], Any]

_MAX_DEPTH = 5  # deeper: required properties only, and null where allowed, because schemas may be recursive


def propose_nothing(_name: str, _schema: Schema) -> Any:
    """Propose no value: everything is made from the schema."""
    return None


class ValueMaker:
    """Makes values for one schema document. With `is_full` it includes optional properties."""

    def __init__(
        self, root: Schema, propose: Propose = propose_nothing, texts: Mapping[str, str] = {}, *, is_full: bool = False
    ) -> None:
        self._root, self._propose, self._texts, self._is_full = root, propose, texts, is_full

    def make(self) -> Any:
        """A value for the whole document. Raises a 400 for a broken schema: bad references, odd types."""
        try:
            return self._value(self._root, "", 0)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, re.error) as exc:
            raise StandInError(
                400, f"No value can be made for this JSON schema: {exc!r}.", code="invalid_schema"
            ) from exc

    def _value(self, given: Schema | bool, name: str, depth: int) -> Any:
        schema = self._resolve(given, depth)
        if "const" in schema:
            return schema["const"]
        kind = get_type(schema)
        proposed = self._propose(name, schema) if name and kind != "null" else None
        if proposed is not None and fits(proposed, kind, schema):
            return proposed
        if "enum" in schema:
            return schema["enum"][0]
        if schema.get("default") is not None:
            return schema["default"]
        return self._make_kind(kind, schema, name, depth)

    def _make_kind(self, kind: str, schema: Schema, name: str, depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return make_number(schema, is_integer=kind == "integer")
            case "boolean":
                return False
            case "null":
                return None
        return make_string(schema, self._texts.get(name) or name or "stand-in")

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: Schema = schema.get("properties", {})
        required = list(schema.get("required", ()))
        is_full = self._is_full and depth < _MAX_DEPTH
        proposed = {
            name: self._propose(name, self._resolve(properties[name], depth))
            for name in sorted(properties, key=lambda name: name not in required)  # required properties choose first
        }
        names = [name for name in properties if name in required or is_full or proposed[name] is not None]
        names += [name for name in required if name not in properties]
        return {name: self._value(properties.get(name, {}), name, depth + 1) for name in names}

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        fewest, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        first = [self._value(item, name, depth + 1) for item in schema.get("prefixItems", ())]
        if self._is_full and not first and _is_text(schema) and (texts := find_suggestions(name, fewest, most)):
            return [make_string(schema["items"], text) for text in texts]
        length = max(fewest, min(1 if depth < _MAX_DEPTH else 0, most), len(first))
        items = first + [self._value(schema.get("items", {}), name, depth + 1) for _ in range(length - len(first))]
        if schema.get("uniqueItems"):
            return make_distinct(items, self._resolve(schema.get("items", {}), depth))
        return items

    def _resolve(self, given: Schema | bool, depth: int) -> Schema:
        schema: Schema = {} if isinstance(given, bool) else given
        if "$ref" in schema:
            schema = {**self._resolve(self._look_up(schema["$ref"]), depth), **_without(schema, "$ref")}
        if "allOf" in schema:
            schema = _merge([_without(schema, "allOf"), *(self._resolve(part, depth) for part in schema["allOf"])])
        for union in ("anyOf", "oneOf"):
            if union in schema:
                schema = _merge([_without(schema, union), self._resolve(_choose(schema[union], depth), depth)])
        return schema

    def _look_up(self, reference: str) -> Schema:
        found: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")] if step else found
        return found if isinstance(found, dict) else {}


def _is_text(schema: Schema) -> bool:
    """Whether an array holds plain strings."""
    items = schema.get("items")
    return isinstance(items, dict) and get_type(items) == "string" and not items.keys() & {"enum", "const", "$ref"}


def _choose(options: list[Schema], depth: int) -> Schema:
    is_null = [option.get("type") == "null" for option in options]
    if depth >= _MAX_DEPTH and any(is_null):
        return options[is_null.index(True)]
    return options[is_null.index(False)] if False in is_null else options[0]


def _merge(parts: list[Schema]) -> Schema:
    merged: dict[str, Any] = {}
    for part in parts:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", ()), *part.get("required", ())]
        merged |= part
        merged |= {"properties": properties} if properties else {}
        merged |= {"required": list(dict.fromkeys(required))} if required else {}
    return merged


def _without(schema: Schema, key: str) -> Schema:
    return {name: value for name, value in schema.items() if name != key}
