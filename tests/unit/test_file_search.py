"""The search in files while an answer is made: called by the model, demanded, or made by itself; and taken over."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from prompts.answer.events import Narration
from prompts.domain.callees import list_callees
from prompts.domain.items import (
    FileSearchCall,
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Item,
    Message,
    OutputText,
    text_of,
)
from prompts.domain.model_request import ModelRequest
from prompts.domain.passages import Comparison, Compound, Filter, Passage
from prompts.domain.signals import Argued, Called, Finished, HostedReturned, RoundEnded, Signal, Text, pack
from prompts.domain.text import JsonObject, TextConfig
from prompts.domain.tools import (
    AllowedTools,
    FileSearchChoice,
    FileSearchTool,
    FunctionChoice,
    FunctionTool,
    HybridWeights,
    RankingOptions,
    Tool,
    ToolChoice,
)
from prompts.domain.usage import Usage
from prompts.errors import NotFound, Unavailable, UpstreamError
from prompts.ports.event_log import Group
from prompts.ports.passage_index import Ranking
from prompts.ports.responses import Seized
from prompts.run.answering import MAX_CALLS
from prompts.run.brief import Brief
from prompts.run.ending import end_seized, retell
from prompts.run.file_search import FileSearch
from prompts.run.run import Run
from tests.support.fakes.chat_model import Step
from tests.support.fakes.event_log import FakeEventLog
from tests.support.runner_harness import MAX_S, Harness, check, read, settle
from tests.support.sample_turn import OWNER, RESPONSE_ID, make_brief

MUNICH, BERLIN = "In Munich the notice period is four weeks.", "In Berlin the notice period is six weeks."
FILES = {"vs_1": [MUNICH, BERLIN, "The canteen opens at noon."], "vs_2": ["The code is 4711."]}
CALLS: list[Signal] = [Called(0, "call_1", "file_search"), Argued(0, '{"queries":["notice period Munich"]}')]
STOPS: list[Signal] = [Finished("stop", Usage(10, 5, 15))]
SEARCHES: Sequence[Step] = [CALLS, STOPS]
ANSWERS: Sequence[Step] = [[Text("Four"), Text(" weeks"), Text(" ["), Text("1"), Text("].")], STOPS]


@dataclass
class FakeStores:
    """Finds the passages that share most words with any of the queries, in the vector stores of `FILES`."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None

    async def __call__(
        self,
        queries: Sequence[str],
        *,
        store_ids: Sequence[str],
        owner: str,
        where: Filter | None,
        limit: int,
        ranking: Ranking,
    ) -> Sequence[Passage]:
        """See `SearchStores`."""
        self.asked.append(
            {"queries": queries, "store_ids": store_ids, "owner": owner, "where": where, "limit": limit, "by": ranking}
        )
        if self.error is not None:
            raise self.error
        for store_id in store_ids:
            if store_id not in FILES:
                raise NotFound(f"Vector store '{store_id}' not found.", code="vector_store_not_found")
        found = [
            Passage(
                vector_store_id=store_id,
                file_id=f"file-{store_id}",
                filename=f"{store_id}.md",
                number=2 * number,
                text=text,
                score=score,
                heading="Terms",
                page=number + 1,
            )
            for store_id in store_ids
            for number, text in enumerate(FILES[store_id])
            if (score := max(rate(query, text) for query in queries))
        ]
        return sorted(found, key=lambda passage: -passage.score)[:limit]


def rate(query: str, text: str) -> float:
    """The share of the query's words that the text has."""
    words, has = query.lower().replace("?", "").split(), text.lower().rstrip(".").split()
    return sum(word in has for word in words) / len(words)


@pytest.fixture
def stores(harness: Harness) -> FakeStores:
    """Files that answers of the harness may search."""
    stores = FakeStores()
    harness.hosted_tools = [FileSearch(stores, max_tokens=4_000)]
    harness.make_runner()
    return stores


def ask(
    *tools: Tool,
    choice: ToolChoice = "auto",
    said: str = "What is the notice period in Munich?",
    window: Sequence[Item] = (),
    **fields: Any,
) -> Brief:
    """The brief of a question with these tools."""
    request = ModelRequest(model="stand-in", tools=list(tools), tool_choice=choice, **fields)
    brief = make_brief()
    question = Message("msg_1", "completed", "user", [InputText(said)])
    response = replace(brief.response, tools=request.tools, text=request.text)
    return replace(
        brief, model_request=request, input=[question], window=window, response=response, narration=begin(response)
    )


def begin(response: Any) -> Narration:
    narration = Narration(response)
    narration.opening()
    return narration


def searching(*store_ids: str, **fields: Any) -> FileSearchTool:
    """The tool."""
    return FileSearchTool(vector_store_ids=list(store_ids or ("vs_1",)), **fields)


async def answer(harness: Harness, brief: Brief, *answers: Sequence[Step]) -> dict[str, Any]:
    """Run to the end. Returns the final response, after the checks of the oracle."""
    harness.model.answers = list(answers)
    run = await harness.run(brief=brief)
    return check([*brief.opening, *[event for event in await read(run) if event not in brief.opening]])


def list_offered(harness: Harness) -> list[list[str]]:
    """The names of what the model was offered, in each round."""
    return [[callee.name for callee, _ in list_callees(request.offered)] for request in harness.model.requests]


def find_output(items: Sequence[Item]) -> str:
    """What the search gave the model."""
    [output] = [item.output for item in items if isinstance(item, FunctionCallOutput)]
    assert isinstance(output, str)
    return output


# --- called by the model ---


async def test_the_model_searches_and_its_answer_cites(harness: Harness, stores: FakeStores) -> None:
    final = await answer(harness, ask(searching()), SEARCHES, ANSWERS)
    search, message = final["output"]
    assert (search["status"], search["queries"], search["results"]) == ("completed", ["notice period Munich"], None)
    [part] = message["content"]
    assert part["text"] == "Four weeks."
    assert part["annotations"] == [
        {"type": "file_citation", "file_id": "file-vs_1", "filename": "vs_1.md", "index": 10, "eps:passage": 1}
    ]
    assert list_offered(harness) == [["file_search"], ["file_search"]]
    told = find_output(harness.model.asked[1])
    assert f"[1] (vs_1.md, page 1, Terms)\n{MUNICH}\n[2] (vs_1.md, page 2, Terms)\n{BERLIN}" in told
    assert final["eps:model_input"]["passages"] == 2
    assert final["eps:model_input"]["passages_tokens"] > 20
    assert final["eps:model_input"]["dropped_passages"] == 0
    assert "eps:notices" not in final
    assert stores.asked[0]["owner"] == OWNER


@pytest.mark.usefixtures("stores")
async def test_results_are_shown_to_those_who_ask(harness: Harness) -> None:
    final = await answer(harness, ask(searching(), wants_search_results=True), SEARCHES, ANSWERS)
    assert final["output"][0]["results"][0] == {
        "file_id": "file-vs_1",
        "filename": "vs_1.md",
        "score": 1.0,
        "text": MUNICH,
        "attributes": {},
        "vector_store_id": "vs_1",
    }


@pytest.mark.usefixtures("stores")
async def test_numbers_go_on_over_several_searches(harness: Harness) -> None:
    again: list[Signal] = [Called(0, "call_2", "file_search"), Argued(0, '{"queries":["canteen opens", "notice"]}')]
    cites: Sequence[Step] = [[Text("At noon [3], in four weeks [1].")], STOPS]
    final = await answer(harness, ask(searching()), SEARCHES, [again, STOPS], cites)
    assert [item["type"] for item in final["output"]] == ["file_search_call", "file_search_call", "message"]
    assert final["output"][2]["content"][0]["text"] == "At noon, in four weeks."
    last = [item.output for item in harness.model.asked[2] if isinstance(item, FunctionCallOutput)][-1]
    assert "[3] (vs_1.md, page 3, Terms)\nThe canteen" in last
    assert MUNICH not in last
    assert "Found again: [1], [2]." in last
    outcome = harness.store.outcome
    assert outcome is not None
    assert [passage.index for passage in outcome.passages] == [1, 2, 3]
    first, second, _ = (item["id"] for item in final["output"])
    assert [passage.search_id for passage in outcome.passages] == [first, first, second]
    assert await harness.store.get_passages(RESPONSE_ID, owner=OWNER) == outcome.passages


@pytest.mark.usefixtures("stores")
async def test_two_searches_of_one_round_share_no_number(harness: Harness) -> None:
    two = [*CALLS, Called(1, "call_2", "file_search"), Argued(1, '{"queries":["canteen"]}')]
    final = await answer(harness, ask(searching(), parallel_tool_calls=True), [two, STOPS], ANSWERS)
    assert [item["type"] for item in final["output"]] == ["file_search_call", "file_search_call", "message"]
    outcome = harness.store.outcome
    assert outcome is not None
    assert [passage.index for passage in outcome.passages] == [1, 2, 3]


async def test_a_tool_says_where_and_how_to_search(harness: Harness, stores: FakeStores) -> None:
    written = {"type": "and", "filters": [{"type": "eq", "key": "city", "value": "Munich"}]}
    tool = searching(
        filters=written,
        max_num_results=3,
        ranking_options=RankingOptions(score_threshold=0.2, hybrid_search=HybridWeights(1.0, 3.0)),
    )
    await answer(harness, ask(tool), SEARCHES, ANSWERS)
    [asked] = stores.asked
    assert asked["where"] == Compound(type="and", filters=[Comparison(type="eq", key="city", value="Munich")])
    assert (asked["limit"], asked["store_ids"]) == (3, ["vs_1"])
    assert asked["by"] == Ranking(score_threshold=0.2, text_weight=0.75)


async def test_several_tools_are_one_search(harness: Harness, stores: FakeStores) -> None:
    calls: list[Signal] = [Called(0, "call_1", "file_search"), Argued(0, '{"queries":["code", "notice period"]}')]
    await answer(harness, ask(searching("vs_1"), searching("vs_2", max_num_results=5)), [calls, STOPS], ANSWERS)
    assert [asked["store_ids"] for asked in stores.asked] == [["vs_1"], ["vs_2"]]
    told = find_output(harness.model.asked[1])
    assert "[1] (vs_1.md" in told
    assert "The code is 4711." in told


@pytest.mark.usefixtures("stores")
async def test_a_clients_function_of_that_name_is_the_clients(harness: Harness) -> None:
    own = FunctionTool(name="file_search", description="Of the client.")
    final = await answer(harness, ask(own, searching()), SEARCHES)
    assert [item["type"] for item in final["output"]] == ["function_call"]
    assert list_offered(harness) == [["file_search", "search_files"]]


@pytest.mark.parametrize(
    ("choice", "offered"),
    [
        (FileSearchChoice(), ["file_search"]),
        (FunctionChoice("f"), ["f"]),
        (AllowedTools([FileSearchChoice()], "required"), ["file_search"]),
        (AllowedTools([FunctionChoice("f")]), ["f"]),
        ("required", ["f", "file_search"]),
        ("none", []),
    ],
)
@pytest.mark.usefixtures("stores")
async def test_the_clients_choice_holds(harness: Harness, choice: ToolChoice, offered: list[str]) -> None:
    brief = ask(FunctionTool(name="f"), searching(), choice=choice)
    says: Sequence[Step] = [[Text("So.")], STOPS]
    calls = SEARCHES if "file_search" in offered else says
    await answer(harness, brief, calls, ANSWERS)
    assert list_offered(harness)[0] == offered
    assert not any(isinstance(tool, FileSearchTool) for request in harness.model.requests for tool in request.tools)


@pytest.mark.usefixtures("stores")
async def test_a_demanded_search_is_demanded_once(harness: Harness) -> None:
    await answer(harness, ask(searching(), choice=FileSearchChoice()), SEARCHES, ANSWERS)
    assert [request.tool_choice for request in harness.model.requests] == [FunctionChoice("file_search"), "auto"]


async def test_calls_beyond_the_limit_are_not_made(harness: Harness, stores: FakeStores) -> None:
    await answer(harness, ask(searching(), max_tool_calls=1), SEARCHES, ANSWERS)
    assert list_offered(harness) == [["file_search"], []]
    assert len(stores.asked) == 1


@pytest.mark.parametrize("arguments", ["", "{}", "[]", '{"queries": []}', '{"queries": ["", " "]}', '{"queries": "x"'])
async def test_a_model_that_asks_for_nothing_is_told(harness: Harness, stores: FakeStores, arguments: str) -> None:
    calls: list[Signal] = [Called(0, "call_1", "file_search"), Argued(0, arguments)]
    final = await answer(harness, ask(searching()), [calls, STOPS], [[Text("Well.")], STOPS])
    assert stores.asked == []
    assert "queries" in find_output(harness.model.asked[1])
    assert final["status"] == "completed"


async def test_a_model_that_asks_without_end_is_cut(harness: Harness, stores: FakeStores) -> None:
    queries = ",".join(f'"{number}{"x" * 5_000}"' for number in range(100))
    calls: list[Signal] = [Called(0, "call_1", "file_search"), Argued(0, f'{{"queries":[{queries}]}}')]
    await answer(harness, ask(searching()), [calls, STOPS], [[Text("Well.")], STOPS])
    [asked] = stores.asked
    assert [len(query) for query in asked["queries"]] == [1_000] * 8


async def test_a_model_that_calls_without_end_is_not_heard(harness: Harness, stores: FakeStores) -> None:
    """Calls beyond the most are ignored, in one round or in many."""
    calls: list[list[Signal]] = [
        [Called(n, f"call_{n}", "file_search"), Argued(n, '{"query":"x"}')] for n in range(300)
    ]
    final = await answer(harness, ask(searching()), [*calls, STOPS], ANSWERS)
    assert len(stores.asked) == MAX_CALLS
    assert list_offered(harness) == [["file_search"], []]
    assert final["status"] == "completed"


async def test_what_is_found_counts_as_part_of_the_answer(harness: Harness) -> None:
    """Attributes as well: a file may have more of them than text."""
    count = itertools.count()

    async def search(*_: object, **__: object) -> Sequence[Passage]:
        return [
            Passage(
                vector_store_id="vs_1",
                file_id=f"file-{next(count)}",
                filename="a.md",
                number=0,
                text="x",
                score=1,
                attributes={f"{key}": "🙂" * 512 for key in range(16)},
            )
            for _ in range(50)
        ]

    harness.hosted_tools = [FileSearch(search, max_tokens=4_000)]
    harness.make_runner()
    final = await answer(harness, ask(searching(max_num_results=50)), *[SEARCHES] * 12, ANSWERS)
    assert "larger than 16,000,000 bytes" in final["error"]["message"]
    assert len(harness.model.requests) == 10


@pytest.mark.timed
@pytest.mark.usefixtures("stores")
async def test_a_long_piece_of_text_leaves_others_a_turn(harness: Harness) -> None:
    long: Sequence[Step] = [[Text("[9]" * 300_000)], STOPS]
    harness.model.answers = [SEARCHES, long]
    answering = asyncio.ensure_future(harness.run(brief=ask(searching())))
    longest, last = 0.0, time.monotonic()
    while not answering.done():
        await asyncio.sleep(0)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    outcome = (await answering).outcome
    assert outcome is not None
    message = outcome.response.output[-1]
    assert isinstance(message, Message)
    assert text_of(message) == "[9]" * 300_000
    assert longest < 0.5


# --- what cannot be searched ---


async def test_an_unknown_store_fails_the_answer_that_uses_it(harness: Harness, stores: FakeStores) -> None:
    brief = ask(searching("vs_2"), searching("vs_9"))
    final = await answer(harness, brief, SEARCHES)
    assert final["status"] == "failed"
    assert "vs_9" in final["error"]["message"]
    harness.forget_end()
    final = await answer(harness, ask(searching("vs_9")), [[Text("So.")], STOPS])
    assert final["status"] == "completed", "nobody used it"
    assert len(stores.asked) == 2


@pytest.mark.usefixtures("stores")
async def test_an_unknown_store_is_a_404_that_names_its_place(harness: Harness) -> None:
    harness.model.answers = [SEARCHES]
    run = await harness.run(brief=ask(FunctionTool(name="f"), searching("vs_9")))
    assert isinstance(run.error, NotFound)
    assert (run.error.code, run.error.param) == ("vector_store_not_found", "tools[1].vector_store_ids")


@pytest.mark.parametrize("when", ["auto", "always"])
@pytest.mark.parametrize("error", [Unavailable("The index is away."), TimeoutError()])
async def test_without_an_index_the_answer_comes_and_says_so(
    harness: Harness, stores: FakeStores, when: str, error: Exception
) -> None:
    stores.error = error
    answers: list[Sequence[Step]] = [[[Text("I do not know [1].")], STOPS]]
    final = await answer(harness, ask(searching(when=when)), *([SEARCHES] if when == "auto" else []), *answers)
    search, message = final["output"]
    assert (search["status"], final["status"]) == ("failed", "completed")
    assert [notice["code"] for notice in final["eps:notices"]] == ["knowledge_unavailable"]
    assert message["content"][0]["text"] == "I do not know [1]."
    assert "cannot be searched" in str(harness.model.asked[-1])
    assert list_offered(harness)[-1] == [], "each more search would wait as long"


# --- by itself ---

HISTORY: Sequence[Item] = [
    Message("msg_a", "completed", "user", [InputText("What is the notice period in Munich?")]),
    Message("msg_b", "completed", "assistant", [OutputText("Four weeks.")]),
]


async def test_files_are_searched_before_the_model_is_asked(harness: Harness, stores: FakeStores) -> None:
    final = await answer(harness, ask(searching(when="always")), ANSWERS)
    search, message = final["output"]
    assert (search["type"], search["status"]) == ("file_search_call", "completed")
    assert search["queries"] == ["What is the notice period in Munich?"]
    assert message["content"][0]["text"] == "Four weeks."
    assert len(message["content"][0]["annotations"]) == 1
    [asked] = harness.model.asked
    [question] = asked
    assert isinstance(question, Message)
    told = text_of(question)
    assert told.endswith("</passages>\n\nWhat is the notice period in Munich?")
    assert f"[1] (vs_1.md, page 1, Terms)\n{MUNICH}" in told
    assert list_offered(harness) == [[]]
    assert final["usage"]["total_tokens"] == 15
    assert "eps:usage_estimated" not in final
    assert len(stores.asked) == 1


@pytest.mark.usefixtures("stores")
async def test_a_question_that_goes_on_is_looked_for_with_the_one_before(harness: Harness) -> None:
    final = await answer(harness, ask(searching(when="always"), said="And in Berlin?", window=HISTORY), ANSWERS)
    assert final["output"][0]["queries"] == ["What is the notice period in Munich? And in Berlin?", "And in Berlin?"]
    last = harness.model.asked[0][-1]
    assert isinstance(last, Message)
    assert BERLIN in text_of(last)
    outcome = harness.store.outcome
    assert outcome is not None
    asked = outcome.items[0]
    assert isinstance(asked, Message)
    assert text_of(asked) == "And in Berlin?", "what was found is no part of the history"


@pytest.mark.parametrize("choice", ["none", FunctionChoice("f"), AllowedTools([FunctionChoice("f")])])
async def test_a_choice_without_the_search_leaves_it_out(
    harness: Harness, stores: FakeStores, choice: ToolChoice
) -> None:
    brief = ask(FunctionTool(name="f"), searching(when="always"), choice=choice)
    final = await answer(harness, brief, [[Text("So.")], STOPS])
    assert [item["type"] for item in final["output"]] == ["message"]
    assert stores.asked == []


async def test_a_demand_of_the_clients_stays_one_after_the_search(harness: Harness, stores: FakeStores) -> None:
    brief = ask(FunctionTool(name="f"), searching(when="always"), choice="required")
    calls: list[Signal] = [Called(0, "call_1", "f"), Argued(0, "{}")]
    await answer(harness, brief, [calls, STOPS])
    assert [request.tool_choice for request in harness.model.requests] == ["required"]
    assert len(stores.asked) == 1


@pytest.mark.usefixtures("stores")
async def test_what_is_found_stands_with_the_question_behind_a_tools_output(harness: Harness) -> None:
    window: Sequence[Item] = [
        Message("msg_a", "completed", "user", [InputText("What is the notice period in Munich?")]),
        FunctionCall("fc_1", "completed", "call_1", "f", "{}"),
    ]
    brief = replace(
        ask(FunctionTool(name="f"), searching(when="always"), window=window),
        input=[FunctionCallOutput("fco_1", "completed", "call_1", "4711")],
    )
    await answer(harness, brief, ANSWERS)
    [first, *rest] = harness.model.asked[0]
    assert isinstance(first, Message)
    assert MUNICH in text_of(first)
    assert [type(item) for item in rest] == [FunctionCall, FunctionCallOutput]


@pytest.mark.usefixtures("stores")
async def test_both_ways_may_be_asked_for(harness: Harness) -> None:
    calls: list[Signal] = [Called(0, "call_1", "file_search"), Argued(0, '{"queries":["code"]}')]
    cites: Sequence[Step] = [[Text("It is 4711 [3], in four weeks [1].")], STOPS]
    brief = ask(searching("vs_1", when="always"), searching("vs_2"))
    final = await answer(harness, brief, [calls, STOPS], cites)
    assert [item["type"] for item in final["output"]] == ["file_search_call", "file_search_call", "message"]
    assert final["output"][2]["content"][0]["text"] == "It is 4711, in four weeks."


@pytest.mark.usefixtures("stores")
async def test_json_is_not_asked_for_markers(harness: Harness) -> None:
    brief = ask(searching(when="always"), text=TextConfig(format=JsonObject()))
    final = await answer(harness, brief, [[Text('{"weeks": [1]}')], STOPS])
    assert final["output"][1]["content"][0]["text"] == '{"weeks": [1]}'
    assert "like [1]" not in str(harness.model.asked[0])


# --- taken over ---


async def log_of(harness: Harness, brief: Brief, *answers: Sequence[Step]) -> tuple[list[Signal], dict[str, Any]]:
    """All signals of a whole answer, one by one as its log has them, and the response."""
    final = await answer(harness, brief, *answers)
    signals = [signal for append in harness.store.appends for signal in append.signals]
    harness.forget_end()
    return signals, final


async def take(harness: Harness, brief: Brief, signals: Sequence[Signal]) -> Run:
    """Take over a response whose log holds these signals. Returns its run, which has ended."""
    kept = harness.place(replace(brief, narration=begin(brief.response)))
    narration = begin(brief.response)
    untold: list[Signal] = []
    for signal in signals:
        after = narration.next_number - 1
        untold.append(signal)
        if narration.tell([signal]):
            group = Group(after, narration.next_number - 1, pack(untold))
            await harness.store.append(RESPONSE_ID, group, epoch=kept.epoch, lease_s=1)
            untold = []
    harness.lose_lease()
    return await harness.take_over()


@pytest.mark.parametrize("when", ["auto", "always"])
async def test_a_takeover_at_every_signal_comes_to_the_same_end(
    harness: Harness, stores: FakeStores, when: str
) -> None:
    brief = ask(searching(when=when), wants_search_results=True)
    rounds = [SEARCHES, ANSWERS] if when == "auto" else [ANSWERS]
    signals, final = await log_of(harness, brief, *rounds)
    assert isinstance(signals[-1], Finished)
    texts = [signal for signal in signals if isinstance(signal, Text)]
    for count in range(len(signals)):
        harness.forget_end()
        harness.make_runner()
        before, searched = signals[:count], len(stores.asked)
        # What told nothing is not in the log: the model says it again.
        while before and isinstance(before[-1], Text) and before[-1].text.strip() in ("", "[", "1"):
            before = before[:-1]
        rest: Step = [text for text in texts if not any(text is said for said in before)]
        is_in_last = any(isinstance(signal, HostedReturned | Text) for signal in before) or (
            any(isinstance(signal, RoundEnded) for signal in before)
        )
        last: Sequence[Step] = [rest, STOPS] if rest else [STOPS]
        harness.model.answers = [last] if is_in_last or when == "always" else [SEARCHES, last]
        run = await take(harness, brief, before)
        assert run.outcome is not None, count
        output = run.outcome.response.output
        assert [type(item) for item in output] == [FileSearchCall, Message], count
        shown, kept = output[1], final["output"][1]
        assert isinstance(shown, Message)
        assert text_of(shown) == kept["content"][0]["text"], count
        assert [part.annotations[0].index for part in shown.content if isinstance(part, OutputText)] == [10]
        has_returned = any(isinstance(signal, HostedReturned) for signal in before)
        assert len(stores.asked) - searched == (0 if has_returned else 1), count
        assert run.outcome.passages, count
        if shown_before := "".join(signal.text for signal in before if isinstance(signal, Text)):
            assert harness.model.shown[-1] == shown_before, "the model goes on from what it wrote, markers and all"


# --- what is held back, and the log ---


@pytest.mark.usefixtures("stores")
async def test_what_is_held_back_is_written_with_what_tells_of_it(harness: Harness) -> None:
    """A group of the log has events: its last number lies above the one before."""
    steps: list[Step] = []
    for piece in ("Four", " weeks", " ", "[", "1", "]", " or", " so", " [", "9"):
        steps += [[Text(piece)], settle]
    final = await answer(harness, ask(searching(when="always")), [*steps, STOPS])
    assert final["output"][1]["content"][0]["text"] == "Four weeks or so [9"
    groups = [append for append in harness.store.appends if append.signals]
    assert all(append.last_number > append.after for append in groups)
    texts = [[signal.text for signal in group.signals if isinstance(signal, Text)] for group in groups]
    assert texts[2:] == [["Four"], [" weeks"], [" ", "[", "1", "]", " or"], [" so"], [" [", "9"]]


@pytest.mark.usefixtures("stores")
async def test_what_is_held_back_is_lost_with_its_replica_and_said_again(harness: Harness) -> None:
    brief = ask(searching(when="always"))
    harness.model.answers = [[[Text("Four")], settle, [Text(" ")], settle, [Text("[")], settle, asyncio.Event()]]
    await harness.start(brief=brief)
    await settle()
    await harness.runner.close()
    assert harness.store.released == [False]
    harness.make_runner()
    harness.model.answers = [[[Text(" [1]"), Text(" weeks")], STOPS]]
    run = await harness.take_over()
    assert harness.model.shown[-1] == "Four"
    assert run.outcome is not None
    message = run.outcome.response.output[-1]
    assert isinstance(message, Message)
    assert text_of(message) == "Four weeks"


@pytest.mark.parametrize("end", ["cancelled", "length", "failed"])
@pytest.mark.usefixtures("stores")
async def test_what_is_held_back_is_told_at_every_end(harness: Harness, end: str) -> None:
    ends: dict[str, Step] = {"length": [Finished("length", Usage(1, 2, 3))], "failed": UpstreamError("It broke.")}
    last = ends.get(end, asyncio.Event())
    harness.model.answers = [[[Text("Four weeks [1]")], settle, last]]
    run = await harness.start(brief=ask(searching(when="always")))
    if end == "cancelled":
        await settle()
        seized = await harness.store.seize(RESPONSE_ID, owner=OWNER, lease_s=MAX_S)
        assert isinstance(seized, Seized)
        log = FakeEventLog(harness.memory)
        outcome = await end_seized(seized, await retell(seized.response, event_log=log), store=harness.store)
    else:
        await run.wait()
        assert run.outcome is not None
        outcome = run.outcome
    message = outcome.response.output[-1]
    assert isinstance(message, Message)
    [part] = message.content
    assert isinstance(part, OutputText)
    assert (part.text, len(part.annotations), message.status) == ("Four weeks", 1, "incomplete")
    assert [passage.index for passage in outcome.passages] == [1, 2, 3]


@pytest.mark.usefixtures("stores")
async def test_calls_of_one_id_are_each_run(harness: Harness) -> None:
    """Some servers give every call the same id."""
    same = [*CALLS, Called(1, "call_1", "file_search"), Argued(1, '{"queries":["canteen"]}')]
    again: list[Signal] = [Called(0, "call_1", "file_search"), Argued(0, '{"queries":["berlin"]}')]
    final = await answer(harness, ask(searching()), [same, STOPS], [again, STOPS], ANSWERS)
    assert final["status"] == "completed"
    assert [item["type"] for item in final["output"]] == [*["file_search_call"] * 3, "message"]
    assert [item["status"] for item in final["output"]] == ["completed"] * 4
