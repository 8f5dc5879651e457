"""Reading attributes: what is known of a file in a vector store, to filter by."""

from typing import Annotated, Any

from msgspec import Meta

from prompts.api.wire.filters import MAX_KEY_CHARACTERS, MAX_TEXT_CHARACTERS, read_value
from prompts.api.wire.wording import shorten
from prompts.domain.passages import Attributes
from prompts.errors import InvalidRequest

MAX_KEYS = 16

AttributesParam = Annotated[
    dict[str, Any],
    Meta(
        description="Up to 16 pairs to filter by: keys of up to 64 characters; texts of up to 512, numbers, booleans.",
        extra_json_schema={
            "maxProperties": MAX_KEYS,
            "propertyNames": {"type": "string", "maxLength": MAX_KEY_CHARACTERS},
            "additionalProperties": {
                "anyOf": [
                    {"type": "string", "maxLength": MAX_TEXT_CHARACTERS},
                    {"type": "number"},
                    {"type": "boolean"},
                ]
            },
            "examples": [{"team": "support", "year": 2026}],
        },
    ),
]
"""Attributes in a body, which `read_attributes` reads."""


def read_attributes(raw: dict[str, Any] | None, param: str) -> Attributes:
    """The attributes as they are kept; numbers as floats. Raises InvalidRequest naming the path: `attributes.year`."""
    attributes = raw or {}
    if len(attributes) > MAX_KEYS:
        raise InvalidRequest(f"Invalid '{param}': must be an object of at most {MAX_KEYS} entries.", param=param)
    return {key: _read_pair(key, value, f"{param}.{shorten(key)}") for key, value in attributes.items()}


def _read_pair(key: str, value: Any, path: str) -> str | float | bool:
    if not 0 < len(key) <= MAX_KEY_CHARACTERS:
        message = f"Invalid '{path}': the key must be a string of 1 to {MAX_KEY_CHARACTERS} characters."
        raise InvalidRequest(message, param=path)
    return read_value(value, path)
