"""Follow-up questions: what the model suggested is stored; after a failure the model may be asked again."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import nullcontext

import pytest
from msgspec.structs import replace

from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import Status
from prompts.domain.signals import Finished, Refused, Text, Thought
from prompts.domain.text import JsonSchema, ReasoningConfig
from prompts.domain.usage import Usage
from prompts.errors import (
    InvalidPrompt,
    NotFound,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    ResponseNotEnded,
    ServiceError,
    UpstreamError,
    UpstreamTimeout,
)
from prompts.ports.token_meter import UNMETERED, TokenAccount, TokenLimits, TokensLeft
from prompts.run.metering import OUTPUT_TOKENS
from prompts.usecases.follow_ups import (
    INSTRUCTION,
    MAX_AT_ONCE,
    MAX_CHARACTERS,
    MAX_OWNERS_AT_ONCE,
    FollowUps,
    Suggested,
)
from tests.support.fakes.calibration import FakeCalibration
from tests.support.fakes.chat_model import ScriptedModel, Step
from tests.support.fakes.memory import Memory
from tests.support.fakes.records import KeptResponse, new_root
from tests.support.fakes.response_notes import FakeResponseNotes
from tests.support.items import said
from tests.support.sample_turn import OWNER, RESPONSE_ID, make_draft
from tests.support.sealer import SEALER

END = Finished("stop")
DOCUMENT = '{"questions": ["Why?", "How?", "When?"]}'
QUESTIONS = ["Why?", "How?", "When?"]
REQUEST = ModelRequest(model="stand-in")
BOBS_ID = "resp_0a" + "1" * 30
WINDOW = [said("user", "My name is Ada."), said("assistant", "Hello, Ada.")]


class Answered:
    """A response, and the follow-ups that are kept with it."""

    def __init__(
        self, *, status: Status = "completed", request: ModelRequest = REQUEST, kept: Sequence[str] | None = None
    ) -> None:
        self._memory = Memory()
        self._request = request
        self._kept = self.place(RESPONSE_ID, OWNER)
        self._kept.status = status
        self._kept.follow_ups = kept
        self.notes = FakeResponseNotes(self._memory)

    def place(self, response_id: str, owner: str) -> KeptResponse:
        """A completed response of an owner."""
        draft = make_draft()
        response = replace(draft.response, id=response_id, instructions="Be brief.")
        draft = replace(draft, response=response, model_request=self._request)
        root = new_root(response_id, owner)
        kept = self._memory.place(draft, owner=owner, root=root, history=tuple(WINDOW), created_at=1)
        kept.status = "completed"
        return kept

    @property
    def kept(self) -> Sequence[str] | None:
        """The questions that are kept."""
        return self._kept.follow_ups


class Meter:
    """`TokenMeter` of one owner with so many tokens a month."""

    def __init__(self, per_month: int) -> None:
        self._limits = TokenLimits(per_month=per_month)
        self.reserved: list[int] = []
        self.settled: list[int] = []
        self._settling: list[Awaitable[None]] = []

    async def look(self, owners: Sequence[str]) -> Sequence[TokenAccount]:
        assert list(owners) == [OWNER]
        return [TokenAccount(self._limits)]

    async def reserve(self, reservation_id: str, *, owner: str, tokens: int, limits: TokenLimits) -> TokensLeft | None:
        assert (owner, limits) == (OWNER, self._limits)
        if tokens > limits.per_month:
            raise QuotaExceeded("The month is full.")
        self.reserved.append(tokens)
        return None

    async def settle(self, reservation_id: str, *, owner: str, used: int) -> None:
        self.settled.append(used)

    def keep(self, work: Awaitable[None]) -> None:
        self._settling.append(work)

    async def list_settled(self) -> list[int]:
        """What was settled, once it is."""
        for work in self._settling:
            await work
        self._settling.clear()
        return self.settled


def open_follow_ups(
    answered: Answered, model: ScriptedModel, *, max_s: float = 10, meter: Meter | None = None
) -> FollowUps:
    return FollowUps(
        notes=answered.notes,
        model=model,
        sealer=SEALER,
        history_tokens=1_000,
        attend=lambda _: nullcontext(),
        meter=UNMETERED if meter is None else meter,
        keep=keep_nothing if meter is None else meter.keep,
        calibration=FakeCalibration(),
        max_s=max_s,
    )


def keep_nothing(_: Awaitable[None]) -> None:
    raise AssertionError("nothing was reserved")


async def get(answered: Answered, *steps: Step) -> tuple[Sequence[str], ScriptedModel]:
    """The follow-ups for a client, and the model that was asked."""
    model = ScriptedModel(steps)
    suggested = await open_follow_ups(answered, model).get(RESPONSE_ID, owner=OWNER)
    assert suggested.notices == ()
    return suggested.questions, model


async def test_the_model_goes_on_from_its_own_turn() -> None:
    answered = Answered()
    questions, model = await get(answered, [Thought("Hm.")], [Text(DOCUMENT[:9]), Text(DOCUMENT[9:])], [END])
    assert questions == answered.kept == QUESTIONS
    [asked], [request] = model.asked, model.requests
    assert asked == [said("system", "Be brief."), *WINDOW, said("user", INSTRUCTION)]
    assert isinstance(request.text.format, JsonSchema)
    assert model.is_closed


async def test_kept_suggestions_are_not_asked_for_again() -> None:
    questions, model = await get(Answered(kept=["Who?"]))
    assert questions == ["Who?"]
    assert model.asked == []


async def test_of_two_concurrent_suggestions_the_first_is_kept() -> None:
    answered = Answered()

    async def suggest_quickly() -> None:
        await answered.notes.keep_follow_ups(RESPONSE_ID, ["Quicker?"], owner=OWNER)

    questions, _ = await get(answered, suggest_quickly, [Text(DOCUMENT), END])
    assert questions == ["Quicker?"]


@pytest.mark.parametrize(
    "document",
    ["", "Why?", DOCUMENT[:-1], "[]", "{}", '{"questions": "Why?"}', '{"questions": [1]}', '{"questions": null}'],
)
async def test_an_unreadable_suggestion_is_not_kept(document: str) -> None:
    answered = Answered()
    questions, _ = await get(answered, [Text(document), END])
    assert questions == []
    assert answered.kept is None
    assert (await get(answered, [Text(DOCUMENT), END]))[0] == QUESTIONS


@pytest.mark.parametrize(
    "steps",
    [
        [[Refused("I will not."), END]],
        [[Finished("content_filter")]],
        [[Text('{"questions": []}'), END]],
    ],
)
async def test_an_empty_list_is_kept_when_the_model_refuses(steps: list[Step]) -> None:
    answered = Answered()
    questions, _ = await get(answered, *steps)
    assert questions == answered.kept == []


async def test_a_broken_suggestion_is_not_kept() -> None:
    answered = Answered()
    assert (await get(answered, [Text('{"questions": ["Why'), Finished("length")]))[0] == []
    assert answered.kept is None


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (f"```json\n{DOCUMENT}\n```", QUESTIONS),
        ('{"questions": ["A?", "A?", " A? ", "", "B\\n\\n?", "C?", "D?"]}', ["A?", "B ?", "C?"]),
        (f'{{"questions": ["{"a" * 500}?", "B?"], "more": 1}}', ["B?"]),
    ],
)
async def test_questions_are_few_short_and_different(document: str, expected: list[str]) -> None:
    assert (await get(Answered(), [Text(document), END]))[0] == expected


async def test_a_response_is_asked_about_when_it_has_ended() -> None:
    with pytest.raises(ResponseNotEnded) as raised:
        await get(Answered(status="in_progress"))
    assert raised.value.param == "response_id"


async def test_after_a_failure_there_is_nothing_to_ask() -> None:
    questions, model = await get(Answered(status="failed"))
    assert questions == []
    assert model.asked == []


async def test_a_malformed_id_leads_nowhere() -> None:
    with pytest.raises(NotFound):
        await open_follow_ups(Answered(), ScriptedModel([])).get("resp_1", owner=OWNER)


@pytest.mark.parametrize("error", [InvalidPrompt("No such format."), NotFound("Gone.", code="model_not_found")])
async def test_a_permanent_failure_gives_an_empty_list(error: ServiceError) -> None:
    answered = Answered()
    assert (await get(answered, error))[0] == []
    assert answered.kept is None


@pytest.mark.parametrize("error", [UpstreamError("Away."), UpstreamTimeout("Slow."), RateLimited("Later.")])
async def test_a_failure_that_a_retry_may_help_is_reported(error: ServiceError) -> None:
    answered = Answered()
    with pytest.raises(type(error)):
        await get(answered, [Text(DOCUMENT)], error)
    assert answered.kept is None


async def test_a_model_has_only_so_much_time() -> None:
    model = ScriptedModel([asyncio.Event()])
    with pytest.raises(UpstreamTimeout):
        await open_follow_ups(Answered(), model, max_s=0.01).get(RESPONSE_ID, owner=OWNER)
    assert model.is_closed


async def test_a_model_that_never_ends_is_stopped() -> None:
    answered = Answered()
    questions, model = await get(answered, [Text("{" * (MAX_CHARACTERS + 1))], asyncio.Event())
    assert questions == []
    assert model.is_closed


async def test_a_client_that_leaves_closes_the_connection() -> None:
    begun = asyncio.Event()

    async def begin() -> None:
        begun.set()

    model = ScriptedModel([[Text("{")], begin, asyncio.Event()])
    getting = asyncio.create_task(open_follow_ups(Answered(), model).get(RESPONSE_ID, owner=OWNER))
    await begun.wait()
    getting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await getting
    assert model.is_closed


async def test_a_process_asks_for_a_few_at_once() -> None:
    begun, answering = asyncio.Semaphore(0), asyncio.Event()

    async def begin() -> None:
        begun.release()

    model = ScriptedModel([begin, answering, [Text(DOCUMENT), END]])
    answered = Answered()
    follow_ups = open_follow_ups(answered, model)
    answered.place(BOBS_ID, "bob")
    asked = [(RESPONSE_ID, OWNER)] * MAX_OWNERS_AT_ONCE + [(BOBS_ID, "bob")] * (MAX_AT_ONCE - MAX_OWNERS_AT_ONCE)
    getting = [asyncio.create_task(follow_ups.get(response_id, owner=owner)) for response_id, owner in asked[:-1]]
    for _ in getting:
        await begun.acquire()
    with pytest.raises(RateLimited):  # the last places are kept for others
        await follow_ups.get(RESPONSE_ID, owner=OWNER)
    getting.append(asyncio.create_task(follow_ups.get(BOBS_ID, owner="bob")))
    await begun.acquire()
    with pytest.raises(Overloaded):
        await follow_ups.get(BOBS_ID, owner="bob")
    answering.set()
    assert await asyncio.gather(*getting) == [Suggested(QUESTIONS)] * MAX_AT_ONCE
    assert await follow_ups.get(RESPONSE_ID, owner=OWNER) == Suggested(QUESTIONS)


async def get_metered(meter: Meter, *steps: Step, answered: Answered | None = None) -> Suggested:
    """The follow-ups for an owner whose tokens are limited."""
    return await open_follow_ups(answered or Answered(), ScriptedModel(steps), meter=meter).get(
        RESPONSE_ID, owner=OWNER
    )


async def test_what_they_use_counts_among_their_owners_tokens() -> None:
    meter = Meter(per_month=5_000)
    assert await get_metered(meter, [Text(DOCUMENT), Finished("stop", Usage(300, 40, 340))]) == Suggested(QUESTIONS)
    assert (len(meter.reserved), await meter.list_settled()) == (1, [340])
    await get_metered(meter, [Text(DOCUMENT), END])  # its server reports nothing: it is estimated
    assert OUTPUT_TOKENS < meter.reserved[1] < OUTPUT_TOKENS + 150
    assert 0 < (await meter.list_settled())[1] < 150
    with pytest.raises(UpstreamError):
        await get_metered(meter, UpstreamError("Away."))
    assert (await meter.list_settled())[2] == 0


async def test_without_tokens_left_there_are_none_and_that_is_said() -> None:
    answered = Answered()
    suggested = await get_metered(Meter(per_month=500), answered=answered)
    assert (suggested.questions, [notice.code for notice in suggested.notices]) == ([], ["quota_exceeded"])
    assert answered.kept is None  # with tokens again, the model is asked
    assert (await get(answered, [Text(DOCUMENT), END]))[0] == QUESTIONS


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (ReasoningConfig(), ReasoningConfig()),
        (ReasoningConfig(effort="high", summary="detailed"), ReasoningConfig(effort="low")),
    ],
)
async def test_a_reasoning_model_is_asked_for_little_effort(given: ReasoningConfig, expected: ReasoningConfig) -> None:
    request = ModelRequest(model="stand-in", reasoning=given, temperature=2, tools=[], user="ada")
    _, model = await get(Answered(request=request), [Text(DOCUMENT), END])
    assert (model.requests[0].reasoning, model.requests[0].user) == (expected, "ada")
    assert model.requests[0].temperature is None
