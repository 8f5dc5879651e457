"""The shapes of the events, for the OpenAPI document: what is sent is written by `prompts/answer/`, not by these.

A docstring is what the document and its page say of the event. A test holds every event that is really sent to them.
"""

from typing import Any, TypeAlias

from msgspec import UNSET, Struct, UnsetType
from msgspec.inspect import StructType, type_info

from prompts.domain.items import Item, Logprob, OutputText, ReasoningText, Refusal, SummaryText
from prompts.domain.responses import Response


class Numbered(Struct, kw_only=True, tag_field="type"):
    """An event of a response."""

    sequence_number: int


class OfResponse(Numbered):
    """An event that carries the whole response as it stands."""

    response: Response


class ResponseCreated(OfResponse, tag="response.created"):
    """The first event. It is sent at once, whatever the model does."""


class ResponseQueued(OfResponse, tag="response.queued"):
    """Only in the background: the response waits for its run."""


class ResponseInProgress(OfResponse, tag="response.in_progress"):
    """The model is being asked."""


class ResponseCompleted(OfResponse, tag="response.completed"):
    """The end: the answer is whole, and stored. Only `[DONE]` follows."""


class ResponseIncomplete(OfResponse, tag="response.incomplete"):
    """The end: the answer was cut, `incomplete_details` says why. A cancelled response ends so, too."""


class ResponseFailed(OfResponse, tag="response.failed"):
    """The end: there is no answer; `error` has a code and a sentence. What was written so far stays in `output`."""


class OfItem(Numbered):
    """An event about an item of the output."""

    output_index: int


class OutputItemAdded(OfItem, tag="response.output_item.added"):
    """An item begins: a message, a thought, a call. It is `in_progress`, and what it will say is still empty."""

    item: Item


class OutputItemDone(OfItem, tag="response.output_item.done"):
    """The item is finished, and as it will be stored."""

    item: Item


class InItem(OfItem):
    """An event inside an item."""

    item_id: str


class OfContent(InItem):
    """An event about a part of an item's content."""

    content_index: int


class OfPart(OfContent):
    """An event that carries the part as it stands."""

    part: OutputText | Refusal | ReasoningText
    response_id: str


class ContentPartAdded(OfPart, tag="response.content_part.added"):
    """A part of a message or of a thought begins. `response_id` is an extension: clients of OGX read it."""


class ContentPartDone(OfPart, tag="response.content_part.done"):
    """The part is finished. `response_id` is an extension: clients of OGX read it."""


class OfContentDelta(OfContent):
    """A delta of a part; padded for those who ask for `include_obfuscation`."""

    delta: str
    obfuscation: str | UnsetType = UNSET


class OutputTextDelta(OfContentDelta, kw_only=True, tag="response.output_text.delta"):
    """More of the text: print `delta`. All deltas of a part together are its text."""

    logprobs: list[Logprob]


class OutputTextDone(OfContent, tag="response.output_text.done"):
    """The whole text of the part."""

    text: str
    logprobs: list[Logprob]


class OutputTextAnnotationAdded(OfContent, tag="response.output_text.annotation.added"):
    """A citation. It comes when the text has come to its place, `annotation.index`."""

    annotation_index: int
    annotation: dict[str, Any]


class RefusalDelta(OfContentDelta, tag="response.refusal.delta"):
    """More of the model's refusal."""


class RefusalDone(OfContent, tag="response.refusal.done"):
    """The whole refusal."""

    refusal: str


class ReasoningDelta(OfContentDelta, tag="response.reasoning.delta"):
    """More of the model's thought. Thoughts are shown to those who send `reasoning`."""


class ReasoningDone(OfContent, tag="response.reasoning.done"):
    """The whole thought."""

    text: str


class OfSummary(InItem):
    """An event about a part of a thought's summary."""

    summary_index: int


class OfSummaryDelta(OfSummary):
    """A delta of a summary; padded for those who ask for `include_obfuscation`."""

    delta: str
    obfuscation: str | UnsetType = UNSET


class ReasoningSummaryPartAdded(OfSummary, tag="response.reasoning_summary_part.added"):
    """A part of a thought's summary begins."""

    part: SummaryText


class ReasoningSummaryPartDone(OfSummary, tag="response.reasoning_summary_part.done"):
    """The part of the summary is finished."""

    part: SummaryText


class ReasoningSummaryTextDelta(OfSummaryDelta, tag="response.reasoning_summary_text.delta"):
    """More of a thought's summary."""


class ReasoningSummaryTextDone(OfSummary, tag="response.reasoning_summary_text.done"):
    """The whole text of the part of the summary."""

    text: str


class InItemDelta(InItem):
    """A delta of a call's input; padded for those who ask for `include_obfuscation`."""

    delta: str
    obfuscation: str | UnsetType = UNSET


class FunctionCallArgumentsDelta(InItemDelta, tag="response.function_call_arguments.delta"):
    """More of the arguments of a call, as JSON that is not whole yet."""


class FunctionCallArgumentsDone(InItem, tag="response.function_call_arguments.done"):
    """The whole arguments. Run the function when its item is done."""

    arguments: str


class CustomToolCallInputDelta(InItemDelta, tag="response.custom_tool_call_input.delta"):
    """More of the input of a custom tool."""


class CustomToolCallInputDone(InItem, tag="response.custom_tool_call_input.done"):
    """The whole input of a custom tool."""

    input: str


class FileSearchCallInProgress(InItem, tag="response.file_search_call.in_progress"):
    """The service has begun to search in files."""


class FileSearchCallSearching(InItem, tag="response.file_search_call.searching"):
    """The index is being searched."""


class FileSearchCallCompleted(InItem, tag="response.file_search_call.completed"):
    """The search is over. It does not come when the search has failed."""


class KeepAlive(Struct, tag_field="type", tag="keepalive"):
    """Nothing has happened for a while, and the stream is alive. It has no number, and is never sent again."""


StreamEvent: TypeAlias = (
    ResponseCreated
    | ResponseQueued
    | ResponseInProgress
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | OutputTextDelta
    | OutputTextDone
    | OutputTextAnnotationAdded
    | RefusalDelta
    | RefusalDone
    | ReasoningDelta
    | ReasoningDone
    | ReasoningSummaryPartAdded
    | ReasoningSummaryPartDone
    | ReasoningSummaryTextDelta
    | ReasoningSummaryTextDone
    | FunctionCallArgumentsDelta
    | FunctionCallArgumentsDone
    | CustomToolCallInputDelta
    | CustomToolCallInputDone
    | FileSearchCallInProgress
    | FileSearchCallSearching
    | FileSearchCallCompleted
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
    | KeepAlive
)


def _list_types() -> dict[str, type[Struct]]:
    union = type_info(StreamEvent)
    structs = [each for each in getattr(union, "types", ()) if isinstance(each, StructType)]
    return {str(each.tag): each.cls for each in structs}


EVENT_TYPES: dict[str, type[Struct]] = _list_types()
"""Every event by its type, in the order in which they come."""
