"""Who is measured by `make bench` is asked a little: each answers, and what is counted is there."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any

import pytest

from benchmarks.contestants import Bench, Contestant, open_bench
from benchmarks.small_requests import find_path, measure_requests
from benchmarks.streams import measure_streams
from benchmarks.turns import ANSWER_TOKENS, fill_conversation, measure_conversation, measure_turns, measure_window
from benchmarks.without import APPLICATION, FREEZING, LOG
from prompts.adapters.redis.keys import conversation, timeline_meta
from tests.support.missing import give_up

# The kernel counts CPU in hundredths of a second: a turn takes some thousandths.
TURNS = 50

Start = Callable[[Bench], AbstractContextManager[Contestant]]
OTHERS: dict[str, Start] = {"plain": lambda bench: bench.start_plain(), "bare": lambda bench: bench.start_bare()}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with open_bench(tmp_path_factory.mktemp("bench"), is_quick=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def ours(bench: Bench) -> Iterator[Contestant]:
    with bench.start_ours() as started:
        yield started


def count_items(bench: Bench, conversation_id: str) -> int:
    """The items of a conversation."""
    timeline_id: Any = bench.redis.hget(conversation(conversation_id), "timeline")
    return int(bench.redis.hget(timeline_meta(timeline_id.decode()), "length") or 0)


def check(bench: Bench, contestant: Contestant, *, has_probes: bool) -> None:
    """Ask a little of everything."""
    turns = measure_turns(bench, contestant, clients=2, seconds=0.2)
    assert turns.report.tokens == turns.report.answers * ANSWER_TOKENS > 0
    assert turns.cpu_ms > 0
    streams = measure_streams(bench, contestant, 2, seconds=1, has_probes=has_probes)
    assert streams.report.failures == {}
    assert streams.report.window_tokens > 2
    assert (streams.report.probe_ms.max > 0) == has_probes
    per_s, _ = measure_requests(bench, contestant, find_path(bench, contestant), seconds=0.2)
    assert per_s > 0


def test_ours_streams_turns_and_answers_small_requests_and_probes(bench: Bench, ours: Contestant) -> None:
    check(bench, ours, has_probes=True)


@pytest.mark.parametrize("name", OTHERS)
def test_the_others_stream_turns_and_answer_small_requests(bench: Bench, name: str) -> None:
    if name == "plain" and find_spec("fastapi") is None:
        give_up("FastAPI is missing: `make check` installs it, `make test` alone does not")
    with OTHERS[name](bench) as contestant:
        check(bench, contestant, has_probes=False)


def test_conversations_are_filled_to_the_item(bench: Bench, ours: Contestant) -> None:
    assert measure_window(bench, ours, items=50, turns=TURNS) > 0
    conversation_id = fill_conversation(bench, ours, 4_010)
    assert measure_conversation(bench, ours, conversation_id, turns=TURNS) > 0
    assert count_items(bench, conversation_id) == 4_010 + 2 * TURNS


@pytest.mark.parametrize("part", [LOG, pytest.param(FREEZING, marks=pytest.mark.long)])
def test_a_part_can_be_taken_away(bench: Bench, part: str) -> None:
    with bench.start_ours(f"without {part}", APPLICATION, WITHOUT=part, LEASE_S="600") as less:
        streams = measure_streams(bench, less, 2, seconds=1)
    assert streams.report.failures == {}
    assert streams.report.tokens > 2
    assert (streams.aof_bytes > 0) == (part != LOG)
