"""What the API page shows is what a service really does: each request, answer, event and error of the document."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from prompts.api.openapi.recorded import read_recorded
from prompts.api.openapi.refusals import REFUSALS, Refusal
from tests.recording.answers import Answers, list_operations, record_answers
from tests.recording.events import QUIET_SETTINGS, record_events
from tests.recording.plain import draw_shape
from tests.recording.refusals import REFUSE, SHOWN_ELSEWHERE
from tests.recording.world import World
from tests.support.processes import REPO_ROOT
from tests.support.refusals import check_refusal
from tests.support.servers import Replica
from tests.support.service import Service, manage
from tests.support.turns import open_client

RECORDED = read_recorded()
KEY = "eps-test-key-of-examples-0123456789"
VALUE = re.compile(r"'[^']*'|\d[\d,.]*(?: MB)?")


@pytest.fixture(scope="module")
def key(service: Service) -> str:
    """Of an owner who has nothing yet, so that a listing holds what the example made."""
    manage(service.environment, "create_api_key", "examples", "--key", KEY)
    return KEY


@pytest.fixture(scope="module")
def quiet(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica of the service that soon says that a silent stream is alive, and asks for summaries of thoughts."""
    with Replica(tmp_path_factory.mktemp("quiet"), {**service.environment, **QUIET_SETTINGS}) as replica:
        yield replica


@pytest.fixture
async def newcomer(http: httpx.AsyncClient, key: str) -> httpx.AsyncClient:
    """The client with the newcomer's key."""
    http.headers["Authorization"] = f"Bearer {key}"
    return http


async def test_every_request_that_is_shown_is_answered_as_shown(newcomer: httpx.AsyncClient) -> None:
    document = (await newcomer.get("/v1/openapi.json")).json()
    answered = await record_answers(newcomer, document)
    assert {*answered} == {operation["operationId"] for _, _, operation in list_operations(document)}
    shown = {name: draw_answers(each) for name, each in told(RECORDED.answers).items()}
    differing = {name: each for name, each in answered.items() if draw_answers(each) != shown[name]}
    assert not differing, f"They answer otherwise. `make examples` records it, if that is meant: {differing}"


def told(answers: dict[str, dict[str, tuple[str, Any]]]) -> Answers:
    """As they are recorded."""
    return {
        operation: {name: {"content_type": kind, "body": body} for name, (kind, body) in named.items()}
        for operation, named in answers.items()
    }


def draw_answers(answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Name of the example → content type and shape."""
    return {name: (answer["content_type"], draw_shape(answer["body"])) for name, answer in answers.items()}


async def test_every_event_is_really_sent_as_shown(http: httpx.AsyncClient, quiet: Replica) -> None:
    async with open_client(http, quiet) as quiet_http:
        sent = await record_events(http, quiet_http)
    assert {*sent} == {*RECORDED.events}
    for kind, event in sent.items():
        assert draw_shape(event) == draw_shape(RECORDED.events[kind]), kind


@pytest.mark.parametrize("refusal", [each for each in REFUSALS if each.code in REFUSE], ids=lambda each: each.code)
async def test_every_error_comes_as_shown(http: httpx.AsyncClient, refusal: Refusal) -> None:
    http.event_hooks = {}  # some are refused before there is a request to speak of
    answer = await REFUSE[refusal.code](World(http, "createResponse"))
    error = check_refusal(answer, status=refusal.shown.status, code=refusal.code)
    assert error["type"] == refusal.shown.type
    if refusal.code != "rate_limit_exceeded":  # of the model's server, which has other words
        assert VALUE.sub("…", error["message"]) == VALUE.sub("…", refusal.shown.message)
        assert (error["param"] is None) == (refusal.shown.param is None)


def test_what_takes_a_loss_is_seen_by_another_test() -> None:
    assert sorted([*REFUSE, *SHOWN_ELSEWHERE]) == sorted(refusal.code for refusal in REFUSALS)
    errors = {refusal.code: type(refusal.shown).__name__ for refusal in REFUSALS}
    for code, place in SHOWN_ELSEWHERE.items():
        assert re.search(rf"\b({code}|{errors[code]})\b", (REPO_ROOT / place).read_text("utf-8")), (code, place)
