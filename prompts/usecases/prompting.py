"""Use case: what a turn asks becomes what it asks with its template.

The template fills in what the request leaves open: the model, parameters, a search in files, the history's budget. Its
text stands before everything else, and the request's own instructions behind it. Values of variables are text in their
places, and nothing in them is looked at; images and files come to the model as the user's message, before the input.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from prompts.domain.items import GivenPart, InputFile, InputImage, InputText, Message
from prompts.domain.prompts import EVERYBODY, PromptContent, UsedPrompt, Variable, VariableValue
from prompts.domain.tools import AllowedTools, FileSearchChoice, FileSearchTool, Tool, ToolChoice
from prompts.errors import InvalidRequest, NotFound
from prompts.history.prompt_text import count_filled, fill, list_places
from prompts.ports.prompts import FoundPrompt, PublishedPrompts
from prompts.usecases.ask import Ask, AskedPrompt
from prompts.usecases.prompt_rules import is_number
from prompts.usecases.public_ids import check_prompt_id

Value = TypeVar("Value")

# Between two instructions, as adapters join them.
SEPARATOR = "\n\n"
# A long value may stand in thousands of places. It is a hundred times what models are told in instructions.
MAX_FILLED_CHARACTERS = 1_000_000
_KINDS = {"image": "an 'input_image'", "file": "an 'input_file'"}


async def apply_prompt(ask: Ask, prompts: PublishedPrompts) -> Ask:
    """The ask with what its template says. One without a template is as it was, and costs nothing.

    Raises NotFound (template, version), InvalidRequest naming a variable, Unavailable.
    """
    if ask.prompt is None:
        return ask
    asked = ask.prompt
    check_prompt_id(asked.id, param="prompt.id")
    try:
        found = await prompts.get(asked.id, owner=ask.owner, number=asked.number)
    except NotFound as error:
        param = "prompt.id" if asked.number is None else "prompt.version"
        raise NotFound(error.message, code=error.code, param=param) from None
    return _apply(ask, asked, found)


def place_default(error: NotFound, said: Ask) -> None:
    """Say that it is the template which names a model or a vector store that is not there; the request does not."""
    is_own = said.model is not None if error.param == "model" else _is_tool_of(said, error.param)
    if said.prompt is not None and not is_own:
        error.param = "prompt"


def place_variable(error: InvalidRequest, ask: Ask) -> None:
    """Say which variable an attachment is that is refused, and where the request's own items stand."""
    if ask.attached and error.param is not None and error.param.startswith("input["):
        place = _find_place(error.param, ask.attached)
        error.message = error.message.replace(f"'{error.param}'", f"'{place}'")
        error.param = place


def _is_tool_of(said: Ask, param: str | None) -> bool:
    """Whether this place of `tools` is among the request's own."""
    number = (param or "").removeprefix("tools[").partition("]")[0]
    return not number.isdecimal() or int(number) < len(said.tools)


def _find_place(param: str, attached: Sequence[str]) -> str:
    """The place in the request of what stands at this place of the input, whose first item has the attachments.

    A stored item that is named knows its place in the request.
    """
    index, _, rest = param.removeprefix("input[").partition("]")
    if rest == ".id":
        return param
    if index != "0":
        return f"input[{int(index) - 1}]{rest}"
    number, _, rest = rest.removeprefix(".content[").partition("]")
    return f"prompt.variables.{attached[int(number)]}{rest}"


def _apply(ask: Ask, asked: AskedPrompt, found: FoundPrompt) -> Ask:
    content = found.content
    given = _read_values(content.variables, asked)
    attachments = {name: value for name, value in given.items() if not isinstance(value, str)}
    text = _fill(content, given)
    parameters = content.parameters
    searching = _add_search(ask, found)
    _check_choice(ask.tool_choice, searching.get("tools", ask.tools))
    return replace(
        ask,
        used_prompt=UsedPrompt(asked.id, str(found.number), dict(asked.variables)),
        instructions=SEPARATOR.join(part for part in (text, ask.instructions) if part),
        input=[_compose_message([*attachments.values()]), *ask.input] if attachments else ask.input,
        attached=tuple(attachments),
        model=ask.model or content.model,
        temperature=_first(ask.temperature, parameters.temperature),
        top_p=_first(ask.top_p, parameters.top_p),
        presence_penalty=_first(ask.presence_penalty, parameters.presence_penalty),
        frequency_penalty=_first(ask.frequency_penalty, parameters.frequency_penalty),
        max_output_tokens=_first(ask.max_output_tokens, parameters.max_output_tokens),
        reasoning=_first(ask.reasoning, parameters.reasoning),
        text=_first(ask.text, parameters.text),
        **searching,
        wants_follow_ups=content.follow_ups,
        history_tokens=content.history_tokens,
    )


def _read_values(variables: Sequence[Variable], asked: AskedPrompt) -> dict[str, VariableValue]:
    """What stands for each variable that has a value, in the order of the template. Raises InvalidRequest."""
    known = {variable.name for variable in variables}
    for name in asked.variables:
        if name not in known:
            has = f"It has {', '.join(map(repr, sorted(known)))}." if known else "It has none."
            raise _refuse(name, f"prompt '{asked.id}' has no such variable. {has}")
    values: dict[str, VariableValue] = {}
    for variable in variables:
        if (value := asked.variables.get(variable.name, variable.default)) is not None:
            values[variable.name] = _read_value(variable, value)
    return values


def _read_value(variable: Variable, value: VariableValue) -> VariableValue:
    if isinstance(value, InputText):
        value = value.text
    match variable.type, value:
        case ("image", InputImage()) | ("file", InputFile()) | ("any", _) | ("string", str()):
            return value
        case ("image" | "file") as kind, _:
            raise _refuse(variable.name, f"must be {_KINDS[kind]}")
        case "number", str() if is_number(value):
            return value
        case "number", _:
            raise _refuse(variable.name, "must be a number")
        case "enum", str() if value in variable.values:
            return value
        case "enum", _:
            raise _refuse(variable.name, f"must be one of {', '.join(map(repr, variable.values))}")
    raise _refuse(variable.name, "must be a text")


def _fill(content: PromptContent, values: Mapping[str, VariableValue]) -> str:
    """The text with the values in their places; an attachment's place says which one it is. Raises InvalidRequest."""
    texts: dict[str, str] = {}
    attached = 0
    for name, value in values.items():
        if isinstance(value, str):
            texts[name] = value
            continue
        attached += 1
        texts[name] = f"[{'Image' if isinstance(value, InputImage) else 'File'} {attached}: {name}]"
    for name in list_places(content.text):
        if name not in texts:
            raise InvalidRequest(
                f"Missing required parameter: 'prompt.variables.{name}'. The prompt needs a value for it.",
                param=f"prompt.variables.{name}",
            )
    if count_filled(content.text, texts) > MAX_FILLED_CHARACTERS:
        message = (
            f"Invalid 'prompt.variables': the prompt has more than {MAX_FILLED_CHARACTERS:,} characters with them."
        )
        raise InvalidRequest(f"{message} Send shorter ones, or what is long as 'input'.", param="prompt.variables")
    return fill(content.text, texts)


def _compose_message(parts: Sequence[GivenPart]) -> Message:
    return Message(id="", status="completed", role="user", content=[*parts])


def _add_search(ask: Ask, found: FoundPrompt) -> dict[str, Any]:
    """The template's search in files, unless the request brings one of its own."""
    knowledge = found.content.knowledge
    if knowledge is None or any(isinstance(tool, FileSearchTool) for tool in ask.tools):
        return {}
    ids = knowledge.vector_store_ids
    search = FileSearchTool(vector_store_ids=ids, when="always" if knowledge.when == "always" else UNSET)
    granted = {}
    if found.owner == EVERYBODY and knowledge.owner is not None:
        granted = dict.fromkeys(ids, knowledge.owner)
    return {"tools": [*ask.tools, search], "granted_stores": granted}


def _check_choice(choice: ToolChoice | None, tools: Sequence[Tool]) -> None:
    """Refuse a choice that only a template's search could have satisfied. Raises InvalidRequest."""
    if choice == "required" and not tools:
        message = "Invalid 'tool_choice': 'required' needs 'tools' to choose from, of the request or its prompt."
        raise InvalidRequest(message, param="tool_choice")
    chosen = choice.tools if isinstance(choice, AllowedTools) else [choice]
    is_searching = any(isinstance(one, FileSearchChoice) for one in chosen)
    if is_searching and not any(isinstance(tool, FileSearchTool) for tool in tools):
        message = "Invalid 'tool_choice': neither the request nor its prompt has a 'file_search' to choose."
        raise InvalidRequest(message, param="tool_choice")


def _first(said: Value | None, otherwise: Value | None) -> Value | None:
    return otherwise if said is None else said


def _refuse(name: str, fault: str) -> InvalidRequest:
    param = f"prompt.variables.{name}"
    return InvalidRequest(f"Invalid '{param}': {fault.removesuffix('.')}.", param=param)
