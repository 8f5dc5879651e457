"""Pure: what a template may say. The same rules hold for clients and for staff."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from prompts.domain import ids
from prompts.domain.prompts import PromptContent, Variable
from prompts.errors import InvalidRequest
from prompts.history.prompt_text import list_places
from prompts.usecases.public_ids import check_kind

# docs/api.md, "Limits".
MAX_TEXT_CHARACTERS = 64_000
MAX_NAME_CHARACTERS = 200
MAX_VARIABLES = 100
MAX_VALUES = 100
MAX_VALUE_CHARACTERS = 4_000
MAX_DESCRIPTION_CHARACTERS = 500
MAX_STORES = 16
# Of a version in all, as JSON: each turn that names it reads it from Redis, whose other clients wait meanwhile.
MAX_CONTENT_BYTES = 512 * 1024

# As places in the text have them (`prompts.history.prompt_text`).
_NAME = re.compile(r"\w{1,64}")
_NUMBER = re.compile(r"-?\d{1,64}(\.\d{1,64})?([eE][+-]?\d{1,3})?", re.ASCII)


def check_content(content: PromptContent) -> None:
    """Raises InvalidRequest that names the place of what is wrong, as the API has it."""
    if len(msgspec.json.encode(content)) > MAX_CONTENT_BYTES:
        message = f"the prompt has more than {MAX_CONTENT_BYTES // 1024} KB with its variables and parameters. Cut it"
        raise _invalid("prompt", message)
    declared = [variable.name for variable in content.variables]
    for place, variable in enumerate(content.variables):
        _check_variable(variable, f"variables[{place}]")
        if variable.name in declared[:place]:
            raise _invalid(f"variables[{place}]", f"'{variable.name}' is there twice. Name each variable once")
    for name in list_places(content.text):
        if name not in declared:
            message = f"the text has a place for '{{{{{name}}}}}', which is no variable. Add it to 'variables'"
            raise _invalid("prompt", message)
    if content.knowledge is not None:
        for place, store_id in enumerate(content.knowledge.vector_store_ids):
            check_kind(store_id, ids.VECTOR_STORE, param=f"knowledge.vector_store_ids[{place}]")


def list_unused(content: PromptContent) -> Sequence[str]:
    """Variables that the text has no place for. An image or a file is given to the model all the same."""
    used = list_places(content.text)
    is_text = (variable for variable in content.variables if variable.type not in ("image", "file"))
    return [variable.name for variable in is_text if variable.name not in used]


def is_number(text: str) -> bool:
    """Whether this is a number, as JSON has it."""
    return _NUMBER.fullmatch(text) is not None


def _check_variable(variable: Variable, param: str) -> None:
    if not _NAME.fullmatch(variable.name):
        shown = variable.name[:80].encode("ascii", "backslashreplace").decode()
        raise _invalid(param, f"a variable's name is 1 to 64 letters, digits or '_', not '{shown}'")
    for fault in _list_faults(variable):
        raise _invalid(param, f"'{variable.name}' {fault}")


def _list_faults(variable: Variable) -> Iterator[str]:
    default, values = variable.default, variable.values
    if variable.type == "enum":
        if not values or len(set(values)) != len(values):
            yield "needs 'values': the texts that it may be, each once"
        if default is not None and default not in values:
            yield "has a default that is not among its values"
    elif values:
        yield "has 'values', which are for the type 'enum'"
    if default is not None and variable.type in ("image", "file"):
        yield f"cannot have a default: it is {'an image' if variable.type == 'image' else 'a file'}"
    if default is not None and variable.type == "number" and not is_number(default):
        yield "has a default that is no number"


def _invalid(param: str, fault: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid '{param}': {fault}.", param=param)
