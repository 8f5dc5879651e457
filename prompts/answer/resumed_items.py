"""Items of a telling that goes on in the middle of a response: made from their outlines, without their text."""

from typing import assert_never

from prompts.answer.open_calls import OPEN_CALLS, OpenCall
from prompts.answer.open_items import OpenCompaction, OpenMessage
from prompts.answer.open_thoughts import OpenReasoning
from prompts.domain.items import Compaction, Item
from prompts.domain.waypoints import CallOutline, CompactionOutline, MessageOutline, Outline, ThoughtOutline

DONE_BEFORE: Item = Compaction("", "")
"""Stands in the output for each item that was done before the telling went on: no event says it again."""


def resume_item(response_id: str, outline: Outline) -> OpenMessage | OpenReasoning | OpenCompaction | OpenCall:
    """The open item of this outline."""
    match outline:
        case MessageOutline():
            return OpenMessage.resume(response_id, outline)
        case ThoughtOutline():
            return OpenReasoning.resume(response_id, outline)
        case CompactionOutline():
            return OpenCompaction.resume(response_id, outline)
        case CallOutline(called=called):
            return OPEN_CALLS[called.kind].resume(response_id, outline)
        case _:
            assert_never(outline)
