"""Pure: the text of a template, and what it becomes when its variables are filled in.

`{{name}}` is a place for a variable's value, blanks inside the braces or not, as OpenAI and OGX write it. Everything
else is text, braces included.
"""

import re
from collections.abc import Mapping

# Letters, digits and underscores of any script, as OGX has it.
_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def list_places(text: str) -> list[str]:
    """The names of the variables that the text has places for, each once, in order."""
    return list(dict.fromkeys(_PLACE.findall(text)))


def count_filled(text: str, values: Mapping[str, str]) -> int:
    """How many characters the filled text has, without making it: a long value may have thousands of places."""
    return len(text) + sum(
        len(values[found[1]]) - len(found[0]) for found in _PLACE.finditer(text) if found[1] in values
    )


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with the values in their places. A value is text: what looks like a place in it is none."""
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)
