"""A history above its threshold is summed up first, then answered; token counts are learned on the way."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from prompts.answer.events import Narration
from prompts.domain.items import (
    Compaction,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    SummaryText,
    text_of,
)
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import ModelInput
from prompts.domain.signals import Compacted, Finished, Refused, Text
from prompts.domain.usage import Usage
from prompts.errors import UpstreamError
from prompts.run.brief import Brief
from prompts.run.summary import INSTRUCTION, MAX_OUTPUT_TOKENS, compose_transcript
from tests.support.fakes.chat_model import Step
from tests.support.items import said
from tests.support.runner_harness import Harness, check, read
from tests.support.sample_turn import make_brief
from tests.support.sealer import SEALER

ADA = said("user", "My name is Ada.")
TOLD = said("assistant", "The code is 4711. " * 100)
QUESTION = said("user", "What is the code?")
LONG = [ADA, TOLD, QUESTION]
SUMMARY: Sequence[Step] = [[Text("The code "), Text("is 4711.")], [Finished("stop", Usage(500, 10, 510))]]
ANSWER: Sequence[Step] = [[Text("4711"), Finished("stop", Usage(40, 2, 42))]]


def brief(*items: Item, threshold: int | None = 100, account: ModelInput | None = None) -> Brief:
    """The brief of an answer to these items."""
    made = make_brief()
    response = replace(made.response, instructions="Be brief.")
    narration = Narration(response)
    return Brief(
        response=response,
        owner="alice",
        epoch="1",
        input=items[-1:],
        window=items[:-1],
        model_request=replace(made.model_request, compact_threshold=threshold, max_output_tokens=16),
        model_input=account or replace(made.model_input, history_budget_tokens=8_000),
        opening=narration.opening(),
        narration=narration,
    )


def texts(items: Sequence[Item]) -> list[str]:
    """The texts of the messages; of notes only what they note."""
    return [text_of(item).rpartition("\n\n")[2] for item in items if isinstance(item, Message)]


async def test_it_is_summed_up_and_then_answered(harness: Harness) -> None:
    harness.model.answers = [SUMMARY, ANSWER]
    run = await harness.run(brief=brief(*LONG))
    final = check(await read(run))
    assert [item["type"] for item in final["output"]] == ["compaction", "message"]
    assert SEALER.open("alice", "compaction", final["output"][0]["encrypted_content"]) == "The code is 4711."
    summing, answering = harness.model.asked
    told = [item for item in summing if isinstance(item, Message)]
    assert [item.role for item in told] == ["system", "user"]
    assert texts(told)[0] == INSTRUCTION.rpartition("\n\n")[2]
    assert "[assistant]\nThe code is 4711." in text_of(told[1])
    assert texts(answering) == ["Be brief.", "My name is Ada.", "The code is 4711.", "What is the code?"]
    usage = final["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (540, 12, 552)
    assert harness.store.outcome is not None
    assert [type(item) for item in harness.store.outcome.items] == [Message, Compaction, Message]


async def test_the_summary_is_asked_for_without_the_answers_limits(harness: Harness) -> None:
    harness.model.answers = [SUMMARY, ANSWER]
    await harness.run(brief=brief(*LONG))
    summing, answering = harness.model.requests
    assert summing == ModelRequest(model="stand-in", max_output_tokens=MAX_OUTPUT_TOKENS)
    assert answering.max_output_tokens == 16


@pytest.mark.parametrize(
    ("items", "threshold"),
    [(LONG, 10_000), (LONG, None), ([said("user", "word " * 1_000), QUESTION], 100), ([*LONG[:2]], 10_000)],
    ids=["below the threshold", "nobody asked", "the user said it all", "nothing to answer"],
)
async def test_a_history_below_its_threshold_is_not_compacted(
    harness: Harness, items: list[Item], threshold: int | None
) -> None:
    run = await harness.run(*ANSWER, brief=brief(*items, threshold=threshold))
    assert [item["type"] for item in check(await read(run))["output"]] == ["message"]
    assert len(harness.model.asked) == 1


async def test_a_history_with_little_to_save_is_not_compacted(harness: Harness) -> None:
    users = said("user", "word " * 2_000)
    run = await harness.run(*ANSWER, brief=brief(users, said("assistant", "Oh."), QUESTION))
    assert len(harness.model.asked) == 1
    assert run.outcome is not None


async def test_a_history_that_nearly_fills_its_budget_is_compacted_below_the_threshold(harness: Harness) -> None:
    harness.model.answers = [SUMMARY, ANSWER]
    account = replace(make_brief().model_input, history_tokens=500, history_budget_tokens=600)
    run = await harness.run(brief=brief(*LONG, threshold=100_000, account=account))
    assert [item["type"] for item in check(await read(run))["output"]] == ["compaction", "message"]


@pytest.mark.parametrize("factor", [0.25, 4.0])
async def test_the_threshold_counts_the_models_tokens(harness: Harness, factor: float) -> None:
    harness.model.answers = [SUMMARY, ANSWER]
    account = replace(make_brief().model_input, history_budget_tokens=8_000, calibration=factor)
    await harness.run(brief=brief(*LONG, threshold=900, account=account))
    assert len(harness.model.asked) == (2 if factor > 1 else 1)


@pytest.mark.parametrize(
    "summary",
    [
        [[Text("The code is"), Finished("length")]],
        [[Text("The"), Finished("content_filter")]],
        [[Refused("No."), Finished("stop")]],
        [[Text(" \n"), Finished("stop")]],
        [[Text("and again ")] * 400, [Finished("stop")]],
    ],
    ids=["cut off", "filtered", "refused", "blank", "endless"],
)
async def test_without_a_summary_the_model_answers_from_all_of_it(harness: Harness, summary: Sequence[Step]) -> None:
    harness.model.answers = [summary, ANSWER]
    run = await harness.run(brief=brief(*LONG))
    assert [item["type"] for item in check(await read(run))["output"]] == ["message"]
    assert texts(harness.model.asked[1])[1:] == texts(LONG)


async def test_a_failure_of_the_summary_fails_the_answer(harness: Harness) -> None:
    harness.model.answers = [[UpstreamError("It broke.")]]
    run = await harness.run(brief=brief(*LONG))
    assert check(await read(run))["error"] == {"code": "server_error", "message": "It broke."}


async def test_an_answer_teaches_how_the_model_counts(harness: Harness) -> None:
    await harness.run(*ANSWER, brief=brief(*LONG, threshold=None))
    [(model, estimated, reported)] = harness.calibration.learned
    assert (model, reported) == ("stand-in", 40)
    assert 450 < estimated < 500


@pytest.mark.parametrize(
    "items",
    [
        [QUESTION],
        [*LONG, Message("", "completed", "user", [InputImage("https://example.com/cat.png")])],
    ],
    ids=["too short", "with a picture"],
)
async def test_counts_that_cannot_be_compared_teach_nothing(harness: Harness, items: list[Item]) -> None:
    await harness.run(*ANSWER, brief=brief(*items, threshold=None))
    assert harness.calibration.learned == []


async def test_a_compacted_answer_teaches_nothing_about_the_history_it_replaced(harness: Harness) -> None:
    harness.model.answers = [SUMMARY, ANSWER]
    await harness.run(brief=brief(*LONG))
    assert harness.calibration.learned == []


def test_a_transcript_names_the_author_of_every_entry() -> None:
    items: list[Item] = [
        said("developer", "Be kind."),
        Message("", "completed", "user", [InputText("Look:"), InputImage("data:,"), InputFile("a.pdf")]),
        Reasoning("", "completed", [SummaryText("Hm.")], [ReasoningText("Oh.")]),
        Reasoning("", "completed", []),
        FunctionCall("", "completed", "call_1", "get_weather", '{"city":"Paris"}'),
        FunctionCallOutput("", "completed", "call_1", "21 degrees"),
        FunctionCallOutput("", "completed", "call_2", [InputText("22 degrees")]),
        Message("", "completed", "assistant", [OutputText("It is "), Refusal("warm.")]),
    ]
    assert compose_transcript(items).split("\n\n") == [
        "[developer]\nBe kind.",
        '[user]\nLook:\n(an image)\n(a file, "a.pdf")',
        "[the assistant thinks]\nHm.Oh.",
        '[the assistant calls get_weather]\n{"city":"Paris"}',
        "[get_weather returns]\n21 degrees",
        "[the function returns]\n22 degrees",
        "[assistant]\nIt is \nwarm.",
        "End of the transcript. Write the summary now.",
    ]


# --- a compaction in place of an answer ---


def asked_for(*items: Item, lost: Usage | None = None) -> Brief:
    """The brief of a response that is to be one compaction; `lost`: what a run has used that was lost before."""
    made = brief(*items, threshold=None)
    request = replace(made.model_request, is_compaction=True)
    epoch = made.epoch if lost is None else "2.a"
    return replace(made, model_request=request, epoch=epoch, lost=lost)


@pytest.mark.parametrize("items", [LONG, [ADA]], ids=["long", "short"])
async def test_the_answer_is_one_compaction_when_that_is_asked_for(harness: Harness, items: list[Item]) -> None:
    harness.model.answers = [SUMMARY]
    run = await harness.run(brief=asked_for(*items))
    ended = check(events := await read(run))
    assert [item["type"] for item in ended["output"]] == ["compaction"]
    assert SEALER.open("alice", "compaction", ended["output"][0]["encrypted_content"]) == "The code is 4711."
    assert [event.type.removeprefix("response.") for event in events] == [
        *("created", "in_progress", "output_item.added", "output_item.done", "completed")
    ]
    assert run.outcome is not None
    assert run.outcome.response.usage == Usage(500, 10, 510)
    [asked] = harness.model.asked
    transcript = text_of(asked[-1]) if isinstance(asked[-1], Message) else ""
    assert "Be brief." not in transcript
    assert harness.calibration.learned == []


async def test_a_compaction_that_the_log_has_already_is_ended_without_the_model(harness: Harness) -> None:
    made = asked_for(*LONG, lost=Usage(700, 10, 710))
    made.narration.tell([Compacted(SEALER.seal("alice", "compaction", "The code is 4711."))])
    run = await harness.run(brief=made)
    assert harness.model.asked == []
    assert run.outcome is not None
    ended = run.outcome.response
    assert [type(item) for item in ended.output] == [Compaction]
    assert (ended.status, ended.usage_estimated) == ("completed", True)


async def test_a_compaction_that_was_lost_is_begun_again(harness: Harness) -> None:
    harness.model.answers = [SUMMARY]
    lost = Usage(700, 10, 710)
    run = await harness.run(brief=asked_for(*LONG, lost=lost))
    assert run.outcome is not None
    assert run.outcome.response.usage == Usage(1_200, 20, 1_220)
    assert run.outcome.response.usage_estimated is True


async def test_without_a_summary_there_is_no_compaction(harness: Harness) -> None:
    harness.model.answers = [[[Refused("I will not."), Finished("stop")]]]
    run = await harness.run(brief=asked_for(*LONG))
    assert isinstance(run.error, UpstreamError)
    assert check(await read(run))["status"] == "failed"
