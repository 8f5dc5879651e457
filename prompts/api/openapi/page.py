"""`/v1/docs`: the document for people. Beside Swagger UI it says what that cannot: events, errors, how to go on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from dmr.openapi.views import SwaggerView

from prompts.api.openapi.events import EVENT_TYPES
from prompts.api.openapi.refusals import REFUSALS, Refusal
from prompts.errors import ServiceError

_METHODS = ("get", "post", "put", "delete")
Document = dict[str, Any]


@dataclass(frozen=True)
class ShownOperation:
    """An operation in the list beside the page."""

    name: str
    tag: str
    method: str
    path: str
    summary: str


@dataclass(frozen=True)
class ShownEvent:
    """An event: its fields with their types, and an example as JSON."""

    kind: str
    sentence: SafeString
    fields: list[tuple[str, str]]
    example: str


@dataclass(frozen=True)
class ShownRefusal:
    """An error: when, what to do, and an example as JSON."""

    status: int
    code: str
    when: SafeString
    remedy: SafeString
    example: str


class ApiPage(SwaggerView):
    """The page. It needs no key: it shows nothing of anybody."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Render it from the document."""
        document = self.schema.convert(skip_validation=True)
        context = {
            "title": self.schema.info.title,
            "api_url": request.build_absolute_uri("/v1"),
            "model": settings.DEFAULT_MODEL,
            "schema": document,
            "tags": [(tag["name"], _list_operations(document, tag["name"])) for tag in document["tags"]],
            "events": [*list_events(document)],
            "refusals": [show_refusal(document, each) for each in REFUSALS],
            "stream_codes": list_stream_codes(),
        }
        return render(request, self.template_name, context, content_type=self.content_type)


def _list_operations(document: Document, tag: str) -> list[ShownOperation]:
    return [
        ShownOperation(operation["operationId"], tag, method, path, operation["summary"])
        for path, item in document["paths"].items()
        for method in _METHODS
        if (operation := item.get(method)) is not None and tag in operation["tags"]
    ]


def list_events(document: Document) -> Iterator[ShownEvent]:
    """Every event, in the order in which they come."""
    schemas = document["components"]["schemas"]
    for kind, struct in EVENT_TYPES.items():
        schema = schemas[struct.__name__]
        fields = [(name, _name_type(each)) for name, each in schema["properties"].items() if name != "type"]
        fields.sort(key=lambda each: each[0] != "sequence_number")
        yield ShownEvent(kind, mark_code(schema["description"]), fields, _write(schema["examples"][0]))


def show_refusal(document: Document, refusal: Refusal) -> ShownRefusal:
    """An error as the page has it."""
    example = document["components"]["examples"][refusal.code]["value"]
    return ShownRefusal(
        refusal.shown.status, refusal.code, mark_code(refusal.when), mark_code(refusal.remedy), _write(example)
    )


def mark_code(sentence: str) -> SafeString:
    """The sentence as HTML; what stands between backticks is code."""
    pieces = enumerate(sentence.split("`"))
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", each) if n % 2 else each,) for n, each in pieces)
    )


def list_stream_codes() -> list[tuple[str, list[str]]]:
    """The code of a failed response, and the errors that are told so: the specification's list has fewer words."""
    found: dict[str, list[str]] = {}
    for refusal in REFUSALS:
        if refusal.shown.status not in (401, 404, 405, 409, 410, 422):
            found.setdefault(type(refusal.shown).response_code, []).append(refusal.code)
    return sorted(found.items(), key=lambda each: each[0] == ServiceError.response_code)


def _name_type(schema: Document) -> str:
    """A type in a word: `string`, `Item[]`, `OutputText or Refusal`."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        names = [_name_type(each) for each in schema["anyOf"]]
        return " or ".join(names) if len(names) <= MAX_NAMED else "Item"
    inner = schema.get("items")
    return f"{_name_type(inner)}[]" if isinstance(inner, dict) else str(schema.get("type", "any"))


MAX_NAMED = 5


def _write(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
