"""The scenarios: turns beside the plain implementation, small requests beside the bare application."""

import json
import re
from collections.abc import Iterator, Sequence

from benchmarks.bare_asgi import FRAMES
from benchmarks.comparison import Figures, LoadClient, Metric, Row, compare, measure
from benchmarks.load_generator import Job
from benchmarks.servers import MeasuredServer, Servers

# Concurrent clients; each has a connection of its own.
CLIENTS = 32
TURNS_A_CLIENT = 10
LONG_TURNS_A_CLIENT = 5
# About a hundred tokens: the stand-in counts a few more tokens than words.
ASK = "Please write 100 words."
# A token every 20 ms, as a mid-sized model writes: each token reaches the server alone.
PACED_ASK = f"{ASK} [[standin token_s=0.02]]"
LONG_ITEMS = 2_000
# An item of a long conversation: 400 characters, so about eighty items fill the history's budget.
LONG_TEXT = "All that we spoke of then, word for word. " * 9 + "That was all of it, yes."
CONVERSATION_ID = re.compile(r'"id": ?"(conv_\w+)"')
RESPONSE_ID = re.compile(r'"id": ?"(resp_\w+)"')

RATE = Metric("per_s", "turns/s", "{:.0f}", is_more_better=True)
CPU = Metric("cpu_ms", "server's CPU a turn", "{:.2f} ms")
WAITS = (
    Metric("first_event_p50", "time to first event, median"),
    Metric("first_event_p99", "time to first event, p99"),
    Metric("first_delta_p50", "time to first token, median"),
    Metric("whole_p50", "whole turn, median"),
    Metric("whole_p99", "whole turn, p99"),
)
REQUEST_RATE = Metric("per_s", "requests/s", "{:.0f}", is_more_better=True)
REQUEST_CPU = Metric("cpu_ms", "server's CPU a request", "{:.3f} ms")


def compare_fresh_turns(client: LoadClient, servers: Servers) -> Iterator[Row]:
    """Turns in conversations of their own, created beforehand."""

    def measure_round(server: MeasuredServer) -> Figures:
        ids = create_conversations(client, server, CLIENTS * TURNS_A_CLIENT)
        return measure(client, server, turn_job(server, ASK, ids, turns=TURNS_A_CLIENT))

    _warm_up(client, servers)
    yield from compare(servers.ours, servers.plain, measure_round=measure_round, rounds=5, metrics=(RATE, CPU, *WAITS))


def compare_long_turns(client: LoadClient, servers: Servers) -> Iterator[Row]:
    """Turns in conversations of thousands of items, one conversation a client."""
    conversations = {
        server.name: _fill_conversations(client, server, create_conversations(client, server, CLIENTS))
        for server in (servers.ours, servers.plain)
    }

    def measure_round(server: MeasuredServer) -> Figures:
        ids = [each for each in conversations[server.name] for _ in range(LONG_TURNS_A_CLIENT)]
        return measure(client, server, turn_job(server, ASK, ids, turns=LONG_TURNS_A_CLIENT))

    yield from compare(servers.ours, servers.plain, measure_round=measure_round, rounds=5, metrics=(RATE, CPU, *WAITS))


def compare_paced_turns(client: LoadClient, servers: Servers) -> Iterator[Row]:
    """Turns at the pace of a real model: no two tokens come together, so only the cost differs."""

    def measure_round(server: MeasuredServer) -> Figures:
        ids = create_conversations(client, server, CLIENTS)
        return measure(client, server, turn_job(server, PACED_ASK, ids, turns=1))

    metrics = (CPU, *(wait for wait in WAITS if wait.key in {"first_event_p50", "whole_p50"}))
    yield from compare(servers.ours, servers.plain, measure_round=measure_round, rounds=3, metrics=metrics)


def compare_streams(client: LoadClient, servers: Servers) -> Iterator[Row]:
    """Our whole turn beside the same number of frames from an application that does nothing else."""

    def measure_round(server: MeasuredServer) -> Figures:
        if server is servers.bare:
            job = _repeat_request(server, "/stream", repeat=300)
            return measure(client, server, job)
        ids = create_conversations(client, server, CLIENTS * TURNS_A_CLIENT)
        return measure(client, server, turn_job(server, ASK, ids, turns=TURNS_A_CLIENT))

    title = f"turns/s, beside streams of {FRAMES} frames/s"
    metrics = (Metric("per_s", title, "{:.0f}", is_more_better=True), CPU)
    yield from compare(servers.ours, servers.bare, measure_round=measure_round, rounds=3, metrics=metrics)


def compare_health(client: LoadClient, servers: Servers, other: MeasuredServer) -> Iterator[Row]:
    """`GET /healthz`."""

    def measure_round(server: MeasuredServer) -> Figures:
        return measure(client, server, _repeat_request(server, "/healthz", repeat=300))

    yield from compare(servers.ours, other, measure_round=measure_round, rounds=4, metrics=(REQUEST_RATE, REQUEST_CPU))


def compare_retrieval(client: LoadClient, servers: Servers, other: MeasuredServer) -> Iterator[Row]:
    """`GET /v1/responses/{id}`, with a key, of a whole answer. The bare application sends a small JSON instead."""
    paths = {server.name: f"/v1/responses/{_ask_once(client, server)}" for server in (servers.ours, servers.plain)}

    def measure_round(server: MeasuredServer) -> Figures:
        job = _repeat_request(server, paths.get(server.name, "/json"), repeat=100)
        return measure(client, server, job)

    yield from compare(servers.ours, other, measure_round=measure_round, rounds=4, metrics=(REQUEST_RATE, REQUEST_CPU))


def create_conversations(client: LoadClient, server: MeasuredServer, count: int) -> list[str]:
    """The ids of new conversations."""
    request = server.compose_request("POST", "/v1/conversations", b"{}")
    lanes = [[request]] * CLIENTS
    job = Job(port=server.port, lanes=lanes, repeat=-(-count // CLIENTS), keep_bodies=True)
    bodies = [answer.body for answer in client.run(job).answers]
    return [found[1] for body in bodies if (found := CONVERSATION_ID.search(body))][:count]


def turn_job(server: MeasuredServer, text: str, ids: Sequence[str], *, turns: int, keep_bodies: bool = False) -> Job:
    """A job of turns in these conversations: `turns` for each client, one after another."""
    asked = [_turn_request(server, text, conversation_id) for conversation_id in ids]
    lanes = [asked[start : start + turns] for start in range(0, len(asked), turns)]
    return Job(port=server.port, lanes=lanes, is_streamed=True, keep_bodies=keep_bodies)


def _turn_request(server: MeasuredServer, content: str | list[dict[str, str]], conversation_id: str) -> str:
    body = json.dumps({"input": content, "conversation": conversation_id, "stream": True})
    return server.compose_request("POST", "/v1/responses", body.encode())


def _repeat_request(server: MeasuredServer, path: str, *, repeat: int) -> Job:
    request = server.compose_request("GET", path)
    return Job(port=server.port, lanes=[[request]] * CLIENTS, repeat=repeat)


def _fill_conversations(client: LoadClient, server: MeasuredServer, ids: Sequence[str]) -> Sequence[str]:
    """One turn with all the input items the conversation is to hold, a few conversations at a time."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": LONG_TEXT} for number in range(LONG_ITEMS - 2)]
    messages.append({"role": "user", "content": "count to 1"})
    asked = [_turn_request(server, messages, conversation_id) for conversation_id in ids]
    lanes = [asked[start::4] for start in range(4)]
    client.run(Job(port=server.port, lanes=lanes, is_streamed=True))
    return ids


def _ask_once(client: LoadClient, server: MeasuredServer) -> str:
    ids = create_conversations(client, server, 1)
    [answer] = client.run(turn_job(server, ASK, ids, turns=1, keep_bodies=True)).answers
    return find_response_id(answer.body)


def find_response_id(body: str) -> str:
    """The response's id in the bytes of a stream."""
    found = RESPONSE_ID.search(body)
    assert found is not None, body[:300]
    return found[1]


def _warm_up(client: LoadClient, servers: Servers) -> None:
    """Open connections and fill caches before the measurement."""
    for server in (servers.ours, servers.plain):
        ids = create_conversations(client, server, CLIENTS * 3)
        client.run(turn_job(server, ASK, ids, turns=3))
