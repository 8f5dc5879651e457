"""Answering: everything that happens between a response's admission and its end.

    (compact) → (search) → ask the model → run the service's own tools that it called → ask again → … → the end

It is one generator of signals. All that is needed to go on after a loss is among them, and it is in the log before a
tool runs, and before the model is asked again. So whoever takes the response over goes on from the round in which it
stands (`Narration.rounds`).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeAlias

from msgspec.structs import replace

from prompts.answer.call_filter import CallFilter
from prompts.answer.call_thoughts import CallThoughts
from prompts.answer.events import Narration, Round
from prompts.answer.pieces import Pieces
from prompts.answer.thought_seals import ThoughtSeals
from prompts.answer.written_json import WrittenJson
from prompts.domain.items import FunctionCall, FunctionCallOutput, Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import (
    BegunAnew,
    Compacted,
    Finished,
    HostedCall,
    HostedReturned,
    RoundEnded,
    Signal,
    Text,
    cut_texts,
    is_text,
)
from prompts.domain.tools import AllowedTools, ToolChoice
from prompts.domain.usage import Usage
from prompts.errors import UpstreamError
from prompts.history.estimates import estimate_plain
from prompts.history.found_tools import with_found_tools
from prompts.history.model_input import compose_items
from prompts.history.passages import place_passages
from prompts.ports.chat_model import Answer, ChatModel, Take, tap
from prompts.ports.hosted_tools import HostedTool
from prompts.ports.sealing import Sealer
from prompts.run.answer_size import MAX_ANSWER_BYTES, AnswerSize
from prompts.run.brief import Brief
from prompts.run.compaction import compact, compact_whole
from prompts.run.hosted_calls import HostedCalls, offer_hosted
from prompts.run.outlet import take_nothing

# A model that calls tools again and again is stopped; agents of the field stop it after 10 to 25 rounds.
MAX_ROUNDS = 20
# Calls of the service's tools in all rounds; those beyond are ignored. A round has a few of them.
MAX_CALLS = 128
# A text in which markers are looked for. That takes a millisecond for a thousand characters of nothing but markers, and
# meanwhile nobody else has a turn.
MAX_CHARACTERS_AT_ONCE = 16_384
# What a round has cost in which no model was asked.
NO_USAGE = Usage(0, 0, 0)

Signals: TypeAlias = AsyncGenerator[Sequence[Signal], None]
Written: TypeAlias = Callable[[], Awaitable[None]]
"""Returns when every signal that was given is in the log and told to the narration."""


class Answering:
    """One answer, from where its log ends."""

    def __init__(
        self,
        brief: Brief,
        *,
        model: ChatModel,
        sealer: Sealer,
        hosted_tools: Sequence[HostedTool] = (),
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self.comparable_tokens: int | None = None
        """What the model was given, as estimated, where what it reports can be compared with that."""
        self._take: Take = take_nothing
        self._brief = brief
        self._lost = brief.lost
        self._narration = brief.narration
        self._model = model
        self._sealer = sealer
        offered = [(tool.find_function(brief.model_request), tool) for tool in hosted_tools]
        self._hosted_tools = hosted_tools
        self._functions = {tool.kind: function for function, tool in offered if function is not None}
        self._tools = {function.name: tool for function, tool in offered if function is not None}
        self._kinds = {name: tool.kind for name, tool in self._tools.items()}
        self._call_filter = CallFilter(brief.model_request)
        self._thoughts = _choose_keeping(brief, sealer)
        self._size = AnswerSize(max_bytes, _list_said(brief.narration), brief.narration.searches)

    def signals(self, written: Written, take: Take = take_nothing) -> Signals:
        """The signals in groups; the last group is one `Finished`.

        While the next group is waited for `take` is given more text, in the moment it arrives (`TappedAnswer.tap`).
        Raises what the model fails at (`ChatModel.stream`), AnswerTooLarge, and UpstreamError where its answer has no
        end, is too deep, or calls what it was not offered. Closing it closes the connection to the model and stops a
        tool that runs.
        """
        if self._brief.model_request.is_warm_up:
            return self._warm_up()
        self._take = take
        given = self._compose()
        return self._compact(given) if self._brief.model_request.is_compaction else self._answer(given, written)

    async def _warm_up(self) -> Signals:
        """The end alone: nobody is asked."""
        yield [Finished("stop", NO_USAGE)]

    def _answer(self, given: Sequence[Item], written: Written) -> Signals:
        request = with_found_tools(self._build_request(), given)
        self._call_filter = CallFilter(request)
        if not (self._has_begun or self._narration.find_compaction()):
            self.comparable_tokens = estimate_plain(given, request.offered)
        is_resumed = self._lost is not None or self._narration.is_thinking
        if is_resumed or request.compact_threshold is not None:
            return self._resume_or_compact(given, written)
        return self._rounds(given, written)  # most answers: each generator between costs a turn, and each group

    async def _resume_or_compact(self, given: Sequence[Item], written: Written) -> Signals:
        if self._narration.is_thinking:
            yield self._begin_anew()
        if not (self._has_begun or self._narration.find_compaction()):
            compacted = await compact(given, self._brief, model=self._model, sealer=self._sealer)
            if compacted is not None:
                self.comparable_tokens = None
                yield [*self._begin_anew(), compacted.signal]
                given = compacted.items
        async with aclosing(self._rounds(given, written)) as rounds:
            async for signals in rounds:
                if self._lost is None or not signals:
                    yield signals
                    continue
                for group in self._begin_anew_with(signals):
                    yield group

    async def _compact(self, given: Sequence[Item]) -> Signals:
        """One compaction and the end. When the log has it already, what it cost is lost, and estimated."""
        if self._narration.find_compaction():
            yield [Finished("stop")]
            return
        compacted = await compact_whole(given, self._brief, model=self._model, sealer=self._sealer)
        yield [*self._begin_anew(), Compacted(compacted.encrypted_content)]
        yield [Finished("stop", None if compacted.is_estimated else compacted.usage)]

    def _begin_anew_with(self, first: Sequence[Signal]) -> Sequence[Sequence[Signal]]:
        """With the first word: a log has no entry without an event. The end comes alone."""
        anew = self._begin_anew()
        return [anew, first] if isinstance(first[0], Finished) else [[*anew, *first]]

    def _begin_anew(self) -> Sequence[Signal]:
        """What is said once of the run before, which was lost."""
        lost, self._lost = self._lost, None
        return [BegunAnew(lost)] if lost is not None or self._narration.is_thinking else []

    async def _rounds(self, given: Sequence[Item], written: Written) -> Signals:
        if not self._has_begun and (first := self._list_first_calls(given)):
            self.comparable_tokens = None  # what is found is not in it
            yield [RoundEnded(first, NO_USAGE)]
            await written()
        while True:
            for call in self._list_waiting():
                yield [await self._run_tool(call)]
                await written()  # the next one goes on with the numbers of its passages
            if self._narration.rounds:
                await written()
            hosted, is_over = HostedCalls(self._kinds, self._count_calls_left()), False
            said = self._ask(given, hosted)
            async with aclosing(self._slow_down(said, written) if self._narration.has_passages else said) as asked:
                async for signals in asked:
                    match signals:
                        case [Finished(reason="stop") as finished] if hosted.is_whole:
                            self._check_rounds()
                            yield [RoundEnded(hosted.list_calls(), finished.usage)]
                        case _:
                            is_over = bool(signals) and isinstance(signals[0], Finished)
                            yield signals
            if is_over:
                return
            self.comparable_tokens = None  # the usage at the end counts all rounds
            await written()

    async def _slow_down(self, asked: Signals, written: Written) -> Signals:
        """The same signals; markers are looked for in their texts: of long ones, some at a time."""
        async with aclosing(asked):
            async for signals in asked:
                groups = cut_texts(signals, MAX_CHARACTERS_AT_ONCE)
                for group in groups:
                    yield group
                    if len(groups) > 1:
                        await written()

    async def _ask(self, given: Sequence[Item], hosted: HostedCalls) -> Signals:
        """One round: what the model says, without what is `hosted`; its `Finished` comes alone."""
        pieces = self._narration.find_open_text() or Pieces()
        request = self._build_request(len(pieces))
        if request.max_output_tokens is not None and request.max_output_tokens <= 0:
            yield [Finished("length")]
            return
        written = WrittenJson(request)
        items = self._compose_round(given)
        async with self._model.stream(request, items, shown="".join(pieces)) as answer:
            self._tap(answer, written)
            async for came in answer:
                signals = self._size.take(came)  # what came before too much is kept, however much came at once
                if len(signals) == len(came) and is_text(signals) and not self._thoughts.ends_with_text:  # nearly all
                    written.note_text(signals)
                    yield signals
                    continue
                match signals:
                    case [*rest, Finished() as finished]:
                        written.note(admitted := self._admit(rest, hosted))
                        if last := [*admitted, *self._thoughts.finish()]:
                            yield last
                        if finished.reason == "stop":
                            written.check()
                        yield [finished]
                        return
                written.note(admitted := self._admit(signals, hosted))
                yield admitted
                if len(signals) < len(came):
                    raise self._size.explain()
        raise UpstreamError("The model's answer broke off before its end. Send the input again.")

    def _tap(self, answer: Answer, written: WrittenJson) -> None:
        """Let text go past all this that goes on with text. Where markers are looked for it must not come too fast."""

        size, take_on = self._size, self._take

        def take(texts: Sequence[Text]) -> bool:
            return size.pass_on(texts, take_on)

        def take_form(texts: Sequence[Text]) -> bool:
            is_taken = size.pass_on(texts, take_on)
            if is_taken:
                written.note_text(texts)
            return is_taken

        if not self._narration.has_passages:
            tap(answer, take_form if written.has_form else take)

    def _admit(self, signals: Sequence[Signal], hosted: HostedCalls) -> Sequence[Signal]:
        return self._thoughts.admit(hosted.admit(self._call_filter.admit(signals)))

    def _compose_round(self, given: Sequence[Item]) -> list[Item]:
        """What was given, with what has been said and found since. What no model has called is no function's output."""
        items = list(given)
        for done in self._narration.rounds:
            if done.is_own:
                for output in done.outputs.values():
                    items = place_passages(items, output)
            else:
                items += _list_told(done)
        return items

    def _check_rounds(self) -> None:
        if len(self._list_asked()) >= MAX_ROUNDS:
            message = f"The model called tools in {MAX_ROUNDS} rounds and gave no answer. Ask for less at once."
            raise UpstreamError(message, is_final=True)

    async def _run_tool(self, call: HostedCall) -> HostedReturned:
        """What it has returned. Raises AnswerTooLarge."""
        tool = self._tools.get(call.name) if call.name else self._find_tool(call.kind)
        if tool is None:  # it was offered by another release
            return HostedReturned(call.call_id, "This tool is not available any more.")
        brief = self._brief
        given = self._narration.passages
        done = await tool.run(call, request=brief.model_request, owner=brief.owner, given=given)
        returned = HostedReturned(call.call_id, done.output, done.found)
        self._size.add([returned])
        return returned

    def _find_tool(self, kind: str) -> HostedTool | None:
        return next((tool for tool in self._hosted_tools if tool.kind == kind), None)

    def _list_first_calls(self, given: Sequence[Item]) -> list[HostedCall]:
        calls = [tool.find_first_call(self._brief.model_request, given) for tool in self._hosted_tools]
        return [call for call in calls if call is not None]

    def _list_waiting(self) -> Sequence[HostedCall]:
        rounds = self._narration.rounds
        return rounds[-1].waiting if rounds else ()

    def _list_asked(self) -> Sequence[Round]:
        """The rounds in which a model was asked."""
        return [done for done in self._narration.rounds if not done.is_own]

    def _compose(self) -> Sequence[Item]:
        brief = self._brief
        return compose_items(
            instructions=brief.response.instructions,
            window=brief.window,
            new_input=brief.input,
            unseal=partial(self._sealer.open, brief.owner),
            compaction=self._narration.find_compaction(),
        )

    def _build_request(self, shown_tokens: int = 0) -> ModelRequest:
        """What the model is asked in this round; hosted tools are offered in the first MAX_ROUNDS rounds."""
        request, rounds = self._brief.model_request, self._list_asked()
        if not (rounds or request.tools or self._functions or request.max_output_tokens is not None):
            return request  # most: nothing is offered, and nothing is counted
        if rounds:
            request = replace(request, tool_choice=_relax(request.tool_choice))
        has_failed = any(found.is_failed for found in self._narration.searches)  # each more would wait as long
        is_offered = len(rounds) < MAX_ROUNDS and self._count_calls_left() != 0 and not has_failed
        request = offer_hosted(request, self._functions if is_offered else {})
        left = count_left(request, rounds, shown_tokens)
        return request if left == request.max_output_tokens else replace(request, max_output_tokens=left)

    def _count_calls_left(self) -> int:
        """How many calls of hosted tools are left of `max_tool_calls`; a client's own tools are not counted."""
        most = self._brief.model_request.max_tool_calls
        made = sum(len(done.calls) for done in self._narration.rounds)
        return max(0, min(MAX_CALLS if most is None else most, MAX_CALLS) - made)

    @property
    def _has_begun(self) -> bool:
        return bool(self._narration.rounds or self._narration.find_open_text())


def _choose_keeping(brief: Brief, sealer: Sealer) -> ThoughtSeals | CallThoughts:
    """Where thoughts are kept for the model's server: by a client that asks for seals, in the history, or nowhere."""
    if brief.model_request.wants_encrypted_reasoning:
        return ThoughtSeals(partial(sealer.seal, brief.owner, "reasoning"))
    return CallThoughts() if brief.response.store or brief.is_remembered else ThoughtSeals(None)


def _list_said(narration: Narration) -> list[Item]:
    """What the log has of the answer when it is taken over."""
    return [*(item for done in narration.rounds for item in done.said), *narration.list_said()]


def count_left(request: ModelRequest, rounds: Sequence[Round], shown_tokens: int) -> int | None:
    """What is left of the answer's budget; servers send a piece a token, or more tokens at once."""
    if request.max_output_tokens is None:
        return None
    return request.max_output_tokens - shown_tokens - sum(done.usage.output_tokens for done in rounds if done.usage)


def _list_told(done: Round) -> list[Item]:
    """What the model is told of an earlier round: what it said, its calls, their outputs."""
    calls = [FunctionCall("", "completed", call.call_id, call.name, call.arguments) for call in done.calls]
    outputs = [FunctionCallOutput("", "completed", call_id, output) for call_id, output in done.outputs.items()]
    return [*done.said, *calls, *outputs]


def _relax(choice: ToolChoice) -> ToolChoice:
    """The choice after the first round: the call that it demanded has been made."""
    match choice:
        case "none" | "auto" | AllowedTools(mode="none" | "auto"):
            return choice
        case AllowedTools(allowed):
            return AllowedTools(allowed, "auto")
    return "auto"
