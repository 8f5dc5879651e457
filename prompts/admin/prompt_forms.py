"""How staff write a version: a form, and the variables as lines that a person reads.

name                                a text, an image or a file
place: enum(Bergen, Berlin) = Bergen    # where the shop is
amount: number = 10
photo: image
"""

import re
from typing import Any, cast, get_args

from django import forms
from django.core.exceptions import ValidationError
from typing_extensions import override

from prompts.domain.prompts import EVERYBODY, Knowledge, Parameters, PromptContent, Variable, VariableType
from prompts.domain.text import ReasoningConfig
from prompts.errors import InvalidRequest
from prompts.models import Prompt
from prompts.prompt_rows import find_content
from prompts.usecases.prompt_rules import (
    MAX_DESCRIPTION_CHARACTERS,
    MAX_STORES,
    MAX_TEXT_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    MAX_VARIABLES,
    check_content,
)

_LINE = re.compile(
    r"(?P<name>\w+)\s*"
    r"(?::\s*(?P<type>\w+)\s*(?:\((?P<values>[^)]*)\))?\s*)?"
    r"(?:=(?P<default>.*?))?"
    r"(?:\s#\s*(?P<description>.*))?"
)
# Where a rule says that something is wrong, and the field of the form.
_FIELDS = {"prompt": "text", "variables": "variables", "knowledge": "vector_stores"}


def read_variables(lines: str) -> list[Variable]:
    """The variables of some lines. Raises ValidationError that names the line."""
    found = [line.strip() for line in lines.splitlines()]
    return [_read_line(line, number) for number, line in enumerate(found, 1) if line]


def write_variables(variables: list[Variable]) -> str:
    """The same as lines."""
    return "\n".join(map(_write_line, variables))


def _read_line(line: str, number: int) -> Variable:
    found = _LINE.fullmatch(line)
    if found is None:
        message = f"Line {number} is no variable: '{line[:80]}'. Write: name: type = default # description"
        raise ValidationError(message)
    kind = found["type"] or "any"
    if kind not in get_args(VariableType):
        message = f"Line {number}: '{kind}' is no type. Write one of {', '.join(get_args(VariableType))}."
        raise ValidationError(message)
    values = [value.strip() for value in (found["values"] or "").split(",") if value.strip()]
    default, description = found["default"], found["description"]
    too_long = max(map(len, [default or "", *values])) > MAX_VALUE_CHARACTERS
    if too_long or len(description or "") > MAX_DESCRIPTION_CHARACTERS:
        raise ValidationError(f"Line {number} is too long.")
    return Variable(
        name=found["name"],
        type=cast(VariableType, kind),
        default=None if default is None else default.strip(),
        values=values,
        description=description or None,
    )


def _write_line(variable: Variable) -> str:
    values = f"({', '.join(variable.values)})" if variable.values else ""
    kind = "" if variable.type == "any" else f": {variable.type}{values}"
    default = "" if variable.default is None else f" = {variable.default}"
    described = f" # {variable.description}" if variable.description else ""
    return f"{variable.name}{kind}{default}{described}"


class VersionForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A template's name and what its next version says; it begins with what the latest says."""

    text = forms.CharField(
        max_length=MAX_TEXT_CHARACTERS,
        strip=False,
        widget=forms.Textarea({"rows": 14, "class": "vLargeTextField", "spellcheck": "true"}),
        help_text="Instructions that stand before everything else. {{name}} is the place of a variable.",
    )
    variables = forms.CharField(
        required=False,
        widget=forms.Textarea({"rows": 5, "class": "vLargeTextField", "spellcheck": "false"}),
        help_text=(
            "One a line: name: type = default # description. Types: any (the default), string, number, "
            "enum(one, another), image, file."
        ),
    )
    model = forms.CharField(required=False, max_length=256, help_text="Empty: the server's default.")
    temperature = forms.FloatField(required=False, min_value=0, max_value=2)
    top_p = forms.FloatField(required=False, min_value=0, max_value=1)
    max_output_tokens = forms.IntegerField(required=False, min_value=16, max_value=2**31)
    reasoning_effort = forms.CharField(required=False, max_length=64, help_text="low, medium, high …")
    vector_stores = forms.CharField(
        required=False, max_length=2_000, help_text="Ids (vs_…) that answers search, separated by blanks."
    )
    stores_owner = forms.CharField(
        required=False,
        max_length=100,
        help_text=(
            "Whose vector stores these are: with an owner here, everybody who uses the prompt may search them and sees "
            "the passages that are found. Empty: they are those of whoever asks."
        ),
    )
    search = forms.ChoiceField(
        choices=(("always", "always, before the model is asked"), ("auto", "when the model wants to")), required=False
    )
    follow_ups = forms.BooleanField(required=False, help_text="Suggest next questions as soon as an answer is there.")
    history_tokens = forms.IntegerField(
        required=False, min_value=0, max_value=100_000_000, help_text="Of the history; empty: as the server does."
    )
    becomes_default = forms.BooleanField(
        required=False,
        initial=True,
        label="A new version becomes the default",
        help_text="Turns that name no version use it from now on.",
    )
    default = forms.TypedChoiceField(
        coerce=int, required=False, empty_value=None, help_text="The version for turns that name none."
    )
    latest = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Prompt
        fields = ("name",)

    def __init__(self, *args: Any, initial: dict[str, Any] | None = None, **kwargs: Any) -> None:
        row: Prompt | None = kwargs.get("instance")
        self.content: PromptContent | None = None
        """What was written, when it is valid."""
        self.before: PromptContent | None = None
        """What the latest version says."""
        if row is not None:
            self.before = find_content(row, row.latest_number)
            of_row = {"latest": row.latest_number, "default": row.default_number}
            initial = {**_show(self.before), **of_row, **(initial or {})}
        super().__init__(*args, **{**kwargs, "initial": initial})
        if row is None:
            del self.fields["default"], self.fields["becomes_default"]
            return
        numbers = range(row.latest_number, 0, -1)
        cast(forms.ChoiceField, self.fields["default"]).choices = [(number, f"version {number}") for number in numbers]
        if row.owner != EVERYBODY:
            del self.fields["stores_owner"]  # an owner's prompt searches the owner's

    @override
    def clean(self) -> dict[str, Any]:
        """Check what the API checks, and that nobody else has made a version meanwhile."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            self._read(cleaned)
        return cleaned

    def clean_variables(self) -> list[Variable]:
        """The variables of the lines; as they were, where the lines are: a client's may hold what no line can."""
        lines = self.cleaned_data["variables"].replace("\r\n", "\n")
        if self.before and lines.strip() == write_variables(self.before.variables).strip():
            return self.before.variables
        variables = read_variables(lines)
        if len(variables) > MAX_VARIABLES:
            raise ValidationError(f"There are more than {MAX_VARIABLES} variables.")
        return variables

    def clean_vector_stores(self) -> list[str]:
        """The ids."""
        stores = [*dict.fromkeys(self.cleaned_data["vector_stores"].replace(",", " ").split())]
        if len(stores) > MAX_STORES:
            raise ValidationError(f"There are more than {MAX_STORES} vector stores.")
        return stores

    def clean_latest(self) -> int | None:
        """The version that this form began with, which must still be the latest."""
        latest: int | None = self.cleaned_data["latest"]
        if self.instance.pk and latest != self.instance.latest_number:
            message = f"Somebody has made version {self.instance.latest_number} meanwhile. Open the prompt again."
            raise ValidationError(message)
        return latest

    @property
    def is_new_version(self) -> bool:
        """Whether more was changed than the name."""
        return self.content != self.before

    def _read(self, cleaned: dict[str, Any]) -> None:
        content = _read_content(cleaned, self.before)
        try:
            check_content(content)
        except InvalidRequest as error:
            field = _FIELDS.get((error.param or "").partition("[")[0].partition(".")[0])
            self.add_error(field, error.message.partition(": ")[2] or error.message)
        else:
            self.content = content


def _read_content(cleaned: dict[str, Any], before: PromptContent | None) -> PromptContent:
    """What the fields say; what a client has said that the form does not show stays."""
    stores = cleaned["vector_stores"]
    kept = before.parameters if before else Parameters()
    effort = cleaned["reasoning_effort"] or None
    summary = kept.reasoning.summary if kept.reasoning else None
    return PromptContent(
        text=cleaned["text"].replace("\r\n", "\n"),
        variables=cleaned["variables"],
        model=cleaned["model"] or None,
        parameters=Parameters(
            temperature=cleaned["temperature"],
            top_p=cleaned["top_p"],
            presence_penalty=kept.presence_penalty,
            frequency_penalty=kept.frequency_penalty,
            max_output_tokens=cleaned["max_output_tokens"],
            reasoning=ReasoningConfig(effort, summary) if effort or summary else None,
            text=kept.text,
        ),
        knowledge=Knowledge(
            vector_store_ids=stores,
            when="auto" if cleaned["search"] == "auto" else "always",
            owner=cleaned.get("stores_owner") or None,
        )
        if stores
        else None,
        follow_ups=cleaned["follow_ups"],
        history_tokens=cleaned["history_tokens"],
    )


def _show(content: PromptContent) -> dict[str, Any]:
    """The fields for a version."""
    knowledge, parameters = content.knowledge, content.parameters
    return {
        "text": content.text,
        "variables": write_variables(content.variables),
        "model": content.model or "",
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "max_output_tokens": parameters.max_output_tokens,
        "reasoning_effort": (parameters.reasoning and parameters.reasoning.effort) or "",
        "vector_stores": " ".join(knowledge.vector_store_ids) if knowledge else "",
        "stores_owner": (knowledge and knowledge.owner) or "",
        "search": knowledge.when if knowledge else "always",
        "follow_ups": content.follow_ups,
        "history_tokens": content.history_tokens,
    }
