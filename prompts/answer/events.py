"""What happens to a response, as events: the closed set, and the one state machine that tells them.

A model's answer reaches us as *signals* (`prompts/domain/signals.py`). `Narration` turns them into the specification's
events and the response's output, always in a legal order, whatever the model does. The log holds signals, not events:
each event follows from the response's echo and the signals before. That is what makes a log small, and a second reader
see what the first one saw. It holds waypoints as well (`prompts/domain/waypoints.py`): a telling can go on from there.

    opening       response.created · [queued ·] in_progress
    text          [output_item.added · content_part.added ·] output_text.delta | refusal.delta
    thought       [output_item.added · content_part.added ·] reasoning.delta
    summary       [output_item.added · reasoning_summary_part.added ·] reasoning_summary_text.delta
    compaction    output_item.added · output_item.done
    call          output_item.added, then function_call_arguments.delta | custom_tool_call_input.delta of any call that
                  is open; those of a shell or of a search for tools are told whole
    round ended   of each call of the service's own tools: output_item.added · file_search_call.in_progress ·
                  .searching; when it has returned: .completed · output_item.done; then the next round's items. Once
                  passages were found, a message's text is told without its markers (`prompts/answer/citations.py`),
                  and output_text.annotation.added for each
    closing       of each open item, in order: …done · content_part.done · output_item.done; then response.completed |
                  .incomplete | .failed

One message or thought is being said at a time; calls stay open until the end, because a model may write
several side by side. Items are done in the order of the output. Sequence numbers start at 0 and have no gaps; exactly
one terminal event ends the sequence (docs/api.md, "Events").
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self, assert_never

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from prompts.answer.citations import MAX_CITATIONS, CitingMessage, count_citations
from prompts.answer.hosted_items import OPEN_HOSTED, OpenHosted
from prompts.answer.open_calls import OPEN_CALLS, OpenCall
from prompts.answer.open_items import Happenings, OpenCompaction, OpenItem, OpenMessage
from prompts.answer.open_thoughts import OpenReasoning
from prompts.answer.pieces import Pieces
from prompts.answer.resumed_items import DONE_BEFORE, resume_item
from prompts.domain.items import Compaction, Item, ItemStatus, Phase, Reasoning
from prompts.domain.kept_thoughts import with_kept
from prompts.domain.passages import Passage
from prompts.domain.responses import IncompleteDetails, Notice, Response, ResponseError
from prompts.domain.signals import (
    Argued,
    BegunAnew,
    Called,
    CalledTool,
    Compacted,
    Finished,
    Found,
    HostedCall,
    HostedReturned,
    Opened,
    Refused,
    RoundEnded,
    Sealed,
    Signal,
    Summarized,
    Text,
    Thought,
)
from prompts.domain.text import PlainText
from prompts.domain.usage import Usage, add_usage
from prompts.domain.waypoints import LogPlace, Waypoint

encode = msgspec.json.Encoder().encode


KNOWLEDGE_UNAVAILABLE = Notice(
    "knowledge_unavailable",
    "The files could not be searched: the answer was made without them. Send the input again in a moment.",
)
TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})

# What stands before a text that can go on.
_UNSPOKEN = (OpenReasoning, Reasoning, OpenCompaction, Compaction)
_INCOMPLETE_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Event(Struct, frozen=True, gc=False):
    """One event of a response: its type, its place in the sequence, and its JSON as it goes on the wire."""

    type: str
    sequence_number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Round:
    """A round that ended with calls of the service's own tools; `outputs` by call id, of those that have run."""

    said: Sequence[Item]
    calls: Sequence[HostedCall]
    outputs: dict[str, str]
    usage: Usage | None

    @property
    def is_own(self) -> bool:
        """Whether the service itself made the calls, before it asked the model."""
        return all(not call.name for call in self.calls)

    @property
    def waiting(self) -> Sequence[HostedCall]:
        """The calls that have not run yet."""
        return [call for call in self.calls if call.call_id not in self.outputs]


@dataclass(slots=True)
class Narration:
    """The state of one telling: what has been said so far, and the number of the next event.

    `response` is the response as it was created (status `in_progress`, no output).
    """

    response: Response
    next_number: int = 0
    _told: list[Event] = field(default_factory=list)
    """The events of what is being told."""
    _items: list[OpenItem | Item] = field(default_factory=list)
    """The output in order; what is closed is an `Item`."""
    _current: OpenMessage | OpenReasoning | OpenCompaction | None = None
    _calls: dict[int, OpenCall] = field(default_factory=dict)
    usage_before: Usage | None = None
    """What is known of the cost of everything before the present call of the model: compaction, rounds, lost runs."""
    is_usage_estimated: bool = False
    """Whether that has estimates in it."""
    lost_output_tokens: int = 0
    """How many tokens of this round were written by runs that were lost; they are in `usage_before`."""
    _rounds: list[Round] = field(default_factory=list)
    _hosted: dict[str, OpenHosted] = field(default_factory=dict)
    """The calls of the service's own tools that have not returned, by call id."""
    _passages: dict[int, Passage] = field(default_factory=dict)
    """The passages that the model was given, by their numbers."""
    _searches: list[Found] = field(default_factory=list)
    _round_start: int = 0
    """Where the output of the present round begins."""
    first_told: int = 0
    """The events below this number are counted, and are not made into JSON: whoever goes on from there has them."""
    _group_after: int = -1
    """The number behind which the group stands in the log that is being told."""
    _group_told: int = 0
    """How many signals of it have been told."""
    _begun_at: LogPlace | None = None
    """Where in the log the current item begins."""

    @classmethod
    def resume(cls, response: Response, *, number: int, waypoint: Waypoint, first_told: int) -> Self:
        """The narration that goes on behind the event of that number, where the waypoint is. It tells and closes.

        A text that began before may have to be read again: see `count_tellable`.
        """
        narration = cls(response, next_number=number + 1, first_told=first_told)
        narration._items = [DONE_BEFORE] * waypoint.length
        for outline in waypoint.open:
            item = resume_item(response.id, outline)
            narration._items[item.output_index] = item
            if isinstance(item, OpenCall):
                narration._calls[item.called.index] = item
            else:
                item.is_said = True
        last = narration._items[-1] if narration._items else None
        if waypoint.current is not None and isinstance(last, (OpenMessage, OpenReasoning)):
            last.is_said = False
            narration._current, narration._begun_at = last, waypoint.current
        return narration

    def find_waypoint(self) -> Waypoint | None:
        """Where the telling stands, at the end of a group; None where nobody can go on from."""
        if self.has_passages:
            return None  # what a text cites, and what of it is held back, follows from all before it
        outlines = [item.draw_outline() for item in self._open_items()]
        known = [outline for outline in outlines if outline is not None]
        is_whole = len(known) == len(outlines)
        return Waypoint(len(self._items), known, self._begun_at if self._current else None) if is_whole else None

    def begin_group(self) -> None:
        """What is told next is the next group of the log."""
        self._group_after, self._group_told = self.next_number - 1, 0

    def count_tellable(self, signals: Sequence[Signal]) -> int:
        """How many of these can be told without a text that began before; the next one needs it (`find_cut_item`)."""
        current = self._current
        if current is None or isinstance(current, OpenCompaction) or not current.lacks_beginning:
            return len(signals)
        is_first = self._open_items()[0] is current
        for index, signal in enumerate(signals):
            if current.goes_on_with(signal) or isinstance(signal, (Argued, HostedReturned, Finished)):
                continue
            if isinstance(signal, BegunAnew) and not self.is_thinking:
                continue
            # Otherwise a part of it is done, or all of it: then it may wait for open calls, to the end of the answer.
            return index if is_first or current.is_own(signal) else len(signals)
        return len(signals)

    def find_cut_item(self) -> tuple[OpenItem, LogPlace] | None:
        """The item that is being said when its beginning lies before the waypoint, and where in the log that is."""
        current = self._current
        return (current, self._begun_at) if current and current.lacks_beginning and self._begun_at else None

    def opening(self) -> list[Event]:
        """What is on the wire before the model has said anything; a background response begins as `queued`."""
        events = self._tell_opening()
        self.begin_group()
        return events

    @staticmethod
    def count_opening(response: Response) -> int:
        """How many events the opening of this response has."""
        return 3 if response.background else 2

    def _tell_opening(self) -> list[Event]:
        begun = encode(self.response)  # the largest part of a short turn: once for all
        if not self.response.background:
            return [self._carry(name, begun) for name in ("response.created", "response.in_progress")]
        queued = encode(replace(self.response, status="queued"))
        waiting = [self._carry(name, queued) for name in ("response.created", "response.queued")]
        return [*waiting, self._carry("response.in_progress", begun)]

    def tell(self, signals: Iterable[Signal], *, is_group: bool = False) -> list[Event]:
        """The events of some more signals, those below `first_told` empty or left out.

        `is_group`: these are the next group of the log. A `Finished` says nothing until `closing`.
        """
        if is_group:
            self._group_after, self._group_told = self.next_number - 1, 0
        self._told = events = []
        index = self._group_told - 1
        for index, signal in enumerate(signals, self._group_told):
            current = self._current
            if type(signal) is Text and type(current) is OpenMessage and current.is_saying_text:
                # Nearly all signals come this way.
                number = self.next_number
                self.next_number = number + 1
                if number < self.first_told:
                    current.keep(signal)
                else:
                    events.append(Event(current.delta_name, number, current.say(number, signal)))
            else:
                self._group_told = index
                self._tell(signal)
        self._group_told = index + 1
        self._told = []
        return events

    def end(self, *, completed_at: int, finished: Finished | None, error: ResponseError | None = None) -> Response:
        """The response as it ends here: `completed`, `incomplete`, with an error `failed`, with neither `cancelled`.

        What it cost is not said yet.
        """
        reason = _INCOMPLETE_REASONS.get(finished.reason) if finished else None
        status: Literal["completed", "incomplete", "failed", "cancelled"]
        status = "failed" if error else "cancelled" if not finished else "incomplete" if reason else "completed"
        return replace(
            self.response,
            status=status,
            completed_at=completed_at if status == "completed" else None,
            incomplete_details=IncompleteDetails(reason) if reason and not error else None,
            output=self._output(is_whole=status == "completed"),
            error=error,
            notices=[KNOWLEDGE_UNAVAILABLE] if any(found.is_failed for found in self._searches) else UNSET,
        )

    def closing(self, ended: Response, result: bytes) -> list[Event]:
        """The last events; the terminal one carries `result`, the JSON of the ended response, byte for byte."""
        self._told = []
        for item in self._open_items():
            if item.output_index >= len(ended.output):
                break  # it was ended without its output, which could not be read
            said = ended.output[item.output_index]
            if item.lacks_beginning:
                item.recall(said)
            status: ItemStatus = getattr(said, "status", "completed")
            self._happen(item.close(status))
        name = f"response.{ended.status}" if ended.status != "cancelled" else "response.incomplete"
        events, self._told = [*self._told, self._carry(name, result)], []
        return events

    @property
    def is_thinking(self) -> bool:
        """Whether a thought is open."""
        return isinstance(self._current, OpenReasoning)

    @property
    def rounds(self) -> Sequence[Round]:
        """The rounds in which the model called tools of the service, oldest first."""
        return self._rounds

    @property
    def has_passages(self) -> bool:
        """Whether events follow from more than the text: what the text cites, and what of it is held back."""
        return bool(self._passages)

    @property
    def passages(self) -> Sequence[Passage]:
        """All passages that the model was given, in the order of their numbers."""
        return [*self._passages.values()]

    @property
    def searches(self) -> Sequence[Found]:
        """What each search has found."""
        return self._searches

    def find_compaction(self) -> Compaction | None:
        """The compaction that this answer goes on from, if there was one."""
        return next((item for item in self._items if isinstance(item, Compaction)), None)

    def list_said(self) -> list[Item]:
        """What this round has said, as it stands."""
        said = self._items[self._round_start :]
        return [item.build("incomplete") if isinstance(item, OpenItem) else item for item in said]

    def find_open_text(self) -> Pieces | None:
        """What this round has said, in the pieces it came in, when it is text that can go on; None when it is not.

        Empty when nothing was said but thoughts.
        """
        said = [item for item in self._items[self._round_start :] if not isinstance(item, _UNSPOKEN)]
        match said:
            case []:
                return Pieces()
            case [OpenMessage() as message]:
                return message.open_text
        return None

    def list_kept(self, output: Sequence[Item]) -> list[Item]:
        """The output of `end` as the history keeps it: with what the model's server wants back with its calls."""
        pairs = zip(self._items, output, strict=True)
        return [with_kept(item, opened.kept) if isinstance(opened, OpenCall) else item for opened, item in pairs]

    def _tell(self, signal: Signal) -> None:
        match signal:
            case Text() | Refused():
                message = self._turn_to_message()
                self._happen(message.turn_to(signal))
                self._say(message, signal)
            case Opened() | Compacted():
                self._close_current()
                self._tell_beginning(signal)
            case Thought() | Summarized() | Sealed():
                thought = self._turn_to_thought()
                self._happen(thought.think(signal))
            case Called() | CalledTool() | Argued():
                self._tell_call(signal)
            case RoundEnded() | HostedReturned():
                self._tell_hosted(signal)
            case BegunAnew(lost):
                self._begin_anew(lost)
            case Finished():
                pass  # `closing` tells the end
            case _:
                assert_never(signal)

    def _turn_to_message(self) -> OpenMessage:
        if isinstance(self._current, OpenMessage):
            return self._current
        self._close_current()
        message = self._open_message()
        self._begin(message)
        return message

    def _open_message(self, phase: Phase | None = None) -> OpenMessage:
        """A message; of an answer that is to be JSON, the text is told as it is."""
        if self._passages and isinstance(self.response.text.format, PlainText):
            left = MAX_CITATIONS - sum(map(count_citations, self._items))
            return CitingMessage(
                self.response.id, len(self._items), phase, passages={**self._passages}, max_citations=left
            )
        return OpenMessage(self.response.id, len(self._items), phase)

    def _say(self, message: OpenMessage, signal: Text | Refused) -> None:
        if isinstance(signal, Text) and isinstance(message, CitingMessage):
            self._happen(message.cite(signal))
            return
        self._told.append(self._delta(message, signal))
        if isinstance(signal, Text) and signal.annotations:
            self._happen(message.annotate(signal.annotations))

    def _turn_to_thought(self) -> OpenReasoning:
        if isinstance(self._current, OpenReasoning):
            return self._current
        self._close_current()
        thought = OpenReasoning(self.response.id, len(self._items))
        self._begin(thought)
        return thought

    def _begin(self, item: OpenMessage | OpenReasoning | OpenCompaction) -> None:
        self._current = item
        self._begun_at = LogPlace(self._group_after, self._group_told)
        self._items.append(item)
        self._happen(item.add())

    def _tell_call(self, signal: Called | CalledTool | Argued) -> None:
        match signal:
            case Called(index, call_id, name):
                self._begin_call(CalledTool(index, call_id, name, "function"))
            case CalledTool():
                self._begin_call(signal)
            case Argued(index, text, kept) if index in self._calls:
                self._calls[index].kept += [kept] if kept else []
                if text:
                    self._happen(self._calls[index].argue(text))

    def _tell_beginning(self, signal: Opened | Compacted) -> None:
        match signal:
            case Opened(phase):
                self._begin(self._open_message(phase))
            case Compacted(encrypted_content, usage, is_estimated):
                self._begin(OpenCompaction(self.response.id, len(self._items), encrypted_content))
                self._close_current()
                self.usage_before = add_usage(usage, self.usage_before)
                self.is_usage_estimated |= is_estimated

    def _begin_anew(self, lost: Usage | None) -> None:
        if self.is_thinking:
            self._close_current()
        if lost is not None:
            self.usage_before = add_usage(lost, self.usage_before)
            self.lost_output_tokens += lost.output_tokens
            self.is_usage_estimated = True

    def _tell_hosted(self, signal: RoundEnded | HostedReturned) -> None:
        match signal:
            case RoundEnded(calls, usage):
                self._close_current()
                self._end_round(calls, usage)
            case HostedReturned(call_id, output, found):
                self._return_hosted(call_id, output, found)

    def _end_round(self, calls: list[HostedCall], usage: Usage | None) -> None:
        said = [item for item in self._items[self._round_start :] if not isinstance(item, OpenItem)]
        self._rounds.append(Round(said, calls, {}, usage))
        self.usage_before = add_usage(usage, self.usage_before)
        for call in calls:
            item = OPEN_HOSTED[call.kind](self.response.id, len(self._items), call)
            self._items.append(item)
            self._hosted[call.call_id] = item
            self._happen(item.add())
        self._round_start = len(self._items)
        self.lost_output_tokens = 0

    def _return_hosted(self, call_id: str, output: str, found: Found | None) -> None:
        self._rounds[-1].outputs[call_id] = output
        item = self._hosted.pop(call_id)
        item.found = found
        if found is not None:
            self._searches.append(found)
            self._passages |= {passage.index: replace(passage, search_id=item.id) for passage in found.passages}
        self._happen(item.close("completed"))
        self._items[item.output_index] = item.build("completed")

    def _begin_call(self, called: CalledTool) -> None:
        self._close_current()
        call = OPEN_CALLS[called.kind](self.response.id, len(self._items), called)
        self._calls[called.index] = call
        self._items.append(call)
        self._happen(call.add())

    def _close_current(self) -> None:
        """End the current item. Items are done in the order of the output: it may have to wait for open calls."""
        current, self._current = self._current, None
        if current is None:
            return
        current.is_said = True
        if self._open_items()[0] is current:
            self._happen(current.close("completed"))
            self._items[current.output_index] = current.build("completed")

    def _open_items(self) -> list[OpenItem]:
        return [item for item in self._items if isinstance(item, OpenItem)]

    def _output(self, *, is_whole: bool) -> list[Item]:
        last = next(reversed(self._open_items()), None)
        return [
            item.build("completed" if is_whole else item.judge(is_last=item is last))
            if isinstance(item, OpenItem)
            else item
            for item in self._items
        ]

    def _delta(self, message: OpenMessage, signal: Text | Refused) -> Event:
        number = self._take_number()
        if number < self.first_told:
            message.keep(signal)
            return Event("", number, b"")
        return Event(message.delta_name, number, message.say(number, signal))

    def _happen(self, happenings: Happenings) -> None:
        for name, fields in happenings:
            number = self._take_number()
            is_told = number >= self.first_told
            data = encode({"type": name, "sequence_number": number, **fields}) if is_told else b""
            self._told.append(Event(name, number, data))

    def _carry(self, name: str, response: bytes) -> Event:
        """The event that carries the response, which is JSON already."""
        number = self._take_number()
        if number < self.first_told:
            return Event(name, number, b"")
        head = b'{"type":"%b","sequence_number":%d,"response":' % (name.encode(), number)
        return Event(name, number, b"".join((head, response, b"}")))

    def _take_number(self) -> int:
        number = self.next_number
        self.next_number += 1
        return number
