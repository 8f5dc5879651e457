"""A runner with a scripted model and a fake store."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from itertools import chain
from typing import Any

import msgspec
from msgspec.structs import replace

from prompts.answer.events import Event
from prompts.domain.signals import Finished, Text
from prompts.domain.usage import Usage
from prompts.errors import StorageFull
from prompts.ports.event_log import Entry
from prompts.ports.hosted_tools import HostedTool
from prompts.run.brief import Brief
from prompts.run.outlet import Outlet
from prompts.run.quiet import Quiet
from prompts.run.run import Run
from prompts.run.runner import Limits, Runner
from prompts.run.takeover import take_over
from tests.support.fakes.calibration import FakeCalibration
from tests.support.fakes.chat_model import ScriptedModel, Step
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.observer import FakeObserver
from tests.support.fakes.records import KeptResponse, new_root
from tests.support.fakes.response_store import Append, FakeResponseStore
from tests.support.oracle import check_events
from tests.support.sample_turn import OWNER, RESPONSE_ID, make_brief, make_draft
from tests.support.sealer import SEALER

# The limit for a run that hangs; everything here takes milliseconds.
MAX_S = 5
STOP = Finished("stop", Usage(1, 2, 3))


class Harness:
    """A runner with its fake store and scripted model."""

    def __init__(self) -> None:
        self.store = FakeResponseStore()
        self.memory = self.store.memory
        self.model = ScriptedModel([])
        self.calibration = FakeCalibration()
        self.released: list[tuple[str, bool]] = []
        self.is_full = False
        self.observer = FakeObserver()
        self.hosted_tools: list[HostedTool] = []
        self.runner = self.make_runner()
        self.place()

    def make_runner(
        self, *, max_runs: int = 10, max_run_s: float = MAX_S, lease_s: float = 1.0, **limits_of_runs: int
    ) -> Runner:
        """Replace the runner with one of other limits."""
        limits = Limits(max_runs=max_runs, max_run_s=max_run_s, lease_s=lease_s, **limits_of_runs)
        self.runner = Runner(
            store=self.store,
            model=self.model,
            sealer=SEALER,
            calibration=self.calibration,
            limits=limits,
            release=self.note_release,
            check_storage=self.check_storage,
            observer=self.observer,
            hosted_tools=self.hosted_tools,
        )
        return self.runner

    async def note_release(self, response_id: str) -> None:
        """The runner calls this when the model's connection of a released response is closed."""
        self.released.append((response_id, self.model.is_closed))

    def check_storage(self) -> None:
        """Refuses when the test has set `is_full`."""
        if self.is_full:
            raise StorageFull("Full.")

    def place(self, brief: Brief | None = None) -> KeptResponse:
        """Keep the sample response in the store: as it was just admitted, or as the brief of its next run says."""
        brief = brief or make_brief()
        kept = self.memory.responses.get(RESPONSE_ID)
        if kept is None or kept.draft.response != brief.response:
            draft = replace(make_draft(), response=brief.response, model_request=brief.model_request, input=brief.input)
            root, created_at = new_root(RESPONSE_ID, OWNER), brief.response.created_at
            kept = self.memory.place(draft, owner=OWNER, root=root, history=(), created_at=created_at)
        kept.epoch = brief.epoch
        shown = [Text(piece) for piece in brief.narration.find_open_text() or ()]
        if (last_number := brief.narration.next_number - 1) > kept.logged:
            kept.log.append(Entry(last_number, shown, is_last=False))
            kept.logged = last_number
        return kept

    def lose_lease(self) -> None:
        """The replica of the sample response has not been heard of for longer than its lease."""
        self.memory.responses[RESPONSE_ID].lease_until = 0

    def lose_tail(self, last_number: int) -> None:
        """A fail-over to a replica of Redis that lagged behind: the sample response's log ends here."""
        self.store.lose_tail(RESPONSE_ID, last_number)

    async def start(self, *steps: Step, brief: Brief | None = None) -> Run:
        """Start a run whose model takes these steps; of a new response unless `brief` names another."""
        self.model.steps = steps
        with self.runner.reserve():
            brief = brief or make_brief()
            self.place(brief)
            return self.runner.start(brief)

    async def run(self, *steps: Step, brief: Brief | None = None) -> Run:
        """The same, to the end of the run."""
        run = await self.start(*steps, brief=brief)
        async with asyncio.timeout(MAX_S):
            await run.wait()
        return run

    async def take_over(self) -> Run:
        """Take over the sample response, which nobody writes any more. Returns its run, which has ended."""
        await take_over(RESPONSE_ID, store=self.store, event_log=FakeEventLog(self.memory), runner=self.runner)
        run = self.runner.find(RESPONSE_ID)
        assert run is not None
        async with asyncio.timeout(MAX_S):
            await run.wait()
        return run

    def forget_end(self) -> None:
        """Make the store ready for another run of the response."""
        self.store.outcome = None
        self.store.appends.clear()
        self.memory.responses.clear()
        self.place()


async def follow_run(
    run: Run, *, after: int = -1, quiet: Quiet, outlet: Outlet | None = None
) -> AsyncGenerator[Sequence[Event], None]:
    """What a reader of a run is given, in groups."""
    with run.listen(after=after, quiet=quiet, outlet=outlet) as listener:
        while (events := await listener.read()) is not None:
            yield events


async def read(run: Run, *, after: int = -1) -> list[Event]:
    """Follow a run to its end. Returns its events with numbers above `after`."""
    async with asyncio.timeout(MAX_S):
        return [event async for events in follow_run(run, after=after, quiet=Quiet(MAX_S)) for event in events]


def check(events: Sequence[Event]) -> dict[str, Any]:
    """The final response of a whole sequence of events."""
    return check_events([msgspec.json.decode(event.data) for event in events])


def texts(appends: Sequence[Append]) -> list[list[str]]:
    """The texts of each group."""
    return [[signal.text for signal in append.signals if isinstance(signal, Text)] for append in appends]


def written(store: FakeResponseStore) -> str:
    """The text in the log."""
    return "".join(chain.from_iterable(texts(store.appends)))


async def settle() -> None:
    """Let all tasks that can run now run."""
    for _ in range(20):
        await asyncio.sleep(0)
