"""`Narration` turns any signals, however they are grouped, into the specification's events, always the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from prompts.answer.events import Event, Narration, encode
from prompts.api import sse
from prompts.domain.items import (
    Item,
    Reasoning,
    ReasoningText,
    SummaryText,
)
from prompts.domain.responses import ConversationRef, Response, ResponseError
from prompts.domain.signals import (
    BegunAnew,
    Called,
    CalledTool,
    Finished,
    Refused,
    Signal,
    Text,
    Thought,
    pack,
    read_signals,
    unpack,
)
from prompts.domain.usage import Usage
from tests.support.oracle import check_events, read_frames
from tests.support.sample_turn import RESPONSE_ID, make_brief
from tests.support.words import ENDS, TEXTS, WORDS, splits

ITEM_TYPES = {
    "function": "function_call",
    "custom": "custom_tool_call",
    "local_shell": "local_shell_call",
    "tool_search": "tool_search_call",
}
CONVERSATIONS: st.SearchStrategy[ConversationRef | msgspec.UnsetType] = st.sampled_from(
    [msgspec.UNSET, ConversationRef("conv_0a" + "0" * 30)]
)


@dataclass(frozen=True)
class Telling:
    """The signals of an answer in groups, and its end."""

    response: Response
    groups: Sequence[Sequence[Signal]]
    end: Finished | ResponseError | None
    """None: it was cancelled."""


@st.composite
def tellings(draw: st.DrawFn) -> tuple[Telling, Telling]:
    """The same signals and end, split into groups in two ways."""
    response = Response(
        id=RESPONSE_ID,
        created_at=1_700_000_000,
        status="in_progress",
        model=draw(TEXTS),
        instructions=draw(st.none() | TEXTS),
        conversation=draw(CONVERSATIONS),
        background=draw(st.booleans()),
    )
    words, end = draw(st.lists(WORDS, max_size=10)), draw(ENDS)
    one, other = draw(splits(words)), draw(splits(words))
    return Telling(response, one, end), Telling(response, other, end)


def tell(telling: Telling) -> tuple[list[Event], bytes]:
    """All events, and the stored result."""
    narration = Narration(telling.response)
    events = narration.opening()
    for group in telling.groups:
        events += narration.tell(group)
    finished = telling.end if isinstance(telling.end, Finished) else None
    error = telling.end if isinstance(telling.end, ResponseError) else None
    ended = narration.end(completed_at=1_700_000_001, finished=finished, error=error)
    ended = replace(ended, usage=Usage(1, 2, 3))
    result = encode(ended)
    return [*events, *narration.closing(ended, result)], result


def decode(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The events as a client reads them."""
    return [msgspec.json.decode(event.data) for event in events]


@settings(deadline=None)  # the machine is shared
@given(tellings())
def test_any_words_make_events_of_the_specification(both: tuple[Telling, Telling]) -> None:
    telling = both[0]
    events, result = tell(telling)
    final = check_events(decode(events))
    assert final == msgspec.json.decode(result)
    words = [word for group in telling.groups for word in group]
    said = "".join(word.text for word in words if isinstance(word, Text | Refused))
    shown = [part for item in final["output"] if item["type"] == "message" for part in item["content"]]
    assert "".join(part.get("text", part.get("refusal")) for part in shown) == said
    thoughts = [item for item in final["output"] if item["type"] == "reasoning"]
    thought = "".join(part["text"] for item in thoughts for part in item.get("content", ()))
    assert thought == "".join(word.text for word in words if isinstance(word, Thought))
    calls = [item["type"] for item in final["output"] if item["type"] in ITEM_TYPES.values()]
    kinds = [getattr(word, "kind", "function") for word in words if isinstance(word, Called | CalledTool)]
    assert calls == [ITEM_TYPES[kind] for kind in kinds]
    assert len({item["id"] for item in final["output"]}) == len(final["output"])


@settings(deadline=None)  # the machine is shared
@given(tellings())
def test_a_stored_output_told_again_is_the_same_output(both: tuple[Telling, Telling]) -> None:
    """A stream whose log is gone is rebuilt from the stored output. Only empty parts have no signals."""
    telling = both[0]
    words = [word for group in telling.groups for word in group if not isinstance(word, BegunAnew)]
    whole = Telling(telling.response, [words], Finished("stop"))
    _, result = tell(whole)
    output = msgspec.json.decode(result, type=Response).output
    told = Telling(telling.response, [read_signals(output)], Finished("stop"))
    again = msgspec.json.decode(tell(told)[1], type=Response).output
    assert list(map(with_one_thought, again)) == list(map(with_one_thought, output))


def with_one_thought(item: Item) -> Item:
    """The item with its reasoning text in one part: a summary in between split it, but now comes before it."""
    if not isinstance(item, Reasoning):
        return item
    thought = ReasoningText("".join(part.text for part in item.content or ()))
    return replace(item, content=[thought], summary=[SummaryText("".join(part.text for part in item.summary))])


@settings(deadline=None)  # the machine is shared
@given(tellings())
def test_the_same_words_cut_otherwise_make_the_same_bytes(both: tuple[Telling, Telling]) -> None:
    (one, first), (other, second) = map(tell, both)
    assert b"".join(sse.frames(one)) == b"".join(sse.frames(other))
    assert first == second


@settings(deadline=None)  # the machine is shared
@given(tellings())
def test_frames_are_exact_and_the_terminal_one_carries_the_result_as_stored(both: tuple[Telling, Telling]) -> None:
    events, result = tell(both[0])
    raw = b"".join(sse.frames(events)) + sse.DONE
    assert read_frames(raw) == decode(events)
    assert raw.count(b"\n") == 3 * len(events) + 2  # no line break inside a frame's data
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events] == [frame["type"] for frame in decode(events)]
    assert events[-1].data.endswith(b'"response":' + result + b"}")


@settings(deadline=None)  # the machine is shared
@given(tellings())
def test_a_log_read_back_tells_the_same(both: tuple[Telling, Telling]) -> None:
    """A run writes JSON to the log; another replica narrates from it."""
    telling = both[0]
    groups = [unpack(pack(group)) for group in telling.groups]
    assert tell(Telling(telling.response, groups, telling.end)) == tell(telling)


def test_the_order_of_a_plain_answer() -> None:
    response = Response(id=RESPONSE_ID, created_at=1_700_000_000, status="in_progress", model="stand-in")
    events, _ = tell(Telling(response, [[Text("Good ")], [Text("morning!")]], Finished("stop")))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


@pytest.mark.parametrize("background", [False, True])
def test_the_opening_is_counted_without_telling_it(*, background: bool) -> None:
    response = replace(make_brief().response, background=background)
    assert Narration.count_opening(response) == len(Narration(response).opening())


def test_a_refusal_after_text_is_a_part_of_its_own() -> None:
    response = Response(id=RESPONSE_ID, created_at=1_700_000_000, status="in_progress", model="stand-in")
    events, _ = tell(Telling(response, [[Text("Well, "), Refused("no.")]], Finished("stop")))
    parts = check_events(decode(events))["output"][0]["content"]
    assert [part["type"] for part in parts] == ["output_text", "refusal"]


def test_frames_come_in_few_pieces_that_a_connection_takes() -> None:
    small = [Event("response.output_text.delta", number, b"x" * 200) for number in range(1_000)]
    large = Event("response.created", 0, b"y" * 1_000_000)
    events = [*small, large, *small]
    pieces = list(sse.frames(events))
    assert b"".join(pieces) == b"".join(
        b"event: %b\ndata: %b\n\n" % (event.type.encode(), event.data) for event in events
    )
    assert max(map(len, pieces)) <= sse.MAX_PIECE_BYTES + 100
    assert len(pieces) < 40
    assert list(sse.frames([])) == []
    assert len(list(sse.frames(small[:200]))) == 1
