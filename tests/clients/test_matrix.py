"""Clients of others, each with its own driver: turns that are remembered, tools, data, images, streams that are left.

A driver says what the client made of each step; what must come of it is here, the same for all.
"""

import base64
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest

from tests.clients.matrix.clients import CLIENTS, Client
from tests.clients.matrix.languages import LANGUAGES, InstallError, install
from tests.clients.scenario import (
    ALIAS,
    FIRST_ANSWER,
    MODEL,
    PIXEL,
    SECOND_ANSWER,
    UNKNOWN_MODEL,
    WORDS,
)
from tests.support.missing import give_up
from tests.support.processes import INHERITED_VARIABLES
from tests.support.servers import Replica
from tests.support.service import Service

# A driver takes 5 to 20 s; a step that waits for the slow answer to end takes far longer than this.
MAX_TALK_S = 90
pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

# Nobody is told that tests ran, and no list of prices is fetched.
QUIET = {
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}
IMAGE = base64.b64decode(PIXEL)
IMAGE_HASH = hashlib.sha256(IMAGE).hexdigest()[:8]
REFUSALS = {
    "unknown model": f"The model '{UNKNOWN_MODEL}' does not exist.",
    "wrong key": "Incorrect API key provided.",
}


class Line(NamedTuple):
    """What a driver reports of a step: what was said, or the error as the client shows it."""

    ok: bool
    detail: Any


class Report(NamedTuple):
    """All lines of a driver, and what it complained about."""

    lines: dict[str, Line]
    complaints: str


GetReport = Callable[[Client], Report]


@pytest.fixture(scope="module")
def server(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica that knows the model under a second name."""
    environment = {**service.environment, "MODEL_ALIASES": json.dumps({ALIAS: MODEL})}
    with Replica(tmp_path_factory.mktemp("replica"), environment) as replica:
        yield replica


@pytest.fixture(scope="module")
def get_report(service: Service, server: Replica) -> GetReport:
    """What a client's driver reports, run once for all of its steps. When it cannot be installed, CI fails."""

    @cache
    def get(client: Client) -> Report:
        try:
            folder = install(client)
        except InstallError as error:
            give_up(f"{client.folder} could not be installed: {error}")
        environment = {
            **{name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ},
            **QUIET,
            "PYTHONPATH": str(folder.parent),
            "BASE_URL": f"{server.url}/v1",
            "API_KEY": service.alice_key,
            "MODEL": MODEL,
            "WORDS": json.dumps(WORDS),
        }
        return run_driver([*LANGUAGES[client.language].start], cwd=str(folder), env=environment)

    return get


def run_driver(command: list[str], **options: Any) -> Report:
    """Run it to its end, or for as long as it may take; what it reported until then counts."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **options
    ) as process:
        try:
            printed, complaints = process.communicate(timeout=MAX_TALK_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, complaints = process.communicate()
    lines = {line["step"]: Line(line["ok"], line["detail"]) for line in map(json.loads, printed.splitlines())}
    return Report(lines, complaints.decode(errors="replace")[-3000:])


@pytest.mark.parametrize(
    ("client", "step"),
    [pytest.param(client, step, id=f"{client.folder}: {step}") for client in CLIENTS for step in client.steps],
)
def test_a_client_gets_what_it_asks_for(get_report: GetReport, client: Client, step: str) -> None:
    report = get_report(client)
    assert step in report.lines, report.complaints
    line = report.lines[step]
    if step in REFUSALS:
        assert not line.ok
        assert REFUSALS[step] in line.detail
        return
    assert line.ok, line.detail
    match step:
        case "data":
            assert line.detail.rstrip(".") == SECOND_ANSWER.rstrip(".")
        case "image":
            assert line.detail.startswith("I see 1 image and no files.")
            assert f"image/png, {len(IMAGE)} bytes, sha256 {IMAGE_HASH}" in line.detail
        case _ if step.endswith(", left"):
            assert line.detail == SECOND_ANSWER
        case _:
            assert line.detail == [FIRST_ANSWER, SECOND_ANSWER]
