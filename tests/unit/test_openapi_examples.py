"""What the API page shows: an example for each answer, event and error, and each of them is true to its schema."""

import ast
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from prompts.api.openapi.events import EVENT_TYPES
from prompts.api.openapi.recorded import read_recorded
from prompts.api.openapi.refusals import REFUSALS, Refusal
from prompts.api.urls import schema
from prompts.errors import NotFound, ServiceError
from tests.recording.answers import QUERIES, list_bodies, list_operations
from tests.recording.refusals import SHOWN_ELSEWHERE
from tests.support.oracle import read_frame
from tests.support.processes import REPO_ROOT

RECORDED = read_recorded()
DOCUMENT = schema.convert()
OPERATIONS = [operation for _, _, operation in list_operations(DOCUMENT)]
HOW = "`make examples` records what is new"


@cache
def compile_schema(schema: str) -> Draft202012Validator:
    """Of a schema, as JSON, that refers to components of the document."""
    return Draft202012Validator({**json.loads(schema), "components": DOCUMENT["components"]})


def validator_of(name: str) -> Draft202012Validator:
    """Of a component of the document."""
    return compile_schema(json.dumps({"$ref": f"#/components/schemas/{name}"}))


def name_of(operation: dict[str, Any]) -> str:
    return str(operation["operationId"])


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_each_request_that_is_shown_has_the_answer_it_got(operation: dict[str, Any]) -> None:
    wanted = {*QUERIES.get(name_of(operation), list_bodies(operation))}
    assert {*RECORDED.answers.get(name_of(operation), {})} == wanted, HOW


def test_no_answer_is_left_of_what_is_gone() -> None:
    assert {*RECORDED.answers} == {*map(name_of, OPERATIONS)}, HOW


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_an_answer_is_shown_and_fits_its_schema(operation: dict[str, Any]) -> None:
    shown = operation["responses"]["200"]["content"]
    for name, (content_type, body) in RECORDED.answers[name_of(operation)].items():
        content = shown.get(content_type) or shown["*/*"]
        assert content["examples"][name]["value"] == body
        if content_type == "application/json":
            compile_schema(json.dumps(content["schema"])).validate(body)
        elif content_type == "text/event-stream" and body.startswith("event: "):
            for frame in body.split("\n\n")[:-2]:
                check_event(read_frame(frame.encode()))


def check_event(event: dict[str, Any]) -> None:
    """The event has the keys of its shape and no other, and fits it."""
    struct = EVENT_TYPES[event["type"]]
    validator_of(struct.__name__).validate(event)
    validator_of("StreamEvent").validate(event)
    optional = {"obfuscation"}
    assert {*event} == {*DOCUMENT["components"]["schemas"][struct.__name__]["properties"]} - optional


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_an_event_has_an_example_and_a_sentence(kind: str) -> None:
    assert kind in RECORDED.events, HOW
    check_event(RECORDED.events[kind])
    description = DOCUMENT["components"]["schemas"][EVENT_TYPES[kind].__name__]["description"]
    assert description.endswith((".", "`."))


def list_codes(error: type[ServiceError] = ServiceError) -> set[str]:
    """The code of every error; a missing object's are where it is raised."""
    below = {code for each in error.__subclasses__() for code in list_codes(each)}
    return below | ({error.code} if error not in (NotFound, ServiceError) else set())


def list_absences() -> set[str]:
    sources = [path.read_text("utf-8") for path in REPO_ROOT.glob("prompts/**/*.py")]
    return {*re.findall(r'code="(\w+)"', "".join(sources))}


def test_every_error_has_its_example_and_says_what_to_do() -> None:
    assert sorted(each.code for each in REFUSALS) == sorted(list_codes() | list_absences())
    shown = DOCUMENT["components"]["examples"]
    for refusal in REFUSALS:
        example = shown[refusal.code]
        validator_of("ErrorEnvelope").validate(example["value"])
        assert example["value"]["error"]["code"] == refusal.code
        assert refusal.when.endswith(".")
        assert refusal.remedy.endswith(".")


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_each_status_of_an_operation_shows_its_errors(operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        if status >= "400":
            named = answer["content"]["application/json"]["examples"]
            assert named, f"{status}: no row of prompts/api/openapi/refusals.py is for it"
            assert {each["$ref"].rpartition("/")[2] for each in named.values()} == {*named}


def test_an_error_is_shown_somewhere_unless_no_operation_is_reached() -> None:
    shown = {
        code
        for operation in OPERATIONS
        for answer in operation["responses"].values()
        for code in answer["content"].get("application/json", {}).get("examples", {})
    }
    assert {each.code for each in REFUSALS} - shown == {
        *("method_not_allowed", "request_timeout", "headers_too_large", "websockets_off"),
        *("signed_out", "forged_request"),  # of the page
        *("unsupported_parameter", "invalid_stream_id", "websocket_stream_limit_reached", "too_many_websockets"),
        *("websocket_connection_limit_reached", "websocket_queue_full"),
    }


@cache
def list_sentences() -> Sequence[re.Pattern[str]]:
    """Each text once: reading them takes seconds."""
    return list({pattern.pattern: pattern for pattern in read_sentences()}.values())


def read_sentences() -> Iterator[re.Pattern[str]]:
    """Every text of the code that could be a message; what is filled in may be anything."""
    for path in (*REPO_ROOT.glob("prompts/**/*.py"), *REPO_ROOT.glob("config/**/*.py")):
        if "openapi" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            texts = [str(each.value) if isinstance(each, ast.Constant) else None for each in parts]
            if sum(len(text or "") for text in texts) > 20:
                yield re.compile(".+".join(re.escape(text) if text else "" for text in texts) or "-", re.DOTALL)


@pytest.mark.parametrize(
    "refusal", [each for each in REFUSALS if each.code in SHOWN_ELSEWHERE], ids=lambda refusal: refusal.code
)
def test_what_no_example_provokes_is_said_in_the_words_of_the_code(refusal: Refusal) -> None:
    said = re.sub(r" Please try again in \d+ s\.$", "", refusal.shown.message)  # added to each that may be tried again
    assert any(pattern.fullmatch(said) for pattern in list_sentences()), said
