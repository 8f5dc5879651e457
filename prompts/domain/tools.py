"""Tools that a model is offered, and which of them it may call."""

from typing import Any, Literal, TypeAlias

from msgspec import Struct


class FunctionTool(Struct, frozen=True, tag_field="type", tag="function", kw_only=True):
    """A function that the client can call for the model; `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionChoice(Struct, frozen=True, tag_field="type", tag="function"):
    """This function and no other."""

    name: str


ToolMode: TypeAlias = Literal["none", "auto", "required"]


class AllowedTools(Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    """Only these of the tools."""

    tools: list[FunctionChoice]
    mode: ToolMode = "auto"


ToolChoice: TypeAlias = ToolMode | FunctionChoice | AllowedTools
