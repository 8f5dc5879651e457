"""`manage.py probe_model` against the stand-in with each of its faults: a row for each probe, and no exception."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from prompts.adapters.openai.http_client import ModelServerClient
from prompts.adapters.openai.probing.probes import PROBES
from prompts.adapters.openai.probing.report import Limits, Report, probe_model
from prompts.adapters.openai.quirks import NO_QUIRKS
from tests.support.processes import REPO_ROOT, find_free_ports
from tests.support.raw_model import RawModelServer, Reply
from tests.support.servers import StandinServer
from tests.support.service import MAX_COMMAND_S, Service

LIMITS = Limits(probe_s=2, total_s=30)


@pytest.fixture
async def control(standin: StandinServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client for the stand-in's control endpoints; its faults are gone at the end."""
    async with httpx.AsyncClient(base_url=standin.url, timeout=30) as client:
        yield client
        await client.delete("/_control/defaults")


async def probe(base_url: str, model: str = "stand-in", limits: Limits = LIMITS) -> Report:
    """The report on a model of this server."""
    async with AsyncOpenAI(base_url=base_url, api_key="none", http_client=ModelServerClient()) as client:
        return await probe_model(client, model, NO_QUIRKS, limits)


async def test_a_good_server_can_everything(standin: StandinServer) -> None:
    report = await probe(standin.base_url)
    assert report.can_serve
    found = {name: finding.result for name, finding in report.findings.items()}
    assert found == {
        "a turn, chat_completions": "yes",
        "a turn, responses": "yes",
        "list of models": "yes",
        "usage in a stream": "yes",
        "tools": "yes",
        "parallel calls": "yes",
        "JSON schema": "yes",
        "JSON object": "yes",
        "continuing an answer": "open",
        "system messages": "yes",
        "a late system message": "yes",
        "thoughts": "none",
        "limit of tokens": "max_completion_tokens and max_tokens",
        "log probabilities": "yes",
        "images": "yes",
        "unknown model": "HTTP 404",
        "too long an input": "?",
    }
    assert report.settings == {"MODEL_PROTOCOL": "chat_completions"}


@pytest.mark.parametrize(
    ("faults", "row", "result"),
    [
        ({"no_usage": True}, "usage in a stream", "no"),
        ({"bad_json": True}, "tools", "broken"),
        ({"bad_json": True}, "JSON schema", "no"),
        ({"refuse": True}, "JSON object", "no"),
        ({"no_prefix": True}, "continuing an answer", "asked"),
        ({"echo_prefix": True}, "continuing an answer", "open"),
        ({"reason": "hm"}, "thoughts", "reasoning_content"),
        ({"finish": "length"}, "a turn, chat_completions", "yes"),
        ({"interleave": 1}, "parallel calls", "yes"),
        ({"token_s": 0.001, "tokens_at_once": 7}, "tools", "yes"),
    ],
)
async def test_a_fault_has_its_row(
    standin: StandinServer, control: httpx.AsyncClient, faults: dict[str, Any], row: str, result: str
) -> None:
    (await control.post("/_control/defaults", json=faults)).raise_for_status()
    report = await probe(standin.base_url)
    assert report.can_serve
    assert report.findings[row].result == result


@pytest.mark.parametrize(
    "faults",
    [
        {"status": 500},
        {"status": 401},
        {"status": 429, "retry_after": 9},
        {"headers_s": 30},
        {"first_token_s": 30},
        {"cut_after": 0},
        {"end_after": 0},
        {"silence_after": 0},
        {"garbage_after": 0},
        {"error_after": 0},
        {"failed_after": 1},
    ],
    ids=str,
)
@pytest.mark.long
async def test_a_server_that_answers_no_turn_cannot_serve(
    standin: StandinServer, control: httpx.AsyncClient, faults: dict[str, Any]
) -> None:
    (await control.post("/_control/defaults", json=faults)).raise_for_status()
    report = await probe(standin.base_url)
    assert not report.can_serve
    assert {finding.result for finding in report.findings.values()} == {"?"}
    assert all(finding.meaning for finding in report.findings.values())
    assert report.findings["tools"].meaning == "not asked: no turn was answered"


async def test_a_page_in_place_of_a_server() -> None:
    with RawModelServer() as server:
        server.models = Reply([b"<html>"], 200, {"content-type": "text/html"})
        server.play(Reply([b"<html>hi</html>"], 200, {"content-type": "text/html"}))
        report = await probe(server.base_url)
    assert not report.can_serve


async def test_a_model_that_is_not_there(standin: StandinServer) -> None:
    report = await probe(standin.base_url, "nobody-serves-this")
    assert not report.can_serve
    assert "model_not_found" in report.findings["a turn, chat_completions"].meaning


async def test_it_ends_in_time(standin: StandinServer, control: httpx.AsyncClient) -> None:
    (await control.post("/_control/defaults", json={"token_s": 0.02})).raise_for_status()
    report = await probe(standin.base_url, limits=Limits(probe_s=5, total_s=6))
    assert len(report.findings) == len(PROBES) + 2
    assert report.findings["too long an input"].meaning == "not asked: 6 s were over"


def run(service: Service, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    """The command with the service's settings and these changes."""
    environment = {**service.environment, "SECRET_KEY": "k" * 20 + "0123456789abcdefghij" * 2, **changes}
    command = [sys.executable, "manage.py", "probe_model", *arguments]
    return subprocess.run(
        command, cwd=REPO_ROOT, env=environment, capture_output=True, text=True, timeout=MAX_COMMAND_S, check=False
    )


def test_the_command_prints_the_table_and_the_settings(service: Service) -> None:
    done = run(service)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("stand-in at http://127.0.0.1:")
    assert "MODEL_PROTOCOL=chat_completions" in done.stdout
    assert all(name in done.stdout for name in PROBES)
    told = json.loads(run(service, "--json", "--model", "stand-in").stdout)
    assert told["findings"]["tools"]["result"] == "yes"


@pytest.mark.long
def test_the_command_fails_when_no_turn_is_answered(service: Service) -> None:
    nowhere = f"http://127.0.0.1:{find_free_ports(1)[0]}/v1"
    done = run(service, "--limit", "2", OPENAI_BASE_URL=nowhere)
    assert done.returncode == 1
    assert "Check OPENAI_BASE_URL" in done.stderr
    assert "upstream_error" in done.stdout
