"""A prompt as a turn would use it, with sample values: what the model would be given, without asking one.

The code of a turn fills it in (`prompts.usecases.prompting`), from a version or from what a form says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asgiref.sync import async_to_sync

from prompts.admin.version_diff import list_settings
from prompts.domain import ids
from prompts.domain.items import InputFile, InputImage, InputText, Item, Message
from prompts.domain.prompts import EVERYBODY, PromptContent, Variable, VariableValue
from prompts.errors import InvalidRequest
from prompts.history.model_input import compose_instructions
from prompts.ports.prompts import FoundPrompt, NoPrompts
from prompts.ports.responses import Claim
from prompts.usecases.ask import Ask, AskedPrompt
from prompts.usecases.prompting import apply_prompt

PARAM = "prompt.variables."
SAMPLE_INPUT = "Hello"
# Stand for what a turn would bring.
SAMPLES: Mapping[str, VariableValue] = {
    "image": InputImage(image_url="https://example.com/sample.png"),
    "file": InputFile(filename="sample.pdf", file_url="https://example.com/sample.pdf"),
}


@dataclass(frozen=True, slots=True)
class SampleField:
    """A variable, what was filled in for it, and what is wrong with that."""

    variable: Variable
    value: str
    error: str = ""

    @property
    def is_attachment(self) -> bool:
        """Whether a sample stands for it, so that there is nothing to fill in."""
        return self.variable.type in SAMPLES


@dataclass(frozen=True, slots=True)
class Shown:
    """One message: whose, and its parts in words."""

    role: str
    parts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """The fields to fill in, and the messages; none where something is wrong."""

    fields: Sequence[SampleField]
    said: str
    messages: Sequence[Shown] = ()
    settings: Sequence[tuple[str, str]] = ()
    error: str = ""


class OneVersion(NoPrompts):
    """`PublishedPrompts` that knows one version, whatever it is called."""

    def __init__(self, content: PromptContent) -> None:
        self._found = FoundPrompt(1, EVERYBODY, content)

    async def get(self, prompt_id: str, *, owner: str, number: int | None = None) -> FoundPrompt:
        """See `PublishedPrompts.get`."""
        return self._found


def preview(content: PromptContent, given: Mapping[str, str], said: str | None) -> Preview:
    """What a turn with these values would be; `given` is by the names of variables, and `said` what its user says.

    Without `said` nobody has filled in anything yet: samples stand where something is needed.
    """
    if said is None:
        given, said = (
            {variable.name: _find_sample(variable) for variable in content.variables} | dict(given),
            SAMPLE_INPUT,
        )
    ask = _compose_ask(content, given, said)
    try:
        filled = async_to_sync(apply_prompt)(ask, OneVersion(content))
    except InvalidRequest as error:
        name = (error.param or "").removeprefix(PARAM)
        fields = _list_fields(content, given, name, error.message)
        return Preview(fields, said, error="" if any(field.error for field in fields) else error.message)
    items = [*compose_instructions(filled.instructions), *filled.input]
    messages = [_show(item) for item in items if isinstance(item, Message)]
    settings = [(name, value) for name, value in list_settings(content) if value]
    return Preview(_list_fields(content, given), said, messages=messages, settings=settings)


def _compose_ask(content: PromptContent, given: Mapping[str, str], said: str) -> Ask:
    values = {variable.name: value for variable in content.variables if (value := _read(variable, given)) is not None}
    asked = AskedPrompt(ids.new_id(ids.PROMPT, ids.new_partition()), variables=values)
    user = Message(id="", status="completed", role="user", content=[InputText(said)])
    new_input: list[Item] = [user] if said else []
    return Ask(owner=EVERYBODY, input=new_input, claim=Claim(""), prompt=asked)


def _read(variable: Variable, given: Mapping[str, str]) -> VariableValue | None:
    """What is given for a variable; what is left empty has its default."""
    return SAMPLES.get(variable.type) or given.get(variable.name, "").replace("\r\n", "\n") or None


def _find_sample(variable: Variable) -> str:
    """Something that will do; nothing where the default will."""
    if variable.default is not None:
        return ""
    match variable.type:
        case "enum":
            return variable.values[0]
        case "number":
            return "1"
    return f"‹{variable.name}›"


def _list_fields(
    content: PromptContent, given: Mapping[str, str], wrong: str = "", error: str = ""
) -> list[SampleField]:
    return [
        SampleField(variable, given.get(variable.name, ""), error if variable.name == wrong else "")
        for variable in content.variables
    ]


def _show(message: Message) -> Shown:
    return Shown(message.role, [_show_part(part) for part in message.content])


def _show_part(part: object) -> str:
    match part:
        case InputText(text=text):
            return text
        case InputImage():
            return "[an image]"
        case InputFile():
            return "[a file]"
    return ""
