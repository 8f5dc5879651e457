"""Tokens: how reports are added up, and completed by estimates."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from msgspec.structs import replace

from prompts.answer.events import Narration
from prompts.domain.responses import Response
from prompts.domain.signals import (
    BegunAnew,
    Called,
    Compacted,
    Finished,
    HostedCall,
    HostedReturned,
    RoundEnded,
    Signal,
    Text,
)
from prompts.domain.usage import InputTokensDetails, OutputTokensDetails, Usage, add_usage, complete_usage
from prompts.errors import PromptTooLong, UpstreamError
from prompts.run.brief import Brief
from prompts.run.usage import estimate_lost, sum_usage
from tests.support.fakes.chat_model import Step
from tests.support.runner_harness import Harness, settle
from tests.support.sample_turn import make_brief, make_draft

FIRST = Usage(10, 5, 15, InputTokensDetails(4, 3), OutputTokensDetails(2))
SECOND = Usage(100, 50, 150, InputTokensDetails(40, 30), OutputTokensDetails(20))


def test_every_count_is_added() -> None:
    total = Usage(110, 55, 165, InputTokensDetails(44, 33), OutputTokensDetails(22))
    assert add_usage(FIRST, SECOND) == total
    assert add_usage(FIRST, None) == add_usage(None, FIRST) == FIRST
    assert add_usage(None, None) is None


def test_a_usage_that_was_stored_without_cache_writes_has_none() -> None:
    stored = b'{"input_tokens":1,"output_tokens":2,"total_tokens":3,"input_tokens_details":{"cached_tokens":1}}'
    assert msgspec.json.decode(stored, type=Usage) == Usage(1, 2, 3, InputTokensDetails(1, 0))


def test_what_was_not_reported_is_estimated() -> None:
    estimated = Usage(7, 8, 15)
    assert complete_usage(FIRST, estimated) == (FIRST, False)
    assert complete_usage(None, estimated) == (estimated, True)
    no_output, no_input = Usage(10, 0, 10, InputTokensDetails(4)), Usage(0, 5, 5)
    assert complete_usage(no_output, estimated) == (Usage(10, 8, 18, InputTokensDetails(4)), True)
    assert complete_usage(no_input, estimated) == (Usage(7, 5, 12), True)
    assert complete_usage(no_output, Usage(7, 0, 7)) == (no_output, False), "nothing was written"


# --- of a response ---

ACCOUNT = replace(make_draft().model_input, input_tokens=100, history_tokens=1_000, instructions_tokens=0)
WORDS = "word " * 80  # 400 characters


def narrate(*signals: Signal) -> Narration:
    narration = Narration(make_draft().response)
    narration.opening()
    narration.tell(signals)
    return narration


def test_a_response_whose_server_reports_nothing_is_estimated_by_what_it_was_given_and_wrote() -> None:
    assert sum_usage(narrate(Text(WORDS)), ACCOUNT, finished=Finished("stop")) == (Usage(1_100, 104, 1_204), True)
    calibrated = replace(ACCOUNT, calibration=2.0)
    assert sum_usage(narrate(Text(WORDS)), calibrated, finished=None) == (Usage(2_200, 208, 2_408), True)


def test_a_report_is_not_touched() -> None:
    assert sum_usage(narrate(Text(WORDS)), ACCOUNT, finished=Finished("stop", FIRST)) == (FIRST, False)


def test_what_a_model_has_refused_costs_nothing_and_what_it_broke_off_does() -> None:
    refused = sum_usage(narrate(), ACCOUNT, finished=None, error=PromptTooLong("Too long."))
    assert refused == (Usage(0, 0, 0), True)
    broken_off, _ = sum_usage(narrate(Text(WORDS)), ACCOUNT, finished=None, error=UpstreamError("Broke off."))
    assert broken_off == Usage(1_100, 104, 1_204)


def test_runs_that_were_lost_are_added_up_each_with_what_it_wrote() -> None:
    first = estimate_lost(narrate(Text(WORDS)), ACCOUNT)
    assert first == Usage(1_100, 104, 1_204)
    second = estimate_lost(narrate(Text(WORDS), BegunAnew(first), Text(WORDS)), ACCOUNT)
    assert second == Usage(1_204, 100, 1_304), "it was given what the first one had written"
    narration = narrate(Text(WORDS), BegunAnew(first), Text(WORDS), BegunAnew(second), Text(WORDS))
    reported = Usage(1_300, 99, 1_399)
    total = add_usage(add_usage(first, second), reported)
    assert sum_usage(narration, ACCOUNT, finished=Finished("stop", reported)) == (total, True)
    unreported, _ = sum_usage(narration, ACCOUNT, finished=Finished("stop"))
    assert unreported == add_usage(add_usage(first, second), Usage(1_304, 100, 1_404))


def test_a_run_that_was_lost_while_a_tool_ran_has_used_nothing_more() -> None:
    call = HostedCall("call_1", "file_search", "search", "{}")
    assert estimate_lost(narrate(Text(WORDS), RoundEnded([call], FIRST)), ACCOUNT) is None
    returned = narrate(Text(WORDS), RoundEnded([call], FIRST), HostedReturned("call_1", "word " * 80))
    assert estimate_lost(returned, ACCOUNT) == Usage(1_305, 0, 1_305)


def test_rounds_and_a_compaction_are_added_up_and_an_estimate_among_them_is_marked() -> None:
    rounds: list[Signal] = [Compacted("c2VhbA==", FIRST), Text(WORDS), RoundEnded([], SECOND), Text(WORDS)]
    last = Finished("stop", Usage(1, 1, 2))
    assert sum_usage(narrate(*rounds), ACCOUNT, finished=last) == (
        add_usage(add_usage(FIRST, SECOND), Usage(1, 1, 2)),
        False,
    )
    others: list[list[Signal]] = [
        [Compacted("c2VhbA==", FIRST, is_estimated=True), Text(WORDS), RoundEnded([], SECOND)],
        [Compacted("c2VhbA==", FIRST), Text(WORDS), RoundEnded([])],
    ]
    for other in others:
        total, is_estimated = sum_usage(narrate(*other, Text(WORDS)), ACCOUNT, finished=last)
        assert is_estimated
        assert total.output_tokens > 1 + FIRST.output_tokens


def test_a_log_of_the_last_release_is_read() -> None:
    assert msgspec.json.decode(b'["n"]', type=BegunAnew) == BegunAnew()
    assert msgspec.json.decode(b'["k","seal",null]', type=Compacted) == Compacted("seal")


@pytest.mark.parametrize(
    "steps",
    [
        [[Text("1"), Finished("stop")]],
        [[Text("1"), Finished("length")]],
        [[Called(0, "call_1", "f"), Finished("stop")]],
        [[Text("1")], UpstreamError("Broke off.")],
        [UpstreamError("Broke off.")],
    ],
    ids=["completed", "incomplete", "a call", "failed", "failed at once"],
)
async def test_an_ended_response_always_has_a_usage_and_says_that_it_is_estimated(
    harness: Harness, steps: Sequence[Step]
) -> None:
    ended = await run_to_end(harness, *steps)
    assert ended.usage is not None
    assert ended.usage.input_tokens > 0
    assert ended.usage_estimated is True
    assert harness.calibration.learned == []


async def test_a_run_that_takes_over_notes_what_the_lost_one_used_with_its_first_word(harness: Harness) -> None:
    brief = make_brief(shown=["Good ", "mor"], epoch="2.a")
    lost = Usage(10, 2, 12)
    gate = asyncio.Event()
    run = await harness.start(gate, [Text("ning")], [Finished("stop", FIRST)], brief=brief_with(brief, lost))
    await settle()
    assert [append for append in harness.store.appends if append.signals] == []
    gate.set()
    await run.wait()
    assert run.outcome is not None
    assert run.outcome.response.usage == add_usage(lost, FIRST)
    assert run.outcome.response.usage_estimated is True
    [first, *_] = [append.signals for append in harness.store.appends if append.signals]
    assert list(first)[:2] == [BegunAnew(lost), Text("ning")]


async def test_a_run_that_takes_over_and_has_nothing_to_add_counts_the_lost_one(harness: Harness) -> None:
    brief = brief_with(make_brief(shown=["Good morning."], epoch="2.a"), Usage(10, 2, 12))
    run = await harness.run([Finished("stop", FIRST)], brief=brief)
    assert run.outcome is not None
    assert run.outcome.response.usage == add_usage(Usage(10, 2, 12), FIRST)


def brief_with(brief: Brief, lost: Usage) -> Brief:
    return replace(brief, lost=lost)


async def run_to_end(harness: Harness, *steps: Step) -> Response:
    run = await harness.run(*steps)
    assert run.outcome is not None
    return run.outcome.response
