"""Turns from a model that takes no time, so that the server is the slow part; and what they cost."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.contestants import Bench, Contestant
from benchmarks.load_client import Report

CLIENTS = 32
MANY_CLIENTS = 256
TURNS_A_CONVERSATION = 5
# A short answer, in one piece: what a turn costs, not its tokens, which have rows of their own.
ANSWER_TOKENS = 8
ASK = f"Hello! [[tokens={ANSWER_TOKENS} per_s=0 delay_ms=0 write=32]]"
ASK_ONE = "Hello! [[tokens=1 per_s=0 delay_ms=0 write=1]]"
# Long answers, written a few tokens at once.
BURST_CLIENTS = 8
BURST_TOKENS = 500
ASK_BURST = f"Hello! [[tokens={BURST_TOKENS} per_s=0 delay_ms=0 write=16]]"
MODEL_MS = 200
ASK_SLOW = f"Hello! [[tokens={ANSWER_TOKENS} per_s=0 delay_ms={MODEL_MS} write=32]]"
IDEAL_TURNS_A_S = MANY_CLIENTS / MODEL_MS * 1000
# So many input items are sent at once.
ITEMS_A_TURN = 2_000


@dataclass(frozen=True)
class Turns:
    """One round of turns."""

    report: Report
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.report.answers / self.report.seconds

    @property
    def cpu_ms(self) -> float:
        """The server's CPU a turn."""
        return self.cpu_s * 1000 / max(1, self.report.answers)

    @property
    def tokens_a_s(self) -> float:
        return self.report.tokens / self.report.seconds

    @property
    def cpu_us_a_token(self) -> float:
        """The server's CPU a token of a burst."""
        return self.cpu_s * 1e6 / max(1, self.report.tokens)


def measure_turns(
    bench: Bench, contestant: Contestant, *, ask: str = ASK, clients: int = CLIENTS, seconds: float
) -> Turns:
    """Closed loop: each client holds conversations of a few turns, made beforehand."""
    conversations = bench.create_conversations(contestant, clients * 10)
    lanes = [
        [
            contestant.compose_turn(ask, each)
            for each in conversations[place::clients]
            for _ in range(TURNS_A_CONVERSATION)
        ]
        for place in range(clients)
    ]
    return run_turns(bench, contestant, lanes, seconds=seconds)


def measure_burst(bench: Bench, contestant: Contestant, *, seconds: float) -> Turns:
    """Closed loop of long answers."""
    return measure_turns(bench, contestant, ask=ASK_BURST, clients=BURST_CLIENTS, seconds=seconds)


def measure_alone(bench: Bench, contestant: Contestant, *, turns: int) -> Turns:
    """One client, whose turns come one after another."""
    conversations = bench.create_conversations(contestant, -(-turns // TURNS_A_CONVERSATION))
    lane = [contestant.compose_turn(ASK, each) for each in conversations for _ in range(TURNS_A_CONVERSATION)]
    return run_turns(bench, contestant, [lane[:turns]])


def measure_crowd(bench: Bench, contestant: Contestant, *, seconds: float) -> Turns:
    """Many clients, and a model that takes its time. Whoever is refused waits as long as an answer takes."""
    conversations = bench.create_conversations(contestant, MANY_CLIENTS)
    lanes = [[contestant.compose_turn(ASK_SLOW, each)] for each in conversations]
    return run_turns(bench, contestant, lanes, seconds=seconds, ramp_s=MODEL_MS / 1000, pause_ms=MODEL_MS)


def run_turns(
    bench: Bench,
    contestant: Contestant,
    lanes: Sequence[Sequence[str]],
    *,
    seconds: float = 0.0,
    ramp_s: float = 0.0,
    pause_ms: int = 0,
) -> Turns:
    """Send these turns. Refusals are allowed with a pause. Raises BenchmarkError."""
    bench.rest(contestant)
    job = contestant.job(lanes, seconds=seconds, ramp_s=ramp_s, pause_ms=pause_ms)
    began = contestant.get_cpu_s()
    report = bench.client.try_(job) if pause_ms else bench.client.run(job)
    return Turns(report, contestant.get_cpu_s() - began)


def measure_window(bench: Bench, contestant: Contestant, *, items: int, turns: int) -> float:
    """CPU ms a turn in conversations that hold so many items: each has one turn."""
    conversations = bench.create_conversations(contestant, turns)
    before = [_message(place, "What was said then.") for place in range(items - 2)] + [_message(0, ASK_ONE)]
    fill = [contestant.compose_input(before, each) for each in conversations]
    run_turns(bench, contestant, [fill[place::CLIENTS] for place in range(CLIENTS)])
    asked = [contestant.compose_turn(ASK, each) for each in conversations]
    return run_turns(bench, contestant, [asked[place::CLIENTS] for place in range(CLIENTS)]).cpu_ms


def fill_conversation(bench: Bench, contestant: Contestant, items: int) -> str:
    """A conversation of so many items. The newest ten fill the history's budget, so they alone are the window."""
    [conversation_id] = bench.create_conversations(contestant, 1)
    chance = random.Random(7)
    newest = [_message(place, " ".join(chance.choices(WORDS, k=800))) for place in range(8)] + [_message(0, ASK_ONE)]
    small = items - len(newest) - 1
    sizes = [min(ITEMS_A_TURN, small - start) for start in range(0, small, ITEMS_A_TURN)]
    inputs = [[*(_message(place, "So.") for place in range(size - 2)), _message(0, ASK_ONE)] for size in sizes]
    lane = [contestant.compose_input(each, conversation_id) for each in (*inputs, newest)]
    run_turns(bench, contestant, [lane])
    return conversation_id


def measure_conversation(bench: Bench, contestant: Contestant, conversation_id: str, *, turns: int) -> float:
    """CPU ms a turn, one after another in one conversation."""
    return run_turns(bench, contestant, [[contestant.compose_turn(ASK, conversation_id)] * turns]).cpu_ms


WORDS = "the garden is quiet in the early morning and nobody has come to water it yet".split()


def _message(place: int, content: str) -> Mapping[str, str]:
    return {"role": ("user", "assistant")[place % 2], "content": content}
