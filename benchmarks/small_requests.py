"""Small requests: one that reads a response, one that reads nothing."""

from benchmarks.contestants import Bench, Contestant, find_response_id
from benchmarks.load_client import Job
from benchmarks.turns import ASK, CLIENTS


def find_path(bench: Bench, contestant: Contestant) -> str:
    """The path of a response with a short answer, made for this; any path where nothing is kept."""
    if not contestant.has_conversations:
        return "/v1/responses/any"
    [conversation_id] = bench.create_conversations(contestant, 1)
    lanes = [[contestant.compose_turn(ASK, conversation_id)]]
    [body] = bench.client.run(Job(port=contestant.port, lanes=lanes, end=contestant.end, keep=1)).kept
    return f"/v1/responses/{find_response_id(body)}"


def measure_requests(bench: Bench, contestant: Contestant, path: str, *, seconds: float) -> tuple[float, float]:
    """Requests a second, and the server's CPU µs a request, from 32 clients."""
    lanes = [[contestant.compose("GET", path)]] * CLIENTS
    bench.rest(contestant)
    began = contestant.get_cpu_s()
    report = bench.client.run(Job(port=contestant.port, lanes=lanes, seconds=seconds))
    return report.answers / report.seconds, (contestant.get_cpu_s() - began) * 1e6 / report.answers
