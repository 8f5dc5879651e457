"""Taking over a lost response: begun, continued or ended, depending on its log and its cancel mark."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from msgspec.structs import replace

from prompts.answer.events import TERMINAL, Narration
from prompts.domain.items import (
    InputText,
    Item,
    Message,
    OutputText,
    Part,
    Refusal,
    text_of,
)
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import Status
from prompts.domain.signals import Compacted, Finished, Refused, Signal, Text, pack
from prompts.domain.usage import Usage
from prompts.errors import BrokenRecord, StaleRun, StreamExpired, TailLost, Unavailable
from prompts.history.estimates import estimate_items
from prompts.ports.event_log import Group
from prompts.run.followers import Followers
from prompts.run.following import follow_response
from prompts.run.quiet import Quiet
from prompts.run.run import Run
from prompts.run.takeover import MAX_ATTEMPTS, take_over
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.records import KeptResponse
from tests.support.items import said
from tests.support.runner_harness import MAX_S, STOP, Harness, check, follow_run, settle, written
from tests.support.sample_turn import RESPONSE_ID, make_draft
from tests.support.sealer import SEALER

REQUEST = ModelRequest(model="stand-in", max_output_tokens=10)
EARLIER = Message(id="msg_0a" + "1" * 30, status="completed", role="user", content=[InputText("I am Ada.")])


class Lost:
    """A response whose first run was lost, and a replica that finds it."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.log = FakeEventLog(harness.memory)

    @property
    def kept(self) -> KeptResponse:
        """The response as the store has it."""
        return self.harness.memory.responses[RESPONSE_ID]

    async def write(self, *groups: Sequence[Signal]) -> None:
        """Write to the log as its first run."""
        narration = Narration(make_draft().response)
        narration.opening()
        for signals in groups:
            after = narration.next_number - 1
            narration.tell(signals)
            group = Group(after, narration.next_number - 1, pack(signals))
            await self.harness.store.append(RESPONSE_ID, group, epoch="1", lease_s=1)

    def lose(
        self,
        *,
        attempts: int = 2,
        ending: str = "",
        window: Sequence[Item] = (EARLIER,),
        model_request: ModelRequest = REQUEST,
    ) -> None:
        """Let its lease expire. The next run is attempt number `attempts`."""
        kept = self.kept
        response = replace(kept.draft.response, instructions="Be kind.")
        kept.draft = replace(kept.draft, response=response, model_request=model_request)
        kept.history, given = tuple(window), len(window)
        kept.model_input = replace(
            kept.model_input, history_items=given, history_tokens=estimate_items(window), dropped_items=3
        )
        # A hand-over does not count as an attempt that was lost.
        kept.ending, kept.attempts, kept.is_released = ending, max(1, attempts - 1), attempts == 1
        self.harness.lose_lease()

    async def find(self, **state: Any) -> Run | None:
        """Lose it in this state (see `lose`) and take it over. Returns the run that continues it, if any."""
        self.lose(**state)
        await take_over(RESPONSE_ID, store=self.harness.store, event_log=self.log, runner=self.harness.runner)
        return self.harness.runner.find(RESPONSE_ID)

    async def check_ended(self, status: str, text: str) -> dict[str, Any]:
        """Check its status and text, and that a reader gets all events from first to last."""
        following = follow_response(
            RESPONSE_ID,
            owner="alice",
            quiet_s=MAX_S,
            run=None,
            store=self.harness.store,
            event_log=self.log,
            followers=Followers(),
        )
        async with asyncio.timeout(MAX_S):
            final = check([event async for events in following for event in events])
        assert final["status"] == status
        assert [part.get("text", part.get("refusal")) for item in final["output"] for part in item["content"]] == (
            [text] if text else []
        )
        assert final["eps:model_input"]["dropped_items"] == 3
        return final


@pytest.fixture
def lost(harness: Harness) -> Lost:
    return Lost(harness)


# --- it goes on ---


@pytest.mark.parametrize("shown", [[], ["47"]], ids=["before the answer", "in the middle"])
async def test_a_compacted_answer_goes_on_from_its_compaction(lost: Lost, shown: list[str]) -> None:
    seal = SEALER.seal("alice", "compaction", "The code is 4711.")
    await lost.write([Compacted(seal, Usage(500, 10, 510))], *([Text(text)] for text in shown))
    lost.harness.model.steps = [[Text("11" if shown else "4711"), Finished("stop", Usage(40, 2, 42))]]
    window = [EARLIER, said("assistant", "The code is 4711, as I said. " * 100)]
    run = await lost.find(window=window, model_request=ModelRequest(model="stand-in", compact_threshold=10))
    assert run is not None
    async with asyncio.timeout(MAX_S):
        await run.wait()
    [asked] = lost.harness.model.asked
    given = [text_of(item).rpartition("\n\n")[2] for item in asked if isinstance(item, Message)]
    assert given == ["Be kind.", "I am Ada.", "The code is 4711.", "Hello"]
    assert lost.harness.model.shown == ["".join(shown)]
    assert run.outcome is not None
    ended = run.outcome.response
    assert [getattr(item, "encrypted_content", None) for item in ended.output] == [seal, None]
    assert ended.usage is not None
    assert ended.usage.input_tokens > 540  # the compaction, the lost run, the last one
    assert ended.usage_estimated is True


async def test_an_answer_that_had_not_begun_begins(lost: Lost) -> None:
    lost.harness.model.steps = [[Text("Good morning!"), STOP]]
    run = await lost.find()
    assert run is not None
    assert run.epoch.startswith("2.")
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert lost.harness.model.shown == [""]
    [asked] = lost.harness.model.asked
    given = [(item.role, text_of(item)) for item in asked if isinstance(item, Message)]
    assert given == [("system", "Be kind."), ("user", "I am Ada."), ("user", "Hello")]
    assert lost.harness.model.requests == [REQUEST]
    await lost.check_ended("completed", "Good morning!")
    assert lost.harness.store.outcome is not None
    assert [item.id for item in lost.harness.store.outcome.items][:1] == [make_draft().input[0].id]


async def test_an_answer_that_had_begun_is_continued(lost: Lost) -> None:
    await lost.write([Text("Good ")], [Text("mor"), Text("n")])
    lost.harness.model.steps = [[Text("ing!")], [STOP]]
    run = await lost.find()
    assert run is not None
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert lost.harness.model.shown == ["Good morn"]
    # A piece is at least one token, so this is what is left of the answer's budget.
    assert lost.harness.model.requests == [ModelRequest(model="stand-in", max_output_tokens=7)]
    await lost.check_ended("completed", "Good morning!")
    assert written(lost.harness.store) == "Good morning!"
    assert lost.harness.store.appends[2].after == lost.harness.store.appends[1].last_number


async def test_an_answer_without_a_budget_is_continued_without_one(lost: Lost) -> None:
    await lost.write([Text("Good ")])
    lost.harness.model.steps = [[Text("day."), STOP]]
    run = await lost.find(model_request=ModelRequest(model="stand-in"))
    assert run is not None
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert lost.harness.model.requests == [ModelRequest(model="stand-in")]
    await lost.check_ended("completed", "Good day.")


async def test_an_answer_may_be_taken_over_again(lost: Lost) -> None:
    await lost.write([Text("One ")])
    lost.harness.model.steps = [[Text("two ")], asyncio.Event()]
    first = await lost.find()
    assert first is not None
    await settle()
    await lost.harness.runner.close()
    assert first.is_handed_over
    lost.harness.make_runner()
    lost.harness.model.steps = [[Text("three"), STOP]]
    second = await lost.find()
    assert second is not None
    async with asyncio.timeout(MAX_S):
        await second.wait()
    assert lost.harness.model.shown == ["One ", "One two "]
    await lost.check_ended("completed", "One two three")


@pytest.mark.parametrize("attempts", [1, MAX_ATTEMPTS])
async def test_as_many_runs_as_are_allowed_go_on(lost: Lost, attempts: int) -> None:
    await lost.write([Text("One")])
    lost.harness.model.steps = [[STOP]]
    run = await lost.find(attempts=attempts)
    assert run is not None
    async with asyncio.timeout(MAX_S):
        await run.wait()
    await lost.check_ended("completed", "One")


# --- it ends ---


async def check_not_asked(lost: Lost, run: Run | None) -> None:
    """Check that the model was not asked."""
    assert run is None
    assert lost.harness.model.asked == []


@pytest.mark.parametrize("text", ["", "One "])
async def test_a_cancelled_answer_is_ended_as_it_stands(lost: Lost, text: str) -> None:
    await lost.write(*([[Text(text)]] if text else []))
    await check_not_asked(lost, await lost.find(ending="cancelled", attempts=MAX_ATTEMPTS + 1, window=[]))
    await lost.check_ended("cancelled", text)
    outcome = lost.harness.store.outcome
    assert outcome is not None
    assert outcome.failure is None
    assert len(outcome.items) == 1 + bool(text)


@pytest.mark.parametrize("text", ["", "One "])
async def test_an_answer_that_takes_its_replicas_down_fails(lost: Lost, text: str) -> None:
    await lost.write(*([[Text(text)]] if text else []))
    await check_not_asked(lost, await lost.find(attempts=MAX_ATTEMPTS + 1))
    final = await lost.check_ended("failed", text)
    assert final["error"]["code"] == "replica_lost"
    outcome = lost.harness.store.outcome
    assert outcome is not None
    assert outcome.items == []
    assert outcome.failure is not None
    assert outcome.failure.code == "replica_lost"


async def test_an_answer_whose_log_has_lost_what_was_shown_fails(lost: Lost) -> None:
    await lost.write([Text("One ")])
    await check_not_asked(lost, await lost.find(ending="failed"))
    assert "fail-over" in (await lost.check_ended("failed", "One "))["error"]["message"]


def contents(lost: Lost) -> list[Part]:
    """The parts of the only message in the final response."""
    assert lost.harness.store.outcome is not None
    [message] = lost.harness.store.outcome.response.output
    assert isinstance(message, Message)
    return message.content


async def test_a_refusal_that_was_shown_is_not_continued(lost: Lost) -> None:
    await lost.write([Refused("I will ")], [Refused("not")])
    await check_not_asked(lost, await lost.find())
    assert (await lost.check_ended("failed", "I will not"))["error"]["code"] == "replica_lost"
    assert lost.harness.store.outcome is not None
    assert contents(lost) == [Refusal("I will not")]


async def test_text_after_which_a_refusal_began_is_not_continued(lost: Lost) -> None:
    await lost.write([Text("Well, ")], [Refused("no")], [Text(" more")])
    await check_not_asked(lost, await lost.find())
    assert lost.harness.store.outcome is not None
    assert lost.harness.store.outcome.response.status == "failed"
    parts = [OutputText("Well, "), Refusal("no"), OutputText(" more")]
    assert contents(lost) == parts


@pytest.mark.parametrize("left", [0, -1])
async def test_an_answer_that_has_used_up_its_tokens_is_incomplete(lost: Lost, left: int) -> None:
    await lost.write([Text("One "), Text("two ")], [Text("three")])
    request = ModelRequest(model="stand-in", max_output_tokens=3 + left)
    await check_not_asked(lost, await lost.find(model_request=request))
    final = await lost.check_ended("incomplete", "One two three")
    assert final["incomplete_details"] == {"reason": "max_output_tokens"}
    assert lost.harness.store.appends[-1].signals == [Finished("length")]
    assert lost.harness.store.outcome is not None
    assert len(lost.harness.store.outcome.items) == 2


async def test_one_token_that_is_left_is_asked_for(lost: Lost) -> None:
    await lost.write([Text("One "), Text("two ")])
    lost.harness.model.steps = [[Text("three"), Finished("length")]]
    run = await lost.find(model_request=ModelRequest(model="stand-in", max_output_tokens=3))
    assert run is not None
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert lost.harness.model.requests == [ModelRequest(model="stand-in", max_output_tokens=1)]
    await lost.check_ended("incomplete", "One two three")


# --- it is left to others ---


async def test_a_replica_that_is_leaving_seizes_nothing(lost: Lost) -> None:
    await lost.harness.runner.close()
    assert await lost.find() is None
    assert lost.harness.store.seizures == 0


async def test_a_replica_that_is_full_seizes_nothing(lost: Lost) -> None:
    lost.harness.make_runner(max_runs=1)
    with lost.harness.runner.reserve():
        assert await lost.find() is None
    assert lost.harness.store.seizures == 0


async def test_a_full_store_does_not_keep_an_answer_from_going_on(lost: Lost) -> None:
    lost.harness.is_full = True
    lost.harness.model.steps = [[STOP]]
    assert await lost.find() is not None


@pytest.mark.parametrize("status", ["in_progress", "completed", "cancelled"])
async def test_a_response_that_another_replica_took_or_ended_is_left_alone(lost: Lost, status: Status) -> None:
    lost.kept.status = status
    lost.kept.renew_lease(MAX_S)
    await take_over(RESPONSE_ID, store=lost.harness.store, event_log=lost.log, runner=lost.harness.runner)
    assert lost.harness.runner.find(RESPONSE_ID) is None
    assert not lost.log.is_read
    assert lost.harness.store.tries == 0


async def test_the_slower_of_two_replicas_writes_no_end(lost: Lost) -> None:
    lost.harness.store.commit_fates = [StaleRun()]
    await check_not_asked(lost, await lost.find(ending="cancelled"))
    assert lost.harness.store.outcome is None


@pytest.mark.parametrize("error", [StreamExpired("lost"), RecursionError(), TailLost(1), BrokenRecord("odd")])
@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_behind_the_last_attempt_it_ends_whatever_cannot_be_read(
    lost: Lost, error: Exception, is_cancelled: bool
) -> None:
    await lost.write([Text("One")])
    lost.log.read_fates = [error]
    await check_not_asked(lost, await lost.find(attempts=MAX_ATTEMPTS + 1, ending="cancelled" if is_cancelled else ""))
    assert lost.kept.status == ("cancelled" if is_cancelled else "failed")
    assert lost.kept.failure is None or lost.kept.failure.code == "replica_lost"


async def test_behind_the_last_attempt_it_ends_whatever_cannot_be_written(lost: Lost) -> None:
    lost.harness.store.commit_fates = [RecursionError()]
    await check_not_asked(lost, await lost.find(attempts=MAX_ATTEMPTS + 1))
    assert lost.kept.status == "failed"


@pytest.mark.parametrize("error", [Unavailable("away"), StreamExpired("lost"), RecursionError()])
async def test_a_log_that_cannot_be_read_is_tried_again_later(lost: Lost, error: Exception) -> None:
    await lost.write([Text("One")])
    lost.log.read_fates = [error]
    with pytest.raises(Unavailable) if isinstance(error, Unavailable) else nullcontext():
        await lost.find()
    assert lost.harness.runner.find(RESPONSE_ID) is None
    assert [append.signals for append in lost.harness.store.appends] == [[Text("One")]]
    with lost.harness.runner.reserve():  # the place is free again
        pass


async def test_a_response_that_is_taken_away_while_its_log_is_read_is_not_begun(lost: Lost) -> None:
    """Its owner cancels it between the seizure and the first step."""
    await lost.write([Text("One")])
    lost.log.read_fates = [gate := asyncio.Event()]
    lost.harness.model.steps = [asyncio.Event()]
    finding = asyncio.ensure_future(lost.find())
    await settle()
    lost.harness.runner.let_go(RESPONSE_ID, "3.b")
    gate.set()
    run = await finding
    assert run is not None
    async with asyncio.timeout(MAX_S):
        await run.wait()
    await settle()
    assert run.is_let_go
    assert lost.harness.released
    assert (run.outcome, lost.harness.store.outcome) == (None, None)


async def test_no_event_shows_a_takeover(lost: Lost) -> None:
    """A follower sees a pause: the log of two runs reads like that of one."""
    await lost.write([Text("Good ")])
    lost.harness.model.steps = [[Text("day."), STOP]]
    run = await lost.find()
    assert run is not None
    async with asyncio.timeout(MAX_S):
        await run.wait()
    narration = Narration(lost.kept.draft.response)
    told = [*narration.opening(), *narration.tell([Text("Good "), Text("day.")])]
    assert lost.kept.logged == run.last_number
    new = [
        event
        async for events in follow_run(run, after=told[-2].sequence_number, quiet=Quiet(MAX_S))
        for event in events
    ]
    assert new[0] == told[-1]
    assert new[-1].type in TERMINAL
