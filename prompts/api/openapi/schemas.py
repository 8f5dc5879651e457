"""JSON schemas of the wire's structs, for the OpenAPI document: what msgspec says of a type, and what it cannot."""

from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import Any, TypeAlias

from dmr.plugins.msgspec import MsgspecSerializer
from dmr.plugins.msgspec.schema import MsgspecSchemaGenerator

from prompts.api.openapi.descriptions import DESCRIPTIONS
from prompts.api.wire.ids import COMPACTION_TRIGGER, REFERENCE
from prompts.api.wire.item_reader import get_field_type
from prompts.api.wire.marks import ITEMS_MARK, ITEMS_TYPE_MARK
from prompts.api.wire.tool_choice import OneToolParam
from prompts.api.wire.tools import InnerToolParam, ToolParam
from prompts.domain.item_kinds import KINDS_BY_TYPE, ItemKind
from prompts.domain.items import KEPT

JsonSchema: TypeAlias = dict[str, Any]

# The types of entries that are converted one by one, by the names that `items_of` has for them.
ENTRY_TYPES: Mapping[str, Any] = {
    "ToolParam": ToolParam,
    "InnerToolParam": InnerToolParam,
    "OneToolParam": OneToolParam,
}


class WireSchemas(MsgspecSchemaGenerator):
    """Schemas that say what a client can rely on."""

    __slots__ = ()

    @classmethod
    def get_schema(
        cls, model: Any, ref_template: str, *, used_for_response: bool = False
    ) -> tuple[JsonSchema, dict[str, JsonSchema]]:
        """The schema and the components it refers to."""
        schema, components = super().get_schema(model, ref_template, used_for_response=used_for_response)
        if "InputItem" in components:
            components |= cls._get_item_kinds(components["InputItem"], ref_template)
        components |= cls._get_entries(components, ref_template)
        for name, component in components.items():
            _leave_out_kept(component)
            _describe(component, DESCRIPTIONS.get(name, {}))
            if used_for_response:
                _require_defaults(component)
            _refine(component)
        return schema, components

    @classmethod
    def _get_entries(cls, components: Mapping[str, JsonSchema], ref_template: str) -> dict[str, JsonSchema]:
        """What arrays hold whose entries are converted one by one; the components that these refer to."""
        found: dict[str, JsonSchema] = {}
        for schema in [each for component in components.values() for each in _walk(component)]:
            if ITEMS_TYPE_MARK in schema:
                schema["items"], more = super().get_schema(ENTRY_TYPES[schema.pop(ITEMS_TYPE_MARK)], ref_template)
                found |= more | cls._get_entries(more, ref_template)
        return found

    @classmethod
    def _get_item_kinds(cls, flat: JsonSchema, ref_template: str) -> dict[str, JsonSchema]:
        """One schema a kind of input item, from the table that items are read by, and what these refer to."""
        found: dict[str, JsonSchema] = {}

        def get_field(kind: ItemKind[Any], name: str) -> JsonSchema:
            wanted = get_field_type(kind, name)
            if wanted is Any or kind.is_record:
                return {}
            schema, components = super(WireSchemas, cls).get_schema(wanted, ref_template)
            found.update(components)
            return schema

        shown = [
            _item_kind(flat, name, {each: get_field(kind, each) for each in kind.fields}, kind.needed)
            for name, kind in KINDS_BY_TYPE.items()
        ]
        shown.append(_item_kind(flat, REFERENCE, {}, ("id",)))
        shown.append(_item_kind(flat, COMPACTION_TRIGGER, {}, ()))
        kinds = {each["title"]: each for each in shown}
        choice = {"oneOf": [{"$ref": ref_template + name} for name in kinds]}
        described = {"title": flat["title"], "description": flat["description"]}
        return {**found, **kinds, "InputItem": {**described, **choice}}


class WireSerializer(MsgspecSerializer):
    """msgspec, with these schemas."""

    __slots__ = ()
    schema_generator = WireSchemas


_STATUS: JsonSchema = {
    "anyOf": [{"type": "string", "enum": ["in_progress", "completed", "incomplete"]}, {"type": "null"}]
}


def _item_kind(flat: JsonSchema, kind: str, own: Mapping[str, JsonSchema], needed: Sequence[str]) -> JsonSchema:
    is_record = kind in KINDS_BY_TYPE and KINDS_BY_TYPE[kind].is_record
    shown = {**own, "id": flat["properties"]["id"], "status": {} if is_record else _STATUS}
    if "content" in own:
        shown["content"] = _content(shown["content"], is_thought=kind == "reasoning")
    shown |= {name: _without_null(shown[name]) for name in needed}
    return {
        "title": f"Input{kind.title().replace('_', '')}",
        "type": "object",
        "properties": {"type": {"const": kind}, **shown},
        "required": [*needed] if kind == "message" else ["type", *needed],
        "additionalProperties": False,
    }


def _content(flat: JsonSchema, *, is_thought: bool) -> JsonSchema:
    """A thought holds thoughts only, and nothing else holds any; null is no content but for a thought."""
    text, parts, null = sorted(flat["anyOf"], key=lambda each: ["string", "array", "null"].index(each["type"]))
    shown = [part for part in parts["items"]["anyOf"] if part["$ref"].endswith("/ReasoningTextPart") == is_thought]
    items = {"type": "array", "items": {"anyOf": shown}}
    return {"anyOf": [items, null] if is_thought else [text, items]}


def _without_null(schema: JsonSchema) -> JsonSchema:
    """A needed field's schema: null is no value for it."""
    match [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]:
        case [only]:
            return dict(only)
    return schema


def _leave_out_kept(component: JsonSchema) -> None:
    component.get("properties", {}).pop(KEPT, None)


def _describe(component: JsonSchema, descriptions: dict[str, str]) -> None:
    for name, description in descriptions.items():
        component["properties"][name]["description"] = description


def _require_defaults(component: JsonSchema) -> None:
    """Fields with a default are always sent, so they are required; fields that may be left out have none."""
    properties: dict[str, JsonSchema] = component.get("properties", {})
    required = [name for name in properties if "default" in properties[name] or name in component.get("required", ())]
    for shown in properties.values():
        shown.pop("default", None)
    if required:
        component["required"] = required


def _refine(component: JsonSchema) -> None:
    """Say what entries are where the type is wider than the rule, and an enum's type, for generators of clients."""
    if "description" in component:
        component["description"] = cleandoc(component["description"])
    for schema in _walk(component):
        if ITEMS_MARK in schema:
            schema["items"] = schema.pop(ITEMS_MARK)
        if isinstance(values := schema.get("enum"), list) and not isinstance(values[0], bool):
            schema["type"] = "string" if isinstance(values[0], str) else "integer"


def _walk(value: Any) -> Iterator[JsonSchema]:
    if isinstance(value, dict):
        yield value
    for below in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _walk(below)
