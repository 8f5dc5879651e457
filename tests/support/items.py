"""Items as a model gets them, without ids."""

from prompts.domain.items import (
    FunctionCall,
    FunctionCallOutput,
    GivenPart,
    InputText,
    Message,
    OutputText,
    Role,
)


def said(role: Role, text: str) -> Message:
    """A message with this text."""
    part = OutputText(text) if role == "assistant" else InputText(text)
    return Message(id="", status="completed", role=role, content=[part])


def called(call_id: str, name: str = "ping", arguments: str = "{}") -> FunctionCall:
    """A function call that the model made."""
    return FunctionCall(id="", status="completed", call_id=call_id, name=name, arguments=arguments)


def returned(call_id: str, output: str | list[GivenPart]) -> FunctionCallOutput:
    """The output of that call."""
    return FunctionCallOutput(id="", status="completed", call_id=call_id, output=output)
