"""Following beyond what a process keeps: the rest is read from the log, without a hole and without a repeat."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from prompts import reading
from prompts.domain import Response
from prompts.events import Event, Finished, Text
from prompts.follow import follow_response
from prompts.ports import Entry, Watch
from prompts.runner import Limits, Runner
from tests.fakes import RESPONSE_ID, FakeResponseStore, ScriptedModel, Step, make_draft, make_model_input

MAX_S = 5
WORDS = 300


class NeverGrown:
    """`Watch` of a log that nobody writes to."""

    async def wait(self, within_s: float) -> bool:
        """See `Watch.wait`."""
        raise AssertionError("there is nothing to wait for")

    async def wait_released(self, within_s: float) -> bool:
        """See `Watch.wait_released`."""
        raise AssertionError("nobody let it go")


class FakeEventLog:
    """`EventLog` of what a fake store was given; two entries a read."""

    def __init__(self, store: FakeResponseStore) -> None:
        self._store = store
        self.is_read = False

    async def get_echo(self, response_id: str, *, owner: str) -> Response:
        """See `EventLog.get_echo`."""
        return make_draft().response

    async def read(self, response_id: str, *, after: int) -> Sequence[Entry]:
        """See `EventLog.read`."""
        self.is_read = True
        groups = [Entry(append.last_number, append.signals, is_last=False) for append in self._store.appends]
        *rest, last = [Entry(1, [], is_last=False), *groups]
        entries = [*rest, Entry(last.last_number, last.signals, is_last=self._store.outcome is not None)]
        return [entry for entry in entries if entry.last_number > after][:2]

    @asynccontextmanager
    async def watch(self, response_id: str) -> AsyncIterator[Watch]:
        """See `EventLog.watch`."""
        yield NeverGrown()


@pytest.mark.parametrize("signals_a_slice", [1, 7, 1000])
async def test_a_reader_that_falls_behind_goes_on_from_the_log(
    monkeypatch: pytest.MonkeyPatch, signals_a_slice: int
) -> None:
    monkeypatch.setattr("prompts.run.MAX_KEPT_BYTES", 2_000)
    monkeypatch.setattr(reading, "SIGNALS_A_SLICE", signals_a_slice)
    store, gate = FakeResponseStore(), asyncio.Event()
    words: list[Step] = [[Text(f"{number} ")] for number in range(WORDS)]
    steps: list[Step] = [[Text("first ")], store.called, gate, *words, [Finished("stop")]]
    runner = Runner(
        store=store,
        model=ScriptedModel(steps),
        limits=Limits(max_runs=1, max_run_s=MAX_S, lease_s=1),
        release=lambda _: asyncio.sleep(0),
        check_storage=lambda: None,
    )
    draft = make_draft()
    admitted = await store.admit(draft, owner="alice", history_tokens=0, lease_s=1)
    run = runner.start(draft, admitted, [], owner="alice", model_input=make_model_input())
    log = FakeEventLog(store)
    reader = follow_response(RESPONSE_ID, owner="alice", quiet_s=MAX_S, run=run, store=store, event_log=log)
    seen: list[Event] = [*await anext(reader)]
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
        async for events in reader:
            seen += events
    assert log.is_read
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert seen[-1].type == "response.completed"
    assert len([event for event in seen if event.type.endswith(".delta")]) == WORDS + 1
    assert store.outcome is not None
    assert seen[-1].data.endswith(store.outcome.result + b"}")
