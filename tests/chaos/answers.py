"""Questions, answers, and how an answer is checked: the stand-in computes what each must say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from standin.answers.answer import compose_answer
from standin.chat_completions.request import ChatRequest, Message
from standin.control.directives import Directives
from tests.chaos.event_reader import EventReader
from tests.support.oracle import check_events, check_response, read_frame
from tests.support.turns import get_text

# `seize.lua` counts the first run and two takeovers. The fourth attempt ends the response.
MAX_ATTEMPTS = 3


@dataclass
class Dialogue:
    """Turns that follow one another: in a conversation, by `previous_response_id`, or a single turn."""

    conversation_id: str | None = None
    turns: list["Answer"] = field(default_factory=list)

    @property
    def anchor(self) -> dict[str, str]:
        """The fields of the request's body that name the dialogue. A failed turn is not in it."""
        if self.conversation_id is not None:
            return {"conversation": self.conversation_id}
        ended = [turn.response_id for turn in self.turns if turn.has_joined]
        return {"previous_response_id": ended[-1]} if ended else {}

    @property
    def history(self) -> list[tuple[str, str]]:
        """Role and text of every acknowledged item, in order."""
        return [item for turn in self.turns if turn.has_joined for item in turn.items]


@dataclass
class Answer:
    """One turn and its outcome."""

    question: str
    dialogue: Dialogue = field(default_factory=Dialogue)
    # The client that reads its events. A whole answer has no events.
    reader: EventReader = field(default_factory=EventReader)
    other_readers: list[EventReader] = field(default_factory=list)
    final: dict[str, Any] | None = None
    failure_code: str | None = None
    is_cancelled: bool = False
    expected: str = ""
    """What it must say; where it is not given, what the stand-in says to these messages."""
    cites_at: int | None = None
    """Where its only citation must stand, of an answer from files."""
    fields: dict[str, Any] = field(default_factory=dict)
    """More of the request's body."""

    def __post_init__(self) -> None:
        if self.expected:
            return
        messages = [*self.dialogue.history, ("user", self.question)]
        given = [Message(role=role, content=text) for role, text in messages]  # type: ignore[arg-type]  # these are roles
        self.expected = compose_answer(ChatRequest(model="stand-in", messages=given), Directives()).text

    @property
    def response_id(self) -> str:
        """Empty when no client got it: a whole answer that failed."""
        return self.reader.response_id or (self.final["id"] if self.final else "")

    @property
    def status(self) -> str:
        """The final status that the client got; empty when it got none."""
        return self.final["status"] if self.final else ""

    @property
    def text(self) -> str:
        return get_text(self.final) if self.final else ""

    @property
    def has_joined(self) -> bool:
        """Whether its items are part of the history."""
        return self.status in ("completed", "incomplete", "cancelled")

    @property
    def items(self) -> list[tuple[str, str]]:
        """Role and text of the items it adds to the history."""
        return [("user", self.question), *([("assistant", self.text)] if self.text else [])]

    @property
    def is_given_up(self) -> bool:
        """Its run was lost too often."""
        return self.failure_code == "replica_lost"

    @property
    def all_readers(self) -> Sequence[EventReader]:
        """Every reader that saw an event."""
        return [reader for reader in (self.reader, *self.other_readers) if reader.frames]


def find_faults(answer: Answer) -> Iterator[str]:
    """Everything that is wrong with an ended answer."""
    for reader in (answer.reader, *answer.other_readers):
        yield from reader.faults
    if answer.final is None:
        if not answer.is_given_up:
            yield f"it never ended ({answer.failure_code})"
        return
    yield from _find_wrong_end(answer)
    if answer.cites_at is not None and answer.status == "completed":
        yield from _find_wrong_citations(answer, answer.cites_at)
    yield from _find_specification_faults(answer)
    for reader in answer.all_readers:
        if not reader.faults and reader.text != answer.text:
            yield f"its deltas say {reader.text!r}, its end says {answer.text!r}"


def _find_wrong_end(answer: Answer) -> Iterator[str]:
    match answer.status:
        case "completed":
            if answer.text != answer.expected:
                yield f"it says {answer.text!r}"
        case "failed" if not answer.is_given_up:
            yield f"it failed: {answer.failure_code}"
        case "cancelled" if not answer.is_cancelled:
            yield "nobody cancelled it"
        case "failed" | "cancelled":
            if not answer.expected.startswith(answer.text):
                yield f"it was {answer.status} and says {answer.text!r}"
        case status:
            yield f"it is {status}"


def _find_wrong_citations(answer: Answer, place: int) -> Iterator[str]:
    assert answer.final is not None
    search, message = answer.final["output"]
    if search["type"] != "file_search_call" or search["status"] != "completed":
        yield f"its files were not searched: {search}"
    [part] = message["content"]
    if [note["index"] for note in part["annotations"]] != [place]:
        yield f"it cites {part['annotations']}"


def _find_specification_faults(answer: Answer) -> Iterator[str]:
    """Where it breaks the specification."""
    assert answer.final is not None
    try:
        check_response(answer.final)
        if answer.reader.frames and not answer.reader.faults:
            check_events([read_frame(frame) for frame in answer.reader.frames])
    except (AssertionError, ValueError) as error:
        yield f"it is against the specification: {error}"
