"""Marks on fields of the wire's structs, for the OpenAPI document: what the rules say and the types do not."""

from typing import Any

ITEMS_MARK, ITEMS_TYPE_MARK = "x-items", "x-items-type"


def items(schema: dict[str, Any]) -> dict[str, Any]:
    """For the `extra_json_schema` of an array: its entries follow a rule that is narrower than their type."""
    return {ITEMS_MARK: schema}


def items_of(type_name: str) -> dict[str, Any]:
    """The same, where entries are converted one by one to a type (`prompts.api.openapi.schemas.ENTRY_TYPES`)."""
    return {ITEMS_TYPE_MARK: type_name}
