"""An answer in rounds: the model calls a tool that the service runs, and is asked again; a takeover continues it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from prompts.answer.events import Narration
from prompts.domain.callees import list_callees
from prompts.domain.items import FileSearchCall, FunctionCall, FunctionCallOutput, Item, Message, text_of
from prompts.domain.model_request import ModelRequest
from prompts.domain.passages import Passage
from prompts.domain.signals import (
    Argued,
    Called,
    CalledTool,
    Finished,
    HostedCall,
    HostedReturned,
    RoundEnded,
    Signal,
    Text,
    pack,
)
from prompts.domain.text import JsonObject, TextConfig
from prompts.domain.tools import CallKind, CustomTool, FunctionChoice, FunctionTool, LocalShellTool, ToolSearchTool
from prompts.domain.usage import Usage
from prompts.errors import UpstreamError
from prompts.ports.event_log import Group
from prompts.ports.hosted_tools import Returned
from prompts.ports.responses import Seized
from prompts.run.answering import MAX_ROUNDS
from prompts.run.brief import Brief
from prompts.run.ending import end_seized, retell
from prompts.run.run import Run
from tests.support.fakes.chat_model import Step
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.response_store import FakeResponseStore
from tests.support.runner_harness import MAX_S, STOP, Harness, check, read, settle
from tests.support.sample_turn import OWNER, RESPONSE_ID, make_brief, make_draft

SEARCH = FunctionTool(name="search", description="Search the files.")
CALL = HostedCall("call_1", "file_search", "search", '{"query":"code"}')
CALLS: list[Signal] = [Called(0, "call_1", "search"), Argued(0, '{"query":'), Argued(0, '"code"}')]
ASKS_FOR_SEARCH: Sequence[Step] = [CALLS, [Finished("stop", Usage(10, 5, 15))]]
ANSWERS: Sequence[Step] = [[Text("The code "), Text("is 4711.")], [Finished("stop", Usage(20, 4, 24))]]


@dataclass
class FakeSearch:
    """A `HostedTool` that returns what the test says, when it says so. It records the log at its start."""

    store: FakeResponseStore
    found: str = "[1] The code is 4711."
    gate: asyncio.Event | None = None
    kind: str = "file_search"
    error: Exception | None = None
    ran: list[tuple[HostedCall, list[Signal]]] = field(default_factory=list)
    is_stopped: bool = False

    def find_function(self, request: ModelRequest) -> FunctionTool | None:
        """See `HostedTool.find_function`."""
        return SEARCH

    def find_first_call(self, request: ModelRequest, items: Sequence[Item]) -> HostedCall | None:
        """See `HostedTool.find_first_call`."""
        return None

    async def run(self, call: HostedCall, *, request: ModelRequest, owner: str, given: Sequence[Passage]) -> Returned:
        """See `HostedTool.run`."""
        self.ran.append((call, logged(self.store)))
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.is_stopped = True
            raise
        if self.error is not None:
            raise self.error
        return Returned(self.found)


def logged(store: FakeResponseStore) -> list[Signal]:
    """The signals in the log."""
    return [signal for append in store.appends for signal in append.signals]


@pytest.fixture
def search(harness: Harness) -> FakeSearch:
    """A search that the service runs."""
    search = FakeSearch(harness.store)
    harness.hosted_tools = [search]
    harness.make_runner()
    return search


def told(items: Sequence[Item]) -> list[str]:
    """The model's input in short form."""
    shown = []
    for item in items:
        match item:
            case Message(role=role):
                shown.append(f"{role}: {text_of(item)}")
            case FunctionCall(name=name, arguments=arguments):
                shown.append(f"call {name} {arguments}")
            case FunctionCallOutput(output=str(output)):
                shown.append(f"gave {output}")
    return shown


# --- two rounds ---


@pytest.mark.usefixtures("search")
async def test_the_model_is_asked_again_with_what_the_tool_gave(harness: Harness) -> None:
    harness.model.answers = [ASKS_FOR_SEARCH, ANSWERS]
    run = await harness.run()
    final = check(await read(run))
    assert final["status"] == "completed"
    assert [item["type"] for item in final["output"]] == ["file_search_call", "message"]
    assert final["output"][0]["queries"] == ["code"]
    assert final["output"][0]["status"] == "completed"
    first, second = harness.model.asked
    assert told(first) == ["user: Hello"]
    assert told(second) == ["user: Hello", 'call search {"query":"code"}', "gave [1] The code is 4711."]
    assert [callee.name for callee, _ in list_callees(harness.model.requests[0].offered)] == ["search"]
    usage = final["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (30, 9, 39)


@pytest.mark.usefixtures("search")
async def test_its_events_are_told_in_the_documented_order(harness: Harness) -> None:
    harness.model.answers = [ASKS_FOR_SEARCH, ANSWERS]
    run = await harness.run()
    names = [event.type.removeprefix("response.") for event in await read(run)]
    assert names[2:8] == [
        "output_item.added",
        "file_search_call.in_progress",
        "file_search_call.searching",
        "file_search_call.completed",
        "output_item.done",
        "output_item.added",
    ]


async def test_each_step_begins_when_the_log_has_what_was_before(harness: Harness, search: FakeSearch) -> None:
    seen: list[list[Signal]] = []

    async def look() -> None:
        seen.append(logged(harness.store))

    harness.model.answers = [ASKS_FOR_SEARCH, [look, *ANSWERS]]
    await harness.run()
    assert search.ran == [(CALL, [RoundEnded([CALL], Usage(10, 5, 15))])]
    assert seen == [[RoundEnded([CALL], Usage(10, 5, 15)), HostedReturned("call_1", search.found)]]


@pytest.mark.usefixtures("search")
async def test_what_was_said_before_the_call_is_told_and_stays(harness: Harness) -> None:
    harness.model.answers = [[[Text("Let me look.")], *ASKS_FOR_SEARCH], ANSWERS]
    run = await harness.run()
    final = check(await read(run))
    assert [item["type"] for item in final["output"]] == ["message", "file_search_call", "message"]
    assert told(harness.model.asked[1])[1:] == [
        "assistant: Let me look.",
        'call search {"query":"code"}',
        "gave [1] The code is 4711.",
    ]


async def test_a_call_of_the_clients_ends_the_answer_whatever_else_was_called(
    harness: Harness, search: FakeSearch
) -> None:
    both: Sequence[Step] = [[*CALLS, Called(1, "call_2", "ping")], [Finished("stop")]]
    harness.model.answers = [both]
    brief = make_brief()
    request = replace(brief.model_request, tools=[FunctionTool(name="ping")])
    run = await harness.run(brief=Brief(**{**slots(brief), "model_request": request}))
    assert [item["type"] for item in check(await read(run))["output"]] == ["function_call"]
    assert search.ran == []


async def test_a_model_that_never_stops_to_call_is_offered_nothing_in_the_end(
    harness: Harness, search: FakeSearch
) -> None:
    run = await harness.run(*ASKS_FOR_SEARCH)
    assert isinstance(run.error, UpstreamError)
    assert len(search.ran) == MAX_ROUNDS
    assert harness.model.requests[-1].offered == []


async def test_calls_of_hosted_tools_beyond_the_limit_are_ignored(harness: Harness, search: FakeSearch) -> None:
    two: Sequence[Step] = [[*CALLS, Called(1, "call_2", "search"), Argued(1, "{}")], [Finished("stop")]]
    harness.model.answers = [two, ANSWERS]
    brief = make_brief()
    request = replace(brief.model_request, max_tool_calls=1)
    run = await harness.run(brief=Brief(**{**slots(brief), "model_request": request}))
    assert [item["type"] for item in check(await read(run))["output"]] == ["file_search_call", "message"]
    assert [call.call_id for call, _ in search.ran] == ["call_1"]
    assert harness.model.requests[-1].offered == []


@pytest.mark.usefixtures("search")
async def test_a_call_that_was_demanded_is_demanded_once(harness: Harness) -> None:
    harness.model.answers = [ASKS_FOR_SEARCH, ANSWERS]
    brief = make_brief()
    request = replace(brief.model_request, tool_choice=FunctionChoice("search"))
    await harness.run(brief=Brief(**{**slots(brief), "model_request": request}))
    assert [request.tool_choice for request in harness.model.requests] == [FunctionChoice("search"), "auto"]


@pytest.mark.usefixtures("search")
async def test_the_answers_budget_is_that_of_all_rounds(harness: Harness) -> None:
    harness.model.answers = [ASKS_FOR_SEARCH, ANSWERS]
    brief = make_brief()
    request = replace(brief.model_request, max_output_tokens=16)
    await harness.run(brief=Brief(**{**slots(brief), "model_request": request}))
    assert [request.max_output_tokens for request in harness.model.requests] == [16, 11]


async def test_a_tool_that_fails_fails_the_answer(harness: Harness, search: FakeSearch) -> None:
    harness.model.answers = [ASKS_FOR_SEARCH]
    search.error = UpstreamError("The search broke.")
    run = await harness.run()
    final = check(await read(run))
    assert final["error"] == {"code": "server_error", "message": "The search broke."}
    assert [item["status"] for item in final["output"]] == ["incomplete"]


# --- cancelled and taken over in between ---


async def test_a_cancellation_between_two_rounds_stops_the_tool(harness: Harness, search: FakeSearch) -> None:
    search.gate = asyncio.Event()
    harness.model.answers = [ASKS_FOR_SEARCH]
    run = await harness.start()
    await settle()
    assert search.ran
    harness.runner.let_go(RESPONSE_ID, "2.b")
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert search.is_stopped
    assert run.outcome is None
    log = FakeEventLog(harness.memory)
    seized = await harness.store.seize(RESPONSE_ID, owner=OWNER, lease_s=MAX_S)
    assert isinstance(seized, Seized)
    outcome = await end_seized(seized, await retell(seized.response, event_log=log), store=harness.store)
    assert outcome.response.status == "cancelled"
    [item] = outcome.response.output
    assert isinstance(item, FileSearchCall)
    assert (item.status, item.queries) == ("incomplete", ["code"])


async def test_a_tool_that_was_lost_while_it_ran_is_run_again(harness: Harness, search: FakeSearch) -> None:
    harness.model.answers = [ANSWERS]
    run = await take(harness, [RoundEnded([CALL], Usage(10, 5, 15))])
    assert [call for call, _ in search.ran] == [CALL]
    check_answered(harness, run)


async def test_a_tool_that_had_returned_is_not_run_again(harness: Harness, search: FakeSearch) -> None:
    harness.model.answers = [ANSWERS]
    run = await take(harness, [RoundEnded([CALL], Usage(10, 5, 15))], [HostedReturned("call_1", search.found)])
    assert search.ran == []
    check_answered(harness, run)


async def test_an_answer_lost_in_its_second_round_goes_on_in_it(harness: Harness, search: FakeSearch) -> None:
    harness.model.answers = [[[Text("is 4711.")], [Finished("stop", Usage(20, 4, 24))]]]
    run = await take(
        harness,
        [Text("Let me look.")],
        [RoundEnded([CALL], Usage(10, 5, 15))],
        [HostedReturned("call_1", search.found)],
        [Text("The code ")],
    )
    assert search.ran == []
    assert harness.model.shown == ["The code "]
    assert told(harness.model.asked[0])[1:] == [
        "assistant: Let me look.",
        'call search {"query":"code"}',
        "gave [1] The code is 4711.",
    ]
    assert run.outcome is not None
    assert [type(item) for item in run.outcome.response.output] == [Message, FileSearchCall, Message]
    last = run.outcome.response.output[-1]
    assert isinstance(last, Message)
    assert text_of(last) == "The code is 4711."


async def test_a_tool_that_is_not_offered_any_more_is_said_to_be_gone(harness: Harness) -> None:
    """Another release had it."""
    harness.model.answers = [ANSWERS]
    await take(harness, [RoundEnded([CALL], None)])
    assert told(harness.model.asked[0])[-1] == "gave This tool is not available any more."


def check_answered(harness: Harness, run: Run) -> None:
    """Check that the answer used the passage that was found, and that usage counts both rounds."""
    assert told(harness.model.asked[0])[1:] == ['call search {"query":"code"}', "gave [1] The code is 4711."]
    assert run.outcome is not None
    ended = run.outcome.response
    assert [type(item) for item in ended.output] == [FileSearchCall, Message]
    assert ended.usage is not None
    assert ended.usage.total_tokens >= 39  # and about what a lost run has used


async def take(harness: Harness, *groups: list[Signal]) -> Run:
    """Take over a response whose log holds these groups. Returns its run, which has ended."""
    narration = Narration(make_draft().response)
    narration.opening()
    for signals in groups:
        after = narration.next_number - 1
        narration.tell(signals)
        group = Group(after, narration.next_number - 1, pack(signals))
        await harness.store.append(RESPONSE_ID, group, epoch="1", lease_s=1)
    harness.lose_lease()
    return await harness.take_over()


def slots(brief: Brief) -> dict[str, Any]:
    """The brief's fields by name."""
    return {name: getattr(brief, name) for name in Brief.__struct_fields__}


# --- what nobody could read ---


def brief_of(request: ModelRequest) -> Brief:
    """The brief of the sample turn with this request."""
    return replace(make_brief(), model_request=request)


@pytest.mark.parametrize("depth", [101, 700, 980, 1_500, 100_000])
async def test_a_call_that_nobody_could_read_fails_the_answer(harness: Harness, depth: int) -> None:
    request = ModelRequest(model="stand-in", tools=[FunctionTool(name="f")])
    deep: list[Signal] = [Called(0, "call_1", "f"), Argued(0, "[" * depth), Argued(0, "]" * depth)]
    run = await harness.run(deep, [STOP], brief=brief_of(request))
    final = check(await read(run))
    assert (final["status"], final["error"]["code"]) == ("failed", "server_error")
    assert "100 levels" in final["error"]["message"]


@pytest.mark.parametrize("kind", ["tool_search", "local_shell"])
@pytest.mark.parametrize("reason", ["stop", "length"])
async def test_no_depth_of_a_call_stops_its_answer_from_ending(
    harness: Harness, kind: CallKind, reason: Literal["stop", "length"]
) -> None:
    tool = ToolSearchTool() if kind == "tool_search" else LocalShellTool()
    deep = '{"x":' * 700 + "{}" + "}" * 700
    called: list[Signal] = [CalledTool(0, "call_1", kind, kind), Argued(0, deep)]
    request = ModelRequest(model="stand-in", tools=[tool])
    run = await harness.run(called, [Finished(reason, Usage(1, 2, 3))], brief=brief_of(request))
    assert check(await read(run))["status"] == ("failed" if reason == "stop" else "incomplete")


async def test_a_custom_tools_input_is_any_text(harness: Harness) -> None:
    called: list[Signal] = [CalledTool(0, "call_1", "f", "custom"), Argued(0, "[" * 1_500)]
    request = ModelRequest(model="stand-in", tools=[CustomTool(name="f")])
    assert check(await read(await harness.run(called, [STOP], brief=brief_of(request))))["status"] == "completed"


async def test_a_document_that_nobody_could_read_fails_the_answer(harness: Harness) -> None:
    request = ModelRequest(model="stand-in", text=TextConfig(format=JsonObject()))
    run = await harness.run([Text('{"x":' * 200), Text("1" + "}" * 200)], [STOP], brief=brief_of(request))
    assert check(await read(run))["status"] == "failed"
    harness.forget_end()
    run = await harness.run([Text('{"x":' * 200)], [STOP], brief=make_brief())
    assert check(await read(run))["status"] == "completed", "plain text may hold what it likes"
