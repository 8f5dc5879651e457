"""Requests generated from our OpenAPI document, and what every answer must keep to."""

import time
import traceback
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, BaseSchema, Case, GenerationMode, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure, FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from prompts.api.openapi.document import IDEMPOTENCY_KEY
from tests.support.oracle import check_error, check_events, check_object, read_frames
from tests.support.service import Service

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
AnyCase: TypeAlias = Case[Any]

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# How many ids of a kind are remembered. Older ones may have been deleted.
KNOWN = 6
# New objects are created after this many cases: the earlier ones may be deleted by then.
PLANT_EVERY = 25
# The limit of one answer.
LIMIT_S = 30.0

# The campaign always sends a key; another test sends none.
# Streams are read to the end; the longest here has a few hundred events.
CONFIG = schemathesis.Config.from_dict(
    {
        "generation": {"with-security-parameters": False},
        "max-stream-events": 10_000,
        "checks": {"negative_data_rejection": {"expected-statuses": [400, 404, 405, 409, 413, 422]}},
    }
)
# Where the service accepts a little more than the document: a part without `type` where only one type is possible,
# and null in a query for a missing value. Schemathesis takes an object of which nothing is required for a wrong type.
LENIENT = (
    "summary -> Array with invalid items: Missing required property: type",
    "after: Incorrect type",
    "parameter `version` in query - incorrect type",
    "expires_after: Incorrect type",
)


RELAYED = ("/chat/completions", "/embeddings")


def load_document(service: Service) -> BaseSchema:
    """The OpenAPI document as it is served."""
    return schemathesis.openapi.from_url(f"{service.api_url}/openapi.json", config=CONFIG)


def operations(document: BaseSchema) -> Iterator[Operation]:
    """Every operation of the document."""
    for found in document.get_all_operations():
        assert isinstance(found, Ok), found
        yield found.ok()


@dataclass
class Campaign:
    """Sends cases as Alice, puts existing ids into most of them, and records every broken promise."""

    document: BaseSchema
    service: Service
    session: requests.Session
    statuses: Counter[int] = field(default_factory=Counter)
    accepted: Counter[GenerationMode] = field(default_factory=Counter)
    """How many fitting and unfitting requests got a 2xx."""
    sent: Counter[GenerationMode] = field(default_factory=Counter)
    reached: set[str] = field(default_factory=set)
    """The operations that did what they are for at least once."""
    broken: dict[tuple[str, str], str] = field(default_factory=dict)
    """The first of each kind and operation: what was asked and what came."""
    _conversations: deque[str] = field(default_factory=lambda: deque(maxlen=KNOWN))
    _items: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=KNOWN))
    _responses: deque[str] = field(default_factory=lambda: deque(maxlen=KNOWN))
    _files: deque[str] = field(default_factory=lambda: deque(maxlen=KNOWN))
    _shelves: deque[tuple[str, str, str]] = field(default_factory=lambda: deque(maxlen=KNOWN))
    """Vector stores, each with a file that is indexed and a batch."""
    _prompts: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=KNOWN))
    """Templates, each with its latest version."""

    @property
    def cases(self) -> int:
        """The number of cases sent."""
        return self.sent.total()

    def cover(self, operation: Operation, *, limit: int | None = None) -> None:
        """Every bound, every missing and every superfluous field, one at a time; `limit` is how many at most."""
        cases = self.document.iter_coverage_cases(
            operation, generation_modes=list(GenerationMode), generation_config=self.document.config.generation
        )
        for number, case in enumerate(islice(cases, limit)):
            self._send(case, number)

    def fuzz(self, operation: Operation, mode: GenerationMode, *, examples: int, seed_number: int) -> None:
        """This many random requests, about objects of which the newest are there."""
        self._plant()

        @seed(seed_number)
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), number=st.integers(0, 10_000))
        def send(case: AnyCase, number: int) -> None:
            self._send(case, number)

        with suppress(Unsatisfiable):  # an operation without parameters has nothing that could be wrong
            send()

    def _send(self, case: AnyCase, number: int) -> None:
        if self.cases % PLANT_EVERY == 0:
            self._plant()
        self._aim(case, number)
        if number % 2:
            drop_cursors(case)
        answer = case.call(session=self.session, timeout=LIMIT_S)
        assert case.meta is not None
        mode = case.meta.generation.mode
        self.sent[mode] += 1
        self.statuses[answer.status_code] += 1
        if answer.status_code < 300:
            self.accepted[mode] += 1
            self.reached.add(case.operation.label)
        self._judge(case, answer)
        self._learn(answer)

    def _judge(self, case: AnyCase, answer: Response) -> None:
        try:
            check_promises(answer)
        except (AssertionError, ValueError, LookupError) as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            self._note(case, answer, type(error).__name__, f"{place.line}: {error}")
        try:
            case.validate_response(answer, checks=CHECKS)
        except (FailureGroup, Failure) as failures:
            for failure in getattr(failures, "exceptions", [failures]):
                if is_relayed(answer) and answer.status_code >= 400:
                    continue  # a refusal of the model's server comes as it is
                if not (isinstance(failure, AcceptedNegativeData) and is_lenient(answer, str(failure))):
                    self._note(case, answer, type(failure).__name__, str(failure))

    def _note(self, case: AnyCase, answer: Response, kind: str, reason: str) -> None:
        told = f"{reason[:1_000]}\n{case.as_curl_command()[:2_000]}\n{answer.status_code}: {answer.text[:1_000]}"
        self.broken.setdefault((case.operation.label, kind), told)

    def _plant(self) -> None:
        """Create a conversation with items, a response with feedback, a file in a vector store, and a template."""
        url = self.service.api_url
        items = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello yourself"}]
        conversation_id = self.session.post(f"{url}/conversations", json={"items": items}).json()["id"]
        listed = self.session.get(f"{url}/conversations/{conversation_id}/items").json()
        self._conversations.append(conversation_id)
        self._items.extend((conversation_id, item["id"]) for item in listed["data"])
        response_id = self.session.post(f"{url}/responses", json={"input": "Hello"}).json()["id"]
        self.session.put(f"{url}/responses/{response_id}/feedback", json={"score": 1}).raise_for_status()
        self._responses.append(response_id)
        form, fields = {"file": ("a.txt", b"Hello")}, {"purpose": "assistants"}
        file_id = self.session.post(f"{url}/files", files=form, data=fields).json()["id"]
        self._files.append(file_id)
        self._plant_shelf(file_id)
        prompt_id = self.session.post(f"{url}/prompts", json={"prompt": "Be brief."}).json()["id"]
        self._prompts.append((prompt_id, 1))

    def _plant_shelf(self, file_id: str) -> None:
        """Create a vector store with this file, indexed."""
        url = f"{self.service.api_url}/vector_stores"
        store_id = self.session.post(url, json={}).json()["id"]
        batch = f"{url}/{store_id}/file_batches"
        batch_id = self.session.post(batch, json={"file_ids": [file_id]}).json()["id"]
        deadline = time.monotonic() + LIMIT_S
        while self.session.get(f"{batch}/{batch_id}").json()["status"] == "in_progress":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self._shelves.append((store_id, file_id, batch_id))

    def _learn(self, answer: Response) -> None:
        """Remember ids that later requests may use."""
        if answer.status_code != 200 or not is_json(answer):
            return
        match answer.json():
            case {"object": "conversation", "id": str(found)}:
                self._conversations.append(found)
            case {"object": "response", "id": str(found), "status": str()}:
                self._responses.append(found)
            case {"object": "file", "id": str(found), "status": str()}:
                self._files.append(found)
            case {"object": "prompt", "id": str(found), "latest_version": int(latest)}:
                self._prompts.append((found, latest))

    def _aim(self, case: AnyCase, number: int) -> None:
        """Put existing ids into three of four requests, so that more of them reach the store."""
        if case.headers.get("Idempotency-Key") == IDEMPOTENCY_KEY.example:
            del case.headers["Idempotency-Key"]  # one key for many bodies would be refused
        if number % 4 == 0:
            return
        conversation_id, item_id = self._items[number % len(self._items)]
        if number % 3:
            conversation_id = self._conversations[number % len(self._conversations)]
        response_id = self._responses[number % len(self._responses)]
        file_id = self._files[number % len(self._files)]
        shelf = self._shelves[number % len(self._shelves)]
        prompt_id, latest = self._prompts[number % len(self._prompts)]
        if fits(case, ParameterLocation.PATH):
            known = {"conversation_id": conversation_id, "item_id": item_id, "response_id": response_id}
            known["prompt_id"] = prompt_id
            known["vector_store_id"], shelved, known["batch_id"] = shelf
            known["file_id"] = shelved if "vector_store_id" in case.path_parameters else file_id
            for name in case.path_parameters:
                case.path_parameters[name] = known.get(name, "stand-in")
        if isinstance(case.body, dict) and fits(case, ParameterLocation.BODY):
            references = {"conversation": conversation_id, "previous_response_id": response_id}
            references |= {"before": item_id, "after": item_id, "file_id": file_id}
            if isinstance(case.body.get("file_ids"), list):
                case.body = {**case.body, "file_ids": [file_id]}
            case.body = refer(case.body, references, one_only=number % 2 == 0)
            case.body = name_prompt(case.body, prompt_id, latest)


def name_prompt(body: dict[str, Any], prompt_id: str, latest: int) -> dict[str, Any]:
    """The body with an existing template, which has no variables, or with its latest version."""
    named = {"version": latest, "prompt": {"id": prompt_id}}
    return {name: named.get(name, value) if isinstance(value, dict | int) else value for name, value in body.items()}


def drop_cursors(case: AnyCase) -> None:
    """List from the beginning, and take the default: nobody has the object that a made-up cursor or version names."""
    if fits(case, ParameterLocation.QUERY):
        for cursor in ("after", "before", "version"):
            case.query.pop(cursor, None)


def refer(body: dict[str, Any], references: dict[str, str], *, one_only: bool) -> dict[str, Any]:
    """The body with existing ids in its id fields; of fields that exclude each other only one is kept."""
    referred = {name: references.get(name, value) if isinstance(value, str) else value for name, value in body.items()}
    for name, other in (("conversation", "previous_response_id"), ("before", "after")):
        if one_only and isinstance(referred.get(name), str):
            referred.pop(other, None)
    return referred


def fits(case: AnyCase, place: ParameterLocation) -> bool:
    """Whether the document allows this part of the request."""
    assert case.meta is not None
    part = case.meta.components.get(place)
    return part is not None and part.mode is GenerationMode.POSITIVE


def is_lenient(answer: Response, reason: str) -> bool:
    """Whether an accepted request is one of `LENIENT`, or white space where a body may be left out."""
    if str(answer.request.headers.get("content-type", "")).startswith("multipart/"):
        return True  # values of a form have no types: what is wrong as JSON may be right there
    body = answer.request.body
    return any(known in reason for known in LENIENT) or (isinstance(body, bytes | str) and not body.strip())


def is_relayed(answer: Response) -> bool:
    """Whether the model's server may have answered."""
    return str(answer.request.url).endswith(RELAYED)


def is_json(answer: Response) -> bool:
    """Whether the content type is JSON."""
    return answer.headers["content-type"][0].startswith("application/json")


def check_promises(answer: Response) -> None:
    """What must hold for every answer, whatever the document says."""
    assert answer.status_code < 500, "a failure of ours"
    assert answer.headers["x-request-id"][0], "no x-request-id"
    assert "set-cookie" not in answer.headers
    if answer.status_code >= 400:
        assert is_json(answer), "a refusal that is no JSON"
        if not is_relayed(answer):  # the model's server has its own words
            check_error(answer.json())
    elif is_json(answer):
        check_object(answer.json(), status=answer.status_code)
    elif answer.content.startswith(b"event: "):  # ours, and not the model server's own
        events = read_frames(answer.content)
        if events and events[0]["sequence_number"] == 0:
            check_events(events)
