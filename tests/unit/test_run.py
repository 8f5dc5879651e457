"""A run with a scripted model and store: order, groups, leases, readers, ends."""

import asyncio
import time
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from prompts.answer.events import TERMINAL
from prompts.domain.items import Message, OutputText
from prompts.domain.signals import Text
from prompts.errors import InvalidPrompt, StaleRun, Unavailable, UpstreamError
from prompts.run.follower_buffer import MAX_AT_ONCE
from prompts.run.quiet import Quiet
from tests.support.fakes.chat_model import Step
from tests.support.runner_harness import (
    MAX_S,
    STOP,
    Harness,
    check,
    follow_run,
    read,
    settle,
    texts,
    written,
)
from tests.support.sample_turn import RESPONSE_ID, make_brief


async def test_it_works(harness: Harness) -> None:
    run = await harness.run([Text("Good ")], [Text("morning!"), STOP])
    final = check(await read(run))
    assert final["output"][0]["content"][0]["text"] == "Good morning!"
    assert run.outcome == harness.store.outcome
    assert [text for group in texts(harness.store.appends) for text in group] == ["Good ", "morning!"]
    assert harness.store.appends[-1].signals[-1] == STOP
    assert harness.model.is_closed


async def test_signals_that_arrive_during_an_append_are_appended_together(harness: Harness) -> None:
    gate = asyncio.Event()
    harness.store.append_fates = [gate]
    end = asyncio.Event()
    run = await harness.start([Text("1")], harness.store.called, [Text("2")], [Text("3")], [Text("4")], end, [STOP])
    await settle()
    assert harness.store.appends == []
    gate.set()
    await settle()
    assert texts(harness.store.appends) == [["1"], ["2", "3", "4"]]
    end.set()
    check(await read(run))


async def test_no_event_is_shown_before_it_is_written(harness: Harness) -> None:
    gate, end = asyncio.Event(), asyncio.Event()
    harness.store.append_fates = [gate]
    run = await harness.start([Text("1")], end, [STOP])
    reader = follow_run(run, after=-1, quiet=Quiet(MAX_S))
    assert [event.type for event in await anext(reader)] == ["response.created", "response.in_progress"]
    waiting = asyncio.ensure_future(anext(reader))
    await settle()
    assert not waiting.done()
    gate.set()
    assert [event.type for event in await waiting][-1] == "response.output_text.delta"
    harness.store.commit_fates = [committed := asyncio.Event()]
    end.set()
    waiting = asyncio.ensure_future(anext(reader))
    await settle()
    assert not waiting.done()
    committed.set()
    assert [event.type for event in await waiting][-1] == "response.completed"


async def test_the_end_waits_for_the_group_in_flight(harness: Harness) -> None:
    gate = asyncio.Event()
    harness.store.append_fates = [gate]
    run = await harness.start([Text("1")], harness.store.called, [Text("2"), STOP])
    await settle()
    assert harness.store.outcome is None
    gate.set()
    check(await read(run))
    assert texts(harness.store.appends) == [["1"], ["2"]]
    numbers = [append.last_number for append in harness.store.appends]
    assert numbers == sorted(numbers)


async def test_the_lease_is_renewed_while_the_model_is_silent(harness: Harness) -> None:
    harness.make_runner(lease_s=0.6)
    enough = asyncio.Event()
    run = await harness.start(enough, [Text("1"), STOP])
    async with asyncio.timeout(MAX_S):
        while len(harness.store.appends) < 3:
            harness.store.called.clear()
            await harness.store.called.wait()
            await settle()
    renewals = list(harness.store.appends)
    assert all(not append.signals and append.last_number == 1 for append in renewals)
    assert all(later.at - earlier.at < 0.6 for earlier, later in pairwise(renewals))
    enough.set()
    check(await read(run))


async def test_a_store_that_is_away_for_a_moment_loses_nothing(harness: Harness) -> None:
    harness.store.append_fates = [Unavailable("away"), Unavailable("away")]
    harness.store.commit_fates = [Unavailable("away")]
    run = await harness.run([Text("1")], harness.store.called, [Text("2")], [STOP])
    final = check(await read(run))
    assert final["status"] == "completed"
    assert final["output"][0]["content"][0]["text"] == "12"
    assert harness.store.tries == len(harness.store.appends) + 3


async def test_a_store_that_stays_away_ends_the_run_with_the_lease(harness: Harness) -> None:
    """The replica that takes the response over decides whether it ends, and how."""
    harness.make_runner(lease_s=0.1)
    harness.store.append_fates = [Unavailable("away") for _ in range(20)]
    run = await harness.run([Text("1")], asyncio.Event())
    assert (run.outcome, run.error, harness.store.outcome) == (None, None, None)
    assert harness.store.appends == []
    assert harness.store.released == []
    assert not run.is_handed_over
    assert not run.is_let_go
    assert harness.model.is_closed
    assert [event.type for event in await read(run)] == ["response.created", "response.in_progress"]


async def test_a_store_that_comes_back_just_after_the_lease_is_left_to_others(harness: Harness) -> None:
    """Another replica may already continue the response."""
    harness.make_runner(lease_s=0.1)
    harness.store.append_fates = [Unavailable("away"), Unavailable("away")]
    run = await harness.run([Text("1")], asyncio.Event())
    await settle()
    assert (run.outcome, run.error) == (None, None)
    assert harness.store.tries == 2
    assert harness.store.appends == []


@pytest.mark.parametrize("end", [STOP, UpstreamError("It broke off.")], ids=["its own", "a failure"])
async def test_an_end_that_cannot_be_written_is_not_shown(harness: Harness, end: Any) -> None:
    harness.make_runner(lease_s=0.1)
    harness.store.commit_fates = [Unavailable("away"), Unavailable("away")]
    run = await harness.run([Text("1")], harness.store.called, end if isinstance(end, Exception) else [end])
    assert (run.outcome, run.error) == (None, None)
    told = [event.type for event in await read(run)]
    assert not [name for name in told if name in TERMINAL]
    assert harness.store.outcome is None


@pytest.mark.parametrize("steps", [[asyncio.Event()], [[STOP]]])
async def test_a_run_that_was_taken_over_writes_nothing_more(harness: Harness, steps: list[Step]) -> None:
    harness.store.append_fates = [StaleRun()] * 2
    harness.store.commit_fates = [StaleRun()]
    run = await harness.run([Text("1")], harness.store.called, *steps)
    assert run.outcome is None
    assert harness.store.outcome is None
    assert harness.store.appends == []
    assert harness.model.is_closed
    assert [event.type for event in await read(run)] == ["response.created", "response.in_progress"]


async def test_a_model_that_is_faster_than_the_store_waits(harness: Harness) -> None:
    harness.store.append_fates = [gate := asyncio.Event()]
    words: list[Step] = [[Text(f"{number} ")] for number in range(5 * MAX_AT_ONCE)]
    run = await harness.start([Text("first ")], harness.store.called, *words, [STOP])
    for _ in range(20):
        await settle()
    gate.set()
    final = check(await read(run))
    assert final["output"][0]["content"][0]["text"] == "first " + "".join(f"{n} " for n in range(5 * MAX_AT_ONCE))
    assert max(len(append.signals) for append in harness.store.appends) <= MAX_AT_ONCE


async def test_following_from_any_number_gives_the_rest(harness: Harness) -> None:
    run = await harness.run([Text("1 ")], harness.store.called, [Text("2 "), Text("3")], [STOP])
    everything = await read(run)
    for after in range(-1, len(everything)):
        assert await read(run, after=after) == everything[after + 1 :]


async def test_a_reader_behind_the_buffer_continues_in_the_log_without_a_gap(harness: Harness) -> None:
    harness.make_runner(max_kept_bytes=2_000)
    gate, end = asyncio.Event(), asyncio.Event()
    words: list[Step] = [[Text("word ")] for _ in range(100)]
    run = await harness.start([Text("1")], gate, *words, end, [STOP])
    reader = follow_run(run, after=-1, quiet=Quiet(MAX_S))
    seen = [*await anext(reader)]
    seen += [] if any(event.type.endswith("delta") for event in seen) else await anext(reader)
    quick = asyncio.ensure_future(read(run, after=seen[-1].sequence_number))
    gate.set()
    await settle()
    assert [events async for events in reader] == []  # after what it has seen come neither wrong events nor any others
    end.set()
    numbers = [event.sequence_number for event in [*seen, *await quick]]
    assert numbers == list(range(len(numbers)))


async def test_readers_that_join_late_or_leave_change_nothing(harness: Harness) -> None:
    gate = asyncio.Event()
    run = await harness.start([Text("1")], gate, [Text("2")], [STOP])
    leaver = follow_run(run, after=-1, quiet=Quiet(MAX_S))
    await anext(leaver)
    await leaver.aclose()
    early = asyncio.ensure_future(read(run))
    cancelled = asyncio.ensure_future(read(run))
    await settle()
    cancelled.cancel()
    late = asyncio.ensure_future(read(run))
    gate.set()
    assert check(await early)["status"] == "completed"
    assert await early == await late


async def test_a_quiet_run_gives_empty_groups_between_its_events(harness: Harness) -> None:
    gate = asyncio.Event()
    run = await harness.start(gate, [Text("1"), STOP])
    reader = follow_run(run, after=-1, quiet=Quiet(0.01))
    assert await anext(reader)
    assert [len(await anext(reader)) for _ in range(3)] == [0, 0, 0]
    gate.set()
    rest = [event async for events in reader for event in events]
    assert rest[-1].type == "response.completed"


async def test_renewals_of_the_lease_do_not_hide_that_a_run_is_quiet(harness: Harness) -> None:
    harness.make_runner(lease_s=0.03)
    run = await harness.start([Text("1")], asyncio.Event())
    reader = follow_run(run, after=-1, quiet=Quiet(0.1))
    while not any(event.type.endswith(".delta") for event in await anext(reader)):
        pass
    renewals = len(harness.store.appends)
    async with asyncio.timeout(MAX_S):
        assert [len(await anext(reader)) for _ in range(3)] == [0, 0, 0]
    assert len(harness.store.appends) > renewals + 3


async def test_an_answer_that_is_taken_over_goes_on_after_what_was_shown(harness: Harness) -> None:
    brief = make_brief(shown=["Good ", "mor"], epoch="2.a")
    first_number = brief.narration.next_number
    run = await harness.run([Text("ning")], [Text("!"), STOP], brief=brief)
    assert harness.model.shown == ["Good mor"]
    assert run.outcome is not None
    assert written(harness.store) == "ning!"
    [message] = run.outcome.response.output
    assert isinstance(message, Message)
    assert message.content == [OutputText("Good morning!")]
    new = await read(run, after=first_number - 1)
    assert [event.sequence_number for event in new] == list(range(first_number, first_number + len(new)))
    assert [event.type for event in new[:2]] == ["response.output_text.delta"] * 2
    assert new[-1].type == "response.completed"
    assert harness.store.appends[0].after == first_number - 1
    assert harness.store.appends[-1].last_number == new[-1].sequence_number


async def test_events_from_before_a_takeover_are_read_in_the_log(harness: Harness) -> None:
    brief = make_brief(shown=["Good "], epoch="2.a")
    before = brief.narration.next_number - 1
    run = await harness.run([Text("morning!"), STOP], brief=brief)
    assert await read(run, after=before)
    for after in range(-1, before):
        assert await read(run, after=after) == []


async def test_an_answer_that_is_taken_over_may_be_as_long_as_any(harness: Harness) -> None:
    harness.make_runner(max_answer_bytes=10)
    run = await harness.run([Text("123456")], [STOP], brief=make_brief(shown=["12345"], epoch="2.a"))
    assert isinstance(run.error, UpstreamError)
    assert run.outcome is not None
    assert run.outcome.response.status == "failed"


@pytest.mark.timed
async def test_an_answer_has_a_time_limit(harness: Harness) -> None:
    harness.make_runner(max_run_s=0.05)
    began = time.monotonic()
    run = await harness.run([Text("1")], asyncio.Event())
    assert time.monotonic() - began < 1
    assert run.error is not None
    assert run.error.code == "upstream_timeout"
    assert check(await read(run))["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize("error", [UpstreamError("It broke off."), InvalidPrompt("No.")])
async def test_an_error_of_the_model_fails_the_run(harness: Harness, error: Exception) -> None:
    run = await harness.run([Text("1")], error)
    final = check(await read(run))
    assert run.error is error
    assert final["error"]["message"] == str(error)


async def test_an_answer_without_an_end_has_failed(harness: Harness) -> None:
    run = await harness.run([Text("1")])
    assert check(await read(run))["status"] == "failed"


async def test_an_unexpected_error_is_logged_once_and_shown_without_details(harness: Harness) -> None:
    with capture_logs() as logs:
        run = await harness.run([Text("1")], ZeroDivisionError("secret detail"))
    final = check(await read(run))
    assert final["error"]["code"] == "server_error"
    assert "secret" not in final["error"]["message"]
    assert run.error is not None
    assert run.error.code == "internal_error"
    assert len([line for line in logs if line["log_level"] == "error"]) == 1


# --- an end that crashes ---


async def test_an_answer_whose_end_cannot_be_written_fails_at_once(harness: Harness) -> None:
    harness.store.commit_fates = [RecursionError()]
    run = await harness.run([Text("One")], [STOP])
    *_, last = await read(run)
    final = msgspec.json.decode(last.data)["response"]
    assert (final["status"], final["error"]["code"], final["output"]) == ("failed", "server_error", [])
    assert harness.memory.responses[RESPONSE_ID].status == "failed"
    assert harness.memory.responses[RESPONSE_ID].logged == last.sequence_number
