"""What a model's server wants back with a call: kept in the history, told to the model again, and shown to nobody."""

from collections.abc import Sequence
from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import replace

from prompts.adapters.redis.items import decode_item, decode_items, encode, pack_items
from prompts.answer.call_thoughts import CallThoughts
from prompts.answer.events import Narration
from prompts.domain.item_kinds import KINDS_BY_TYPE
from prompts.domain.items import Call, FunctionCall, Item, Reasoning, ReasoningText
from prompts.domain.kept_thoughts import get_kept, hide_kept, with_kept
from prompts.domain.named_files import Holder
from prompts.domain.responses import Response
from prompts.domain.signals import (
    Argued,
    Called,
    CalledTool,
    Finished,
    Sealed,
    Signal,
    Text,
    Thought,
    pack,
    unpack,
)
from prompts.errors import UpstreamError
from prompts.history.estimates import estimate_tokens
from prompts.history.model_input import compose_items
from prompts.run.ending import Conclusion, conclude
from prompts.usecases.markdown import render_item
from tests.support.items import called, returned, said
from tests.support.sample_turn import RESPONSE_ID, make_model_input

SECRET = "chat:pomegranate"
WELL = Finished("stop")
CALLS: Sequence[tuple[str, Signal]] = [
    ("{}", Called(0, "call_1", "f")),
    ("text", CalledTool(0, "call_1", "patch", "custom")),
    ('{"command":["ls"]}', CalledTool(0, "call_1", "local_shell", "local_shell")),
    ("{}", CalledTool(0, "call_1", "tool_search", "tool_search")),
]
EVERY_CALL = pytest.mark.parametrize(("written", "begin"), CALLS, ids=lambda value: getattr(value, "kind", None))


def read_plain(_kind: str, sealed: str) -> str:
    """An unsealer for texts that are not sealed."""
    return sealed


def end(*signals: Signal, finished: Finished | None = WELL, error: Any = None) -> tuple[bytes, Conclusion]:
    """All that followers are told of these signals, and the end."""
    response = Response(id=RESPONSE_ID, created_at=1_700_000_000, status="in_progress", model="stand-in")
    narration = Narration(response)
    events = [*narration.opening(), *narration.tell(unpack(pack(signals)))]
    given, account = [said("user", "Hi")], make_model_input()
    conclusion = conclude(narration, given=given, account=account, now_s=1, finished=finished, error=error)
    return b"".join(event.data for event in [*events, *conclusion.events]), conclusion


def compose(*items: Item) -> Sequence[Item]:
    """What a model is told of them."""
    return compose_items(instructions=None, window=[said("user", "Hi"), *items], new_input=[], unseal=read_plain)


def thought(sealed: str, text: str = "") -> Reasoning:
    """A thought as a model is told it."""
    content = [ReasoningText(text)] if text else msgspec.UNSET
    return Reasoning("", "completed", summary=[], content=content, encrypted_content=sealed or msgspec.UNSET)


def calling(call_id: str, *kept: str) -> FunctionCall:
    """A call with what is kept with it."""
    return replace(called(call_id), kept=[*kept])


# --- from the model into the log ---


def test_what_comes_before_a_call_is_kept_with_it() -> None:
    thoughts = CallThoughts()
    told = thoughts.admit([Thought("Hm"), Sealed("1"), Called(0, "a", "f"), Argued(0, "{}")])
    assert told == [Thought("Hm"), Called(0, "a", "f"), Argued(0, "", "1"), Argued(0, "{}")]
    assert thoughts.admit([Sealed("2"), CalledTool(1, "b", "g", "custom")])[1:] == [Argued(1, "", "2")]
    assert thoughts.finish() == []


def test_a_thought_before_a_text_is_kept_with_the_call_behind_it() -> None:
    thoughts = CallThoughts()
    assert thoughts.admit([Sealed("1"), Text("So.")]) == [Text("So.")]
    assert thoughts.admit([Sealed("2"), Called(0, "a", "f")])[1:] == [Argued(0, "", "1"), Argued(0, "", "2")]


def test_what_comes_after_a_call_began_is_kept_with_it_at_the_end() -> None:
    thoughts = CallThoughts()
    thoughts.admit([Called(0, "a", "f"), Argued(0, "{}"), Sealed("1")])
    assert thoughts.finish() == [Argued(0, "", "1")]


def test_without_a_call_nothing_is_kept() -> None:
    thoughts = CallThoughts()
    assert thoughts.admit([Sealed("1"), Text("Hi")]) == [Text("Hi")]
    assert thoughts.finish() == []
    assert thoughts.admit([Called(0, "a", "f")]) == [Called(0, "a", "f")]  # of the next round


def test_a_release_that_does_not_know_it_reads_a_call_without_it() -> None:
    class Known(msgspec.Struct, frozen=True, array_like=True, tag="a"):
        index: int
        text: str

    packed = pack([Argued(3, "", SECRET), Argued(3, "{}")])
    assert msgspec.json.decode(packed, type=list[Known]) == [Known(3, ""), Known(3, "{}")]
    assert unpack(b'[["a",3,"{}"]]') == [Argued(3, "{}")]


# --- from the log into the history ---


@EVERY_CALL
def test_no_event_and_no_answer_has_it_and_the_history_has(written: str, begin: Signal) -> None:
    told, conclusion = end(begin, Argued(0, "", SECRET), Argued(0, written))
    assert SECRET.encode() not in told + conclusion.outcome.result
    assert told == end(begin, Argued(0, written))[0]
    _, call = conclusion.outcome.items
    assert list(get_kept(call)) == [SECRET]
    assert hide_kept(call) == conclusion.outcome.response.output[0]


@pytest.mark.parametrize("finished", [None, Finished("length")])
def test_of_an_answer_that_was_cut_off_the_whole_calls_have_it(finished: Finished | None) -> None:
    kept = Argued(0, "", SECRET), Argued(1, "", SECRET)
    _, conclusion = end(
        Called(0, "a", "f"), Called(1, "b", "f"), *kept, Argued(0, "{}"), Argued(1, '{"x":'), finished=finished
    )
    assert [list(get_kept(item)) for item in conclusion.outcome.items[1:]] == [[SECRET], []]


def test_of_a_failure_nothing_is_kept() -> None:
    error = UpstreamError("It broke off.")
    _, conclusion = end(Called(0, "a", "f"), Argued(0, "", SECRET), finished=None, error=error)
    assert conclusion.outcome.items == []


# --- in the history ---


@EVERY_CALL
def test_it_is_stored_beside_the_item_and_counts_in_its_estimate(written: str, begin: Signal) -> None:
    _, conclusion = end(begin, Argued(0, "", SECRET), Argued(0, written))
    call = conclusion.outcome.items[1]
    [(_, stored, tokens, _, kept)] = pack_items([call])
    assert SECRET not in stored
    assert decode_item(stored) == hide_kept(call)
    assert decode_item(f'{stored[:-1]},"eps:kept":{kept}}}') == call  # as the scripts put it together
    assert decode_items(encode([call])) == [call]
    assert tokens == estimate_tokens(call) > estimate_tokens(hide_kept(call))
    assert SECRET not in "".join(render_item(call))


def test_only_whole_calls_can_have_it() -> None:
    may_have = [kind for kind in KINDS_BY_TYPE.values() if "kept" in kind.struct.__struct_fields__]
    # Of others, what is kept is what the files hold that they name (`prompts/domain/named_files.py`).
    assert [kind.type for kind in may_have if kind.struct not in get_args(Holder)] == [
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "tool_search_call",
    ]
    assert with_kept(said("assistant", "Hi"), ["1"]) == said("assistant", "Hi")
    cut_off = replace(called("a"), status="incomplete")
    assert with_kept(cut_off, ["1"]) == cut_off
    assert isinstance(with_kept(called("a"), ["1"]), Call)


# --- from the history to the model ---


def test_a_model_is_told_the_thought_in_front_of_the_call() -> None:
    items = compose(calling("a", "1"), calling("b", "2", "3"), returned("a", "A"), returned("b", "B"))
    assert items[1:] == [
        thought("1"),
        called("a"),
        thought("2"),
        thought("3"),
        called("b"),
        returned("a", "A"),
        returned("b", "B"),
    ]


def test_a_thought_that_was_shown_is_not_told_twice() -> None:
    shown = thought("", "Hm")
    items = compose(shown, said("assistant", "So."), shown, calling("a", "1", "2"), returned("a", "A"))
    assert items[1:] == [
        thought("1", "Hm"),
        said("assistant", "So."),
        thought("2", "Hm"),
        called("a"),
        returned("a", "A"),
    ]
    items = compose(shown, calling("a", "1"), calling("b", "2"), returned("a", "A"), returned("b", "B"))
    assert items[1:5] == [thought("1", "Hm"), called("a"), thought("2"), called("b")]


def test_thoughts_of_another_turn_are_left_alone() -> None:
    shown = thought("", "Hm")
    items = compose(shown, said("assistant", "Hi"), said("user", "Go"), calling("a", "1"), returned("a", "A"))
    assert items[1] == shown
    assert items[-3:] == [thought("1"), called("a"), returned("a", "A")]


def test_it_goes_with_the_turn_when_one_of_its_calls_is_not_answered() -> None:
    items = compose(calling("a", "1"), called("b"), returned("b", "B"))
    assert items[1:] == [thought("1"), called("b"), returned("b", "B")]
    assert compose(calling("a", "1"), said("user", "Stop"))[1:] == [said("user", "Stop")]
