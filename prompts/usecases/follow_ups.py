"""Use case: questions that could be asked after an answer, suggested by the model that gave it.

They are no part of the turn: its usage does not count them, and no run waits for them. Their tokens are their owner's
all the same: who has none left gets no suggestions, and is told so. What the model said is kept, so that everybody is
given the same; what it failed at is not, so that it may be asked again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

import msgspec
import structlog
from msgspec import Struct

from prompts.domain.items import InputText, Item, Message
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import ENDED, Notice
from prompts.domain.signals import Finished, Refused, Text
from prompts.domain.text import JsonSchema, ReasoningConfig, TextConfig
from prompts.domain.usage import Usage, complete_usage
from prompts.errors import (
    InvalidRequest,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    ResponseNotEnded,
    ServiceError,
    UpstreamTimeout,
)
from prompts.history.estimates import estimate_characters, estimate_items
from prompts.history.model_input import compose_items
from prompts.ports.calibration import Calibration
from prompts.ports.chat_model import ChatModel
from prompts.ports.response_notes import Exchange, ResponseNotes
from prompts.ports.responses import Outcome
from prompts.ports.sealing import Sealer
from prompts.ports.token_meter import TokenMeter
from prompts.run.brief import Brief
from prompts.run.metering import OUTPUT_TOKENS, Keep, Question, count_used, meter_question
from prompts.usecases.public_ids import check_response_id

log = structlog.get_logger(__name__)

QUESTIONS = 3
# A question that fits on a button, in any language.
MAX_QUESTION_CHARACTERS = 200
# A person reads the answer meanwhile; later suggestions come too late.
MAX_S = 20.0
# Three questions are some sixty tokens; the rest is for models that think first.
MAX_OUTPUT_TOKENS = 2_000
# For a model's server that knows no limit: ten times what it was asked for.
MAX_CHARACTERS = 80_000
# Of a process: as many as there are connections to the model beside those of its runs, less two
# (config/connections.py).
MAX_AT_ONCE = 8
# The rest is kept for others.
MAX_OWNERS_AT_ONCE = 6

INSTRUCTION = (
    f"Suggest {QUESTIONS} short questions that I could ask you next about this conversation: in its language, from my "
    "point of view, of at most ten words each, all different, and none that you have answered already. "
    # No example: a model that repeats the question must not pass for one that answers.
    "Answer with a JSON object whose 'questions' are a list of these texts."
)
FORMAT = JsonSchema(
    name="follow_ups",
    description="Questions that the user could ask next.",
    schema={
        "type": "object",
        "properties": {"questions": {"type": "array", "items": {"type": "string"}}},
        "required": ["questions"],
        "additionalProperties": False,
    },
    strict=True,
)


class Suggestions(Struct):
    """The document that the model writes."""

    questions: list[str]


decode_suggestions = msgspec.json.Decoder(Suggestions).decode


@dataclass(frozen=True, slots=True)
class Suggested:
    """The questions, and why there are none where that is worth a word."""

    questions: Sequence[str]
    notices: Sequence[Notice] = ()


class FollowUps:
    """Suggests what could be asked next, for a few responses at once."""

    def __init__(
        self,
        *,
        notes: ResponseNotes,
        model: ChatModel,
        sealer: Sealer,
        history_tokens: int,
        attend: Callable[[str], AbstractContextManager[None]],
        meter: TokenMeter,
        keep: Keep,
        calibration: Calibration,
        max_s: float = MAX_S,
    ) -> None:
        """`history_tokens` is how much of the conversation the model is shown, `max_s` how long it may take.

        `attend` gives an owner a place among the answers of this process, see `Runner.attend`; `keep` lets work run to
        its end, see `Runner.keep`.
        """
        self._meter = meter
        self._keep = keep
        self._calibration = calibration
        self._attend = attend
        self._notes = notes
        self._model = model
        self._sealer = sealer
        self._history_tokens = history_tokens
        self._max_s = max_s
        self._asking: Counter[str] = Counter()
        self._making: dict[str, asyncio.Task[None]] = {}
        """What is made in the background, by the response's id."""

    def make_after(self, brief: Brief, outcome: Outcome) -> None:
        """Make them in the background, where the turn's template says so: nobody waits for them, and nobody is told."""
        ended = outcome.response
        if brief.model_request.wants_follow_ups and ended.store and ended.status == "completed":
            task = asyncio.create_task(self._make(ended.id, owner=brief.owner), name=f"follow-ups of {ended.id}")
            self._making[ended.id] = task
            task.add_done_callback(lambda _: self._making.pop(ended.id, None))

    async def _make(self, response_id: str, *, owner: str) -> None:
        try:
            suggested = await self._get(response_id, owner=owner)
        except ServiceError as error:  # whoever asks for them is told
            log.info("follow_ups_not_made", code=error.code)
        except Exception:
            log.exception("follow_ups_crashed")
        else:
            for notice in suggested.notices:
                log.info("follow_ups_not_made", code=notice.code)

    async def get(self, response_id: str, *, owner: str) -> Suggested:
        """Up to three questions, the same for everybody from the first time on that the model has suggested some.

        None after a failed response, when the model suggests nothing that can be used, and, with a notice that says so,
        when the owner's tokens have no room for the question. Raises NotFound,
        ResponseNotEnded, Draining, Overloaded, RateLimited, UpstreamError, UpstreamTimeout, Unavailable. Cancelling it
        closes the connection to the model, unless they are made in the background.
        """
        check_response_id(response_id)
        if (making := self._making.get(response_id)) is not None:
            await asyncio.wait({making})
        return await self._get(response_id, owner=owner)

    async def _get(self, response_id: str, *, owner: str) -> Suggested:
        found = await self._notes.find_follow_ups(response_id, owner=owner, history_tokens=self._history_tokens)
        if not isinstance(found, Exchange):
            return Suggested(found)
        if found.status not in ENDED:
            message = f"Response '{response_id}' is {found.status}. Ask for its follow-ups when it has ended."
            raise ResponseNotEnded(message, param="response_id", retry_after_s=1)
        try:
            questions = await self._ask(found, owner=owner) if found.window else None
        except _NoTokensLeft as refusal:
            return Suggested([], [refusal.notice])
        if questions is None:
            return Suggested([])
        return Suggested(await self._notes.keep_follow_ups(response_id, questions, owner=owner))

    async def _ask(self, exchange: Exchange, *, owner: str) -> Sequence[str] | None:
        """What the model suggests; None when it gave nothing that can be used, and may next time.

        Raises _NoTokensLeft.
        """
        question = Message(id="", status="completed", role="user", content=[InputText(INSTRUCTION)])
        # The turn's own beginning: a model's server that keeps what it has read need not read it again.
        items = compose_items(
            instructions=exchange.instructions,
            window=exchange.window,
            new_input=[question],
            unseal=partial(self._sealer.open, owner),
        )
        request = _build_request(exchange.model_request)
        given = round(estimate_items(items) * self._calibration.get_factor(request.model, owner=owner))
        try:
            with self._attend(owner), self._reserve(owner), await self._meter_question(given, owner) as metered:
                async with asyncio.timeout(self._max_s):
                    return await _suggest_metered(request, items, self._model, given=given, metered=metered)
        except TimeoutError:
            raise UpstreamTimeout(f"The model suggested nothing within {self._max_s:g} s. Ask again.") from None
        except InvalidRequest as error:  # the model's server refuses the request; the client cannot change it
            log.warning("follow_ups_refused", code=error.code)
            return None

    async def _meter_question(self, given: int, owner: str) -> AbstractContextManager[Question]:
        """Reserve tokens for the question. Raises _NoTokensLeft."""
        [account] = await self._meter.look([owner])
        tokens = given + OUTPUT_TOKENS
        try:
            return await meter_question(
                owner=owner, tokens=tokens, limits=account.limits, meter=self._meter, keep=self._keep
            )
        except (QuotaExceeded, RateLimited) as refusal:
            raise _NoTokensLeft(refusal) from None

    @contextmanager
    def _reserve(self, owner: str) -> Iterator[None]:
        if self._asking.total() >= MAX_AT_ONCE:
            raise Overloaded(f"This replica asks for {MAX_AT_ONCE} follow-ups already. Try again in a moment.")
        if self._asking[owner] >= MAX_OWNERS_AT_ONCE:
            message = f"This replica asks for {MAX_OWNERS_AT_ONCE} follow-ups of yours already, the most of one owner."
            raise RateLimited(message, retry_after_s=1)
        self._asking[owner] += 1
        try:
            yield
        finally:
            self._asking[owner] -= 1
            if not self._asking[owner]:
                del self._asking[owner]


class _NoTokensLeft(Exception):
    """The owner's tokens have no room for the question."""

    def __init__(self, refusal: QuotaExceeded | RateLimited) -> None:
        super().__init__(refusal.message)
        is_final = isinstance(refusal, QuotaExceeded)
        self.notice = Notice("quota_exceeded" if is_final else "rate_limit_exceeded", refusal.message)


async def _suggest_metered(
    request: ModelRequest, items: Sequence[Item], model: ChatModel, *, given: int, metered: Question
) -> Sequence[str] | None:
    """As `_suggest`, and note what it has used; what failed used nothing."""
    try:
        questions, document, reported = await _suggest(request, items, model)
    except ServiceError:
        metered.used = 0
        raise
    said = estimate_characters(len(document))
    usage, _ = complete_usage(reported, Usage(given, said, given + said))
    metered.used = count_used(usage)
    return questions


async def _suggest(
    request: ModelRequest, items: Sequence[Item], model: ChatModel
) -> tuple[Sequence[str] | None, str, Usage | None]:
    """The questions, or None; what the model wrote, and what its server says that it has used."""
    document, has_refused = "", False
    async with model.stream(request, items) as answer:
        async for signals in answer:
            for signal in signals:
                match signal:
                    case Text(text):
                        document += text
                    case Refused():
                        has_refused = True
                    case Finished(reason, usage):
                        is_refused = has_refused or reason == "content_filter"
                        return [] if is_refused else _read_questions(document), document, usage
            if len(document) > MAX_CHARACTERS:
                break
    return None, document, None


def _build_request(given: ModelRequest) -> ModelRequest:
    """A request to the same model on the same account, without the answer's tools and limits."""
    return ModelRequest(
        model=given.model,
        max_output_tokens=MAX_OUTPUT_TOKENS,
        text=TextConfig(format=FORMAT),
        # Little thinking, for models that were asked to think.
        reasoning=ReasoningConfig(effort="low") if given.reasoning.effort else ReasoningConfig(),
        service_tier=given.service_tier,
        safety_identifier=given.safety_identifier,
        prompt_cache_key=given.prompt_cache_key,
        user=given.user,
    )


def _read_questions(document: str) -> Sequence[str] | None:
    """The questions, when this is the document that was asked for; without those that are too long or there twice."""
    # Servers that know no formats give what a model likes to write around a document, too.
    document = document[document.find("{") : document.rfind("}") + 1]
    try:
        suggested = decode_suggestions(document).questions
    except msgspec.DecodeError:
        log.info("follow_ups_unreadable", characters=len(document))
        return None
    lines = dict.fromkeys(" ".join(question.split()) for question in suggested)
    return [line for line in lines if 0 < len(line) <= MAX_QUESTION_CHARACTERS][:QUESTIONS]
