"""Turns beside the plain implementation, and small requests beside the bare application."""

import json
import re
from collections.abc import Iterator, Sequence

from benchmarks.arena import Arena, Contender
from benchmarks.bare_asgi import FRAMES
from benchmarks.load import Job
from benchmarks.rounds import Figures, LoadClient, Metric, Row, compare, measure

# Clients that ask at once, each on a connection of its own.
CLIENTS = 32
TURNS_A_CLIENT = 10
LONG_TURNS_A_CLIENT = 5
# About a hundred tokens: the stand-in counts a few more than words.
ASK = "Please write 100 words."
# A token every 20 ms, the pace of a mid-sized model: each reaches the server by itself.
PACED_ASK = f"{ASK} [[standin token_s=0.02]]"
LONG_ITEMS = 2_000
# An item of a long conversation: 400 characters, so that about eighty of them fill the history's budget.
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


def compare_fresh_turns(client: LoadClient, arena: Arena) -> Iterator[Row]:
    """Each turn in a conversation of its own, made beforehand."""

    def play(contender: Contender) -> Figures:
        ids = create_conversations(client, contender, CLIENTS * TURNS_A_CLIENT)
        return measure(client, contender, turn_job(contender, ASK, ids, turns=TURNS_A_CLIENT))

    _warm_up(client, arena)
    yield from compare(arena.ours, arena.plain, play=play, rounds=5, metrics=(RATE, CPU, *WAITS))


def compare_long_turns(client: LoadClient, arena: Arena) -> Iterator[Row]:
    """Turns in conversations that hold thousands of items, one conversation a client."""
    conversations = {
        contender.name: _fill(client, contender, create_conversations(client, contender, CLIENTS))
        for contender in (arena.ours, arena.plain)
    }

    def play(contender: Contender) -> Figures:
        ids = [each for each in conversations[contender.name] for _ in range(LONG_TURNS_A_CLIENT)]
        return measure(client, contender, turn_job(contender, ASK, ids, turns=LONG_TURNS_A_CLIENT))

    yield from compare(arena.ours, arena.plain, play=play, rounds=5, metrics=(RATE, CPU, *WAITS))


def compare_paced_turns(client: LoadClient, arena: Arena) -> Iterator[Row]:
    """Turns at the pace of a real model, where no two tokens come together; only what they cost differs."""

    def play(contender: Contender) -> Figures:
        ids = create_conversations(client, contender, CLIENTS)
        return measure(client, contender, turn_job(contender, PACED_ASK, ids, turns=1))

    metrics = (CPU, *(wait for wait in WAITS if wait.key in {"first_event_p50", "whole_p50"}))
    yield from compare(arena.ours, arena.plain, play=play, rounds=3, metrics=metrics)


def compare_streams(client: LoadClient, arena: Arena) -> Iterator[Row]:
    """Our whole turn beside as many frames from an application that does nothing else."""

    def play(contender: Contender) -> Figures:
        if contender is arena.bare:
            job = _repeated(contender, "/stream", repeat=300)
            return measure(client, contender, job)
        ids = create_conversations(client, contender, CLIENTS * TURNS_A_CLIENT)
        return measure(client, contender, turn_job(contender, ASK, ids, turns=TURNS_A_CLIENT))

    title = f"turns/s, beside streams of {FRAMES} frames/s"
    metrics = (Metric("per_s", title, "{:.0f}", is_more_better=True), CPU)
    yield from compare(arena.ours, arena.bare, play=play, rounds=3, metrics=metrics)


def compare_health(client: LoadClient, arena: Arena, other: Contender) -> Iterator[Row]:
    """`GET /healthz`."""

    def play(contender: Contender) -> Figures:
        return measure(client, contender, _repeated(contender, "/healthz", repeat=300))

    yield from compare(arena.ours, other, play=play, rounds=4, metrics=(REQUEST_RATE, REQUEST_CPU))


def compare_retrieval(client: LoadClient, arena: Arena, other: Contender) -> Iterator[Row]:
    """`GET /v1/responses/{id}`, authenticated, of a whole answer; the bare application has a small JSON for it."""
    paths = {contender.name: f"/v1/responses/{_ask_once(client, contender)}" for contender in (arena.ours, arena.plain)}

    def play(contender: Contender) -> Figures:
        job = _repeated(contender, paths.get(contender.name, "/json"), repeat=100)
        return measure(client, contender, job)

    yield from compare(arena.ours, other, play=play, rounds=4, metrics=(REQUEST_RATE, REQUEST_CPU))


def create_conversations(client: LoadClient, contender: Contender, count: int) -> list[str]:
    """Empty conversations, by their ids."""
    request = contender.compose_request("POST", "/v1/conversations", b"{}")
    lanes = [[request]] * CLIENTS
    job = Job(port=contender.port, lanes=lanes, repeat=-(-count // CLIENTS), keep_bodies=True)
    bodies = [answer.body for answer in client.run(job).answers]
    return [found[1] for body in bodies if (found := CONVERSATION_ID.search(body))][:count]


def turn_job(contender: Contender, text: str, ids: Sequence[str], *, turns: int, keep_bodies: bool = False) -> Job:
    """Turns in these conversations, `turns` a client, one after another."""
    asked = [_turn_request(contender, text, conversation_id) for conversation_id in ids]
    lanes = [asked[start : start + turns] for start in range(0, len(asked), turns)]
    return Job(port=contender.port, lanes=lanes, is_streamed=True, keep_bodies=keep_bodies)


def _turn_request(contender: Contender, content: str | list[dict[str, str]], conversation_id: str) -> str:
    body = json.dumps({"input": content, "conversation": conversation_id, "stream": True})
    return contender.compose_request("POST", "/v1/responses", body.encode())


def _repeated(contender: Contender, path: str, *, repeat: int) -> Job:
    request = contender.compose_request("GET", path)
    return Job(port=contender.port, lanes=[[request]] * CLIENTS, repeat=repeat)


def _fill(client: LoadClient, contender: Contender, ids: Sequence[str]) -> Sequence[str]:
    """One turn with as many input items as the conversation is to hold, a few conversations at a time."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": LONG_TEXT} for number in range(LONG_ITEMS - 2)]
    messages.append({"role": "user", "content": "count to 1"})
    asked = [_turn_request(contender, messages, conversation_id) for conversation_id in ids]
    lanes = [asked[start::4] for start in range(4)]
    client.run(Job(port=contender.port, lanes=lanes, is_streamed=True))
    return ids


def _ask_once(client: LoadClient, contender: Contender) -> str:
    ids = create_conversations(client, contender, 1)
    [answer] = client.run(turn_job(contender, ASK, ids, turns=1, keep_bodies=True)).answers
    return find_response_id(answer.body)


def find_response_id(body: str) -> str:
    """Which response a stream told."""
    found = RESPONSE_ID.search(body)
    assert found is not None, body[:300]
    return found[1]


def _warm_up(client: LoadClient, arena: Arena) -> None:
    """Connections, caches and compiled patterns are there before anything is measured."""
    for contender in (arena.ours, arena.plain):
        ids = create_conversations(client, contender, CLIENTS * 3)
        client.run(turn_job(contender, ASK, ids, turns=3))
