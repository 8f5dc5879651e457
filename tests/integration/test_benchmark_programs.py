"""The load generator and the instant model of `make bench`, beside each other, with no server between."""

import json
from collections.abc import Iterator

import pytest

from benchmarks.contestants import CHAT_DELTA, CHAT_DONE, ModelServer
from benchmarks.load_client import BenchmarkError, Job, LoadClient, open_client

MESSAGE = {"role": "user", "content": ""}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    with ModelServer(tmp_path_factory.mktemp("model")) as server:
        yield server


@pytest.fixture(scope="module")
def client() -> Iterator[LoadClient]:
    with open_client() as generator:
        yield generator


def compose(mark: str, path: str = "/v1/chat/completions") -> str:
    body = json.dumps({"model": "bench", "stream": True, "messages": [MESSAGE | {"content": f"Hello! {mark}"}]})
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def build_job(
    model: ModelServer, *requests: str, lanes: int = 1, keep: int = 0, probe: str = "", to_s: float = 0.0
) -> Job:
    return Job(
        port=model.ports[0],
        lanes=[list(requests)] * lanes,
        token=CHAT_DELTA,
        end=CHAT_DONE,
        keep=keep,
        probe=probe,
        to_s=to_s,
    )


def test_the_model_streams_chunks_as_servers_do(model: ModelServer, client: LoadClient) -> None:
    [body] = client.run(build_job(model, compose("[[tokens=3 per_s=0 delay_ms=0 write=2]]"), keep=1)).kept
    *chunks, done = [line.removeprefix("data: ") for line in body.splitlines() if line]
    first, *words, last, usage = [json.loads(chunk) for chunk in chunks]
    assert done == "[DONE]"
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(word["choices"][0]["delta"]["content"] for word in words) == " the garden is"
    assert last["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"]["completion_tokens"] == 3
    assert usage["choices"] == []


def test_every_token_of_every_lane_is_counted(model: ModelServer, client: LoadClient) -> None:
    asked = (compose("[[tokens=20 per_s=0 delay_ms=0 write=16]]"), compose("[[tokens=5 per_s=0 delay_ms=0 write=1]]"))
    report = client.run(build_job(model, *asked, lanes=4))
    assert (report.answers, report.tokens, report.failures) == (8, 100, {})


def test_the_last_mark_of_a_request_holds(model: ModelServer, client: LoadClient) -> None:
    marks = "[[tokens=9 per_s=0 delay_ms=0 write=1]] [[tokens=2 per_s=0 delay_ms=0 write=1]]"
    assert client.run(build_job(model, compose(marks))).tokens == 2


def test_pace_and_delay_are_kept_and_gaps_counted(model: ModelServer, client: LoadClient) -> None:
    report = client.run(build_job(model, compose("[[tokens=10 per_s=20 delay_ms=100 write=1]]"), lanes=2, to_s=10))
    assert report.window_tokens == report.tokens == 20
    # Not faster than asked; how much slower depends on the machine.
    assert report.first_token_ms.p50 >= 100
    assert report.whole_ms.p50 >= 100 + 9 * 50
    assert report.gap_ms.p99 >= 50


def test_requests_are_repeated_for_as_long_as_is_asked(model: ModelServer, client: LoadClient) -> None:
    job = build_job(model, compose("[[tokens=1 per_s=0 delay_ms=0 write=1]]"))
    job.seconds = 0.3
    report = client.run(job)
    assert report.answers > 1
    assert report.seconds >= 0.3


def test_what_fails_is_counted_by_its_reason(model: ModelServer, client: LoadClient) -> None:
    wrong = compose("", path="/nowhere")
    report = client.try_(build_job(model, wrong, wrong, compose("[[tokens=1 per_s=0 delay_ms=0 write=1]]")))
    assert (report.answers, report.failed, report.failures) == (1, 2, {"404": 2})
    with pytest.raises(BenchmarkError, match="404"):
        client.run(build_job(model, wrong))


def test_an_answer_without_its_end_is_a_failure(model: ModelServer, client: LoadClient) -> None:
    job = build_job(model, compose("[[tokens=1 per_s=0 delay_ms=0 write=1]]"))
    job.end = "event: response.completed"
    assert client.try_(job).failures == {"an answer was not whole": 1}


def test_a_probe_is_timed_beside_the_lanes(model: ModelServer, client: LoadClient) -> None:
    probe = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    job = build_job(model, compose("[[tokens=10 per_s=20 delay_ms=0 write=1]]"), probe=probe, to_s=0.4)
    assert 0 < client.run(job).probe_ms.max < 1000
