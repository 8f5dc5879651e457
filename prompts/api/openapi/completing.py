"""Completes the OpenAPI document: answers that were recorded, errors with what to do, and the shapes of the events."""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import msgspec
from dmr.openapi.mappers.schema_loader import load_schema
from dmr.openapi.objects import Components, Example, MediaType, Operation, PathItem, Reference, Response, Schema
from dmr.openapi.openapi import OpenAPI
from dmr.types import EMPTY

from prompts.api.errors import render_error
from prompts.api.openapi.document import LIMIT_HEADERS
from prompts.api.openapi.events import EVENT_TYPES, StreamEvent
from prompts.api.openapi.recorded import Recorded, read_recorded
from prompts.api.openapi.refusals import REFUSALS, Place, Refusal, list_refusals
from prompts.api.openapi.schemas import WireSchemas

_JSON = "application/json"
_METHODS = ("get", "post", "put", "delete")


def complete_document(document: OpenAPI) -> OpenAPI:
    """The document, which is changed in place."""
    assert document.components is not None
    recorded = read_recorded()
    _add_events(document.components, recorded)
    document.components.headers = {**LIMIT_HEADERS}
    document.components.examples = {each.code: _show_refusal(each) for each in REFUSALS}
    for path, operation in list_operations(document):
        _tell_summary(operation)
        _add_answers(operation, recorded)
        _add_refusals(operation, path)
    return document


def list_operations(document: OpenAPI) -> Iterator[tuple[str, Operation]]:
    """Path and operation."""
    for path, item in (document.paths or {}).items():
        assert isinstance(item, PathItem)
        yield from ((path, each) for method in _METHODS if (each := getattr(item, method)) is not None)


def _add_events(components: Components, recorded: Recorded) -> None:
    """What `contentSchema` of a stream names, and what that names in turn."""
    union, below = WireSchemas.get_schema(StreamEvent, "#/components/schemas/", used_for_response=True)
    schemas = components.schemas or {}
    loaded = {name: load_schema(each) for name, each in below.items() if name not in schemas}
    for kind, example in recorded.events.items():
        loaded[EVENT_TYPES[kind].__name__].examples = [example]
    named: Schema = load_schema({"title": "StreamEvent", "oneOf": union["anyOf"], **_EVENT_WORDS})
    components.schemas = dict(sorted({**schemas, **loaded, "StreamEvent": named}.items()))


_EVENT_WORDS = {
    "description": "An event of a response: the `data` of a frame of the stream.",
    "discriminator": {"propertyName": "type"},
}


def _tell_summary(operation: Operation) -> None:
    """A summary is shown as it is, so that its Markdown goes into the description."""
    if operation.summary is not None and "`" in operation.summary:
        operation.description = "\n\n".join(filter(None, (operation.summary, operation.description)))
        operation.summary = operation.summary.replace("`", "")


def _add_answers(operation: Operation, recorded: Recorded) -> None:
    for name, (content_type, body) in recorded.answers.get(operation.operation_id or "", {}).items():
        content = _get_content(operation, "200")
        place = content_type if content_type in content else "*/*"
        example = Example(summary=_in_words(name), value=body)
        _show(content, place, {**(content[place].examples or {}), name: example})


def _get_content(operation: Operation, status: str) -> dict[str, MediaType]:
    response = (operation.responses or {})[status]
    assert isinstance(response, Response)
    return cast(dict[str, MediaType], response.content)


def _show(content: dict[str, MediaType], place: str, examples: dict[str, Example | Reference]) -> None:
    """Put the examples in place of the ones that are there. Operations may share a content type: it is copied."""
    content[place] = replace(content[place], example=EMPTY, examples=examples)


def _in_words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def get_place(operation: Operation, path: str) -> Place:
    """What decides on the errors of an operation."""
    return Place(
        operation_id=operation.operation_id or "",
        path=path,
        has_body=operation.request_body is not None,
        asks_model="502" in (operation.responses or {}),
    )


def _add_refusals(operation: Operation, path: str) -> None:
    for status in operation.responses or {}:
        if status >= "400":
            named = list_refusals(int(status), get_place(operation, path))
            examples = {each.code: Reference(ref=f"#/components/examples/{each.code}") for each in named}
            _show(_get_content(operation, status), _JSON, {**examples})


def _show_refusal(refusal: Refusal) -> Example:
    return Example(
        summary=f"{refusal.shown.status} {refusal.code}",
        description=f"{refusal.when} {refusal.remedy}",
        value=msgspec.json.decode(render_error(refusal.shown).content),
    )
