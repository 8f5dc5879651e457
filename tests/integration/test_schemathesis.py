"""The OpenAPI document against the service: thousands of valid and invalid requests."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from schemathesis import BaseSchema, GenerationMode

from tests.support.oracle import check_error
from tests.support.schema_cases import Campaign, load_document, operations
from tests.support.servers import Replica
from tests.support.service import Service

CANCEL = "POST /v1/responses/{response_id}/cancel"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"}


@pytest.fixture(scope="module")
def strict(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service at a replica that refuses what the document does not name."""
    environment = {**service.environment, "STRICT_REQUESTS": "true"}
    with Replica(tmp_path_factory.mktemp("strict"), environment) as replica:
        yield replace(service, replica=replica)


@pytest.fixture(scope="module")
def document(strict: Service) -> BaseSchema:
    return load_document(strict)


@pytest.fixture
def session(strict: Service) -> Iterator[requests.Session]:
    """A connection of Alice's."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy
        session.headers["Authorization"] = f"Bearer {strict.alice_key}"
        yield session


def run(campaign: Campaign, *, examples: int, seed_number: int, bounds: int | None = None) -> None:
    """Every operation: its bounds, then random requests, as many valid as invalid; of bounds at most so many."""
    for operation in operations(campaign.document):
        campaign.cover(operation, limit=bounds)
        for mode in GenerationMode:
            campaign.fuzz(operation, mode, examples=examples, seed_number=seed_number)


def check(campaign: Campaign) -> None:
    """Check that no promise was broken, and that many valid requests were accepted."""
    told = [f"{label}: {kind}\n{what}" for (label, kind), what in campaign.broken.items()]
    assert not told, "\n\n".join(told)
    assert campaign.accepted[GenerationMode.POSITIVE] > campaign.sent[GenerationMode.POSITIVE] / 4, campaign.statuses
    # The stand-in ends long before a cancel can come.
    assert {operation.label for operation in operations(campaign.document)} - campaign.reached <= {CANCEL}


@pytest.mark.timeout(600)  # it is one test, of every operation
def test_the_service_keeps_to_its_document(strict: Service, document: BaseSchema, session: requests.Session) -> None:
    campaign = Campaign(document, strict, session)
    run(campaign, examples=3, seed_number=1, bounds=12)  # the same requests each time
    check(campaign)
    assert campaign.cases >= 500


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_the_service_keeps_to_its_document_at_length(
    strict: Service, document: BaseSchema, session: requests.Session
) -> None:
    seed_number = int(os.environ.get("SCHEMATHESIS_SEED") or secrets.randbelow(2**32))
    print(f"To do the same again: SCHEMATHESIS_SEED={seed_number}")  # noqa: T201 -- pytest shows it with a failure
    campaign = Campaign(document, strict, session)
    run(campaign, examples=600, seed_number=seed_number)
    check(campaign)
    assert campaign.cases >= 20_000


@pytest.mark.parametrize("key", [None, "Bearer ", "Bearer sk-nobodys", "Basic YTpi", "sk-alone"])
def test_without_a_valid_key_nothing_is_answered(strict: Service, document: BaseSchema, key: str | None) -> None:
    headers = {} if key is None else {"Authorization": key}
    for operation in operations(document):
        url = strict.url + operation.path.replace("{", "").replace("}", "")
        answer = requests.request(operation.method, url, headers=headers, json={"input": "Hello"}, timeout=30)
        assert answer.status_code == 401, operation.label
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        check_error(answer.json())


def test_a_method_that_the_document_does_not_name_is_refused(
    strict: Service, document: BaseSchema, session: requests.Session
) -> None:
    named: dict[str, set[str]] = {}
    for operation in operations(document):
        named.setdefault(operation.path, set()).add(operation.method.upper())
    for path, methods in named.items():
        for method in METHODS - methods:
            answer = session.request(method, strict.url + path.replace("{", "").replace("}", ""), timeout=30)
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["Allow"].split(", ")) == methods
            assert method == "HEAD" or answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-yaml"]
)
def test_a_body_of_another_content_type_is_refused(
    strict: Service, document: BaseSchema, session: requests.Session, kind: str
) -> None:
    for operation in operations(document):
        if not operation.body:
            continue
        url = strict.url + operation.path.replace("{", "").replace("}", "")
        answer = session.request(operation.method, url, data=b"{}", headers={"Content-Type": kind}, timeout=30)
        assert answer.status_code == 400, operation.label
        check_error(answer.json())
