"""Templates as a client writes them (OGX's Prompts), and as a turn names them (OpenAI's `prompt`)."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from prompts.api.wire.formats import ReasoningParam, TextParam, read_reasoning, read_text
from prompts.api.wire.ids import PromptId, VectorStoreId
from prompts.api.wire.parts import GivenInputPart, read_given
from prompts.api.wire.shapes import convert
from prompts.api.wire.unknown import Unknown
from prompts.domain import ids
from prompts.domain.prompts import (
    EVERYBODY,
    Knowledge,
    Parameters,
    PromptContent,
    PromptVersion,
    Searched,
    Variable,
    VariableType,
    VariableValue,
)
from prompts.errors import InvalidRequest, unknown_prompt
from prompts.usecases.ask import AskedPrompt
from prompts.usecases.prompt_rules import (
    MAX_DESCRIPTION_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_STORES,
    MAX_TEXT_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    MAX_VALUES,
    MAX_VARIABLES,
    list_unused,
)
from prompts.usecases.public_ids import check_kind

encode = msgspec.json.Encoder().encode

# A version's number as text. No template has so many.
_NUMBER = re.compile(r"[1-9]\d{0,8}", re.ASCII)
# Of a turn: as many as a template has. What is beyond is none of its.
MAX_GIVEN = MAX_VARIABLES

Number: TypeAlias = Annotated[int, Meta(ge=1, le=999_999_999)]
ShortText: TypeAlias = Annotated[str, Meta(max_length=MAX_VALUE_CHARACTERS)]
VariableName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]


class VariableParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """A variable with what is known of it."""

    name: VariableName
    type: VariableType = "any"
    default: ShortText | int | float | None = None
    values: Annotated[list[ShortText], Meta(max_length=MAX_VALUES)] | None = None
    description: Annotated[str, Meta(max_length=MAX_DESCRIPTION_CHARACTERS)] | None = None


class ParametersParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a turn with the template takes where it says nothing itself."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=16, le=2**31)] | None = None
    reasoning: ReasoningParam | None = None
    text: TextParam | None = None


class KnowledgeParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """Vector stores that turns with the template search: first, or when the model wants to."""

    vector_store_ids: Annotated[list[VectorStoreId], Meta(min_length=1, max_length=MAX_STORES)]
    when: Searched = "always"


class PromptBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a version says."""

    prompt: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARACTERS)]
    variables: Annotated[list[VariableName | VariableParam], Meta(max_length=MAX_VARIABLES)] | None = None
    variable_details: Annotated[list[VariableParam], Meta(max_length=MAX_VARIABLES)] | None = None
    name: Annotated[str, Meta(max_length=MAX_NAME_CHARACTERS)] | None = None
    model: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    parameters: ParametersParam | None = None
    knowledge: KnowledgeParam | None = None
    follow_ups: bool | None = None
    history_tokens: Annotated[int, Meta(ge=0, le=100_000_000)] | None = None


class CreatePrompt(PromptBody, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/prompts`: version 1."""


class UpdatePrompt(PromptBody, forbid_unknown_fields=True, kw_only=True):
    """The body of `PUT /v1/prompts/{id}`: the version that follows on `version`, whole."""

    version: Number
    set_as_default: bool | None = None


class SetDefaultVersion(Struct, forbid_unknown_fields=True):
    """The body of `PUT /v1/prompts/{id}/set-default-version`."""

    version: Number


Given: TypeAlias = str | int | float | GivenInputPart
# Converted one by one, so that what is wrong is told by the variable's name.
_PARTS = [{"$ref": f"#/components/schemas/{part}"} for part in ("InputTextPart", "InputImagePart", "InputFilePart")]
GivenValues = Annotated[
    dict[str, Any],
    Meta(
        max_length=MAX_GIVEN,
        extra_json_schema={"additionalProperties": {"anyOf": [{"type": "string"}, {"type": "number"}, *_PARTS]}},
    ),
]


class PromptParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """A template that a turn is asked with."""

    id: PromptId
    version: str | int | None = None
    variables: GivenValues | None = None


def read_content(body: PromptBody) -> PromptContent:
    """What the body says. Its rules are still to be checked (`prompts.usecases.prompt_rules`)."""
    parameters = body.parameters or ParametersParam()
    knowledge = body.knowledge
    return PromptContent(
        text=body.prompt,
        variables=_read_variables(body.variables or (), body.variable_details or ()),
        model=body.model,
        parameters=Parameters(
            temperature=parameters.temperature,
            top_p=parameters.top_p,
            presence_penalty=parameters.presence_penalty,
            frequency_penalty=parameters.frequency_penalty,
            max_output_tokens=parameters.max_output_tokens,
            reasoning=read_reasoning(parameters.reasoning),
            text=None if parameters.text is None else read_text(parameters.text),
        ),
        knowledge=None
        if knowledge is None
        else Knowledge(vector_store_ids=[*dict.fromkeys(knowledge.vector_store_ids)], when=knowledge.when),
        follow_ups=bool(body.follow_ups),
        history_tokens=body.history_tokens,
    )


def read_prompt(prompt: PromptParam | None, unknown: Unknown) -> AskedPrompt | None:
    """The template that a turn names; null is no value. Raises InvalidRequest, NotFound."""
    if prompt is None:
        return None
    check_kind(prompt.id, ids.PROMPT, param="prompt.id")
    variables = {
        name: _read_value(value, f"prompt.variables.{name}", unknown)
        for name, value in (prompt.variables or {}).items()
        if value is not None
    }
    return AskedPrompt(prompt.id, _read_version(prompt), variables)


def _read_variables(named: Sequence[str | VariableParam], details: Sequence[VariableParam]) -> list[Variable]:
    """The variables; a name alone takes its details from those that stand beside it."""
    known = {detail.name: detail for detail in details}
    given = [known.get(each, VariableParam(name=each)) if isinstance(each, str) else each for each in named]
    return [_read_variable(each) for each in (given or details)]


def _read_variable(given: VariableParam) -> Variable:
    default = given.default
    return Variable(
        name=given.name,
        type=given.type,
        default=_write(default) if isinstance(default, (int, float)) else default,
        values=given.values or [],
        description=given.description,
    )


def _read_version(prompt: PromptParam) -> int | None:
    if prompt.version is None:
        return None
    text = str(prompt.version)
    if _NUMBER.fullmatch(text):
        return int(text)
    if isinstance(prompt.version, int) or text.isdecimal():
        raise unknown_prompt(prompt.id, 0, param="prompt.version")
    message = "Invalid 'prompt.version': must be the number of a version, as text: '2'."
    raise InvalidRequest(message, param="prompt.version")


def _read_value(value: Any, param: str, unknown: Unknown) -> VariableValue:
    """A number is text from here on; what it may be is the template's to say."""
    given: Given = convert(value, Given, param, unknown)
    if isinstance(given, str):
        return given
    if isinstance(given, (int, float)):
        return _write(given)
    try:
        [part] = read_given([given], param, unknown.rules.media_hosts)
    except InvalidRequest as error:  # it is no list
        error.message = error.message.replace(f"{param}[0]", param)
        error.param = (error.param or "").replace(f"{param}[0]", param)
        raise
    return part


def _write(number: float) -> str:
    return encode(number).decode()


class ShownKnowledge(Struct):
    """Which vector stores are searched, and when."""

    vector_store_ids: list[str]
    when: Searched


class Prompt(Struct, kw_only=True):
    """A version of a template. `id` is the template's, as `prompt_id` is: OGX has this name for it."""

    id: str
    prompt_id: str
    object: Literal["prompt"] = "prompt"
    prompt: str
    version: int
    variables: list[str]
    is_default: bool
    default_version: int
    latest_version: int
    name: str | None
    owner: Literal["you", "everybody"]
    created_at: int
    variable_details: list[Variable]
    unused_variables: list[str]
    model: str | None
    parameters: Parameters
    knowledge: ShownKnowledge | None
    follow_ups: bool
    history_tokens: int | None


def show_version(version: PromptVersion) -> Prompt:
    """The version as the API shows it."""
    content, knowledge = version.content, version.content.knowledge
    return Prompt(
        id=version.prompt_id,
        prompt_id=version.prompt_id,
        prompt=content.text,
        version=version.number,
        variables=[variable.name for variable in content.variables],
        is_default=version.is_default,
        default_version=version.default_number,
        latest_version=version.latest_number,
        name=version.name,
        owner="everybody" if version.owner == EVERYBODY else "you",
        created_at=version.created_at,
        variable_details=content.variables,
        unused_variables=[*list_unused(content)],
        model=content.model,
        parameters=content.parameters,
        knowledge=None if knowledge is None else ShownKnowledge(knowledge.vector_store_ids, knowledge.when),
        follow_ups=content.follow_ups,
        history_tokens=content.history_tokens,
    )
