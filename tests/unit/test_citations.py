"""Citations: the markers in an answer, whatever the text around them and the pieces it comes in."""

import pickle
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from prompts.answer.citations import MAX_CITATIONS
from prompts.answer.events import Event, Narration
from prompts.answer.markers import Cited, MarkerReader, Shown
from prompts.domain.items import FileSearchCall, Logprob, Message, OutputText
from prompts.domain.passages import FileCitation, Passage
from prompts.domain.responses import Response
from prompts.domain.signals import (
    Finished,
    Found,
    HostedCall,
    HostedReturned,
    Refused,
    RoundEnded,
    Signal,
    Text,
    Thought,
    pack,
    read_signals,
    unpack,
)
from prompts.domain.text import JsonObject, TextConfig
from prompts.domain.usage import Usage
from tests.support.oracle import check_events

KNOWN = {1, 2, 3}
# What random texts are made of.
PIECES = [
    *("[", "]", "1", "2", "9", " ", "`", "```", "\n", "\n\n", "【", "】", "†", "a", "word", "(", "x[", "~~~", ",", ";"),
    *("1]", " [1]", "[2]", "[1, 2]", "[9]", "\\", ".", ":", " " * 80, "é", "是"),
]
RESPONSE = Response(id="resp_" + "0" * 32, created_at=1, status="in_progress", model="stand-in")
USAGE = Usage(1, 2, 3)


def read(pieces: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """What is shown of a text in these pieces, and the numbers that it cites with their places."""
    reader, text, cited = MarkerReader(KNOWN), "", []
    said = [one for piece in pieces for one in reader.read(piece)]
    preview, rest = reader.preview(), reader.finish()
    assert preview == rest
    for one in [*said, *rest]:
        match one:
            case Shown(shown, start, end):
                assert "".join(pieces)[start:end] == shown
                text += shown
            case Cited(numbers):
                cited += [(number, len(text)) for number in numbers]
    return text, cited


@pytest.mark.parametrize(
    ("written", "shown", "cited"),
    [
        ("Four weeks [1], in Berlin six【2】.", "Four weeks, in Berlin six.", [(1, 10), (2, 25)]),
        ("Four weeks[1].", "Four weeks.", [(1, 10)]),
        ("Both.[1][2]", "Both.", [(1, 5), (2, 5)]),
        ("Both [1] [2] of them", "Both of them", [(1, 4), (2, 4)]),
        ("All [1, 2; 3].", "All.", [(1, 3), (2, 3), (3, 3)]),
        ("So 【1†source】it is", "Soit is", [(1, 2)]),
        ("[1] It is so.\n [2]  And so.", "It is so.\nAnd so.", [(1, 0), (2, 10)]),
        ("慕尼黑[1]。", "慕尼黑。", [(1, 3)]),
        ("Since 2024[1]", "Since 2024", [(1, 10)]),
        ("Wide" + " " * 70 + "[1]", "Wide" + " " * 6, [(1, 10)]),
    ],
)
def test_markers_become_citations(written: str, shown: str, cited: list[tuple[int, int]]) -> None:
    assert read([written]) == (shown, cited)
    assert read(list(written)) == (shown, cited)


@pytest.mark.parametrize(
    "written",
    [
        "Nobody knows [4].",
        "One is unknown [1, 4].",
        "It ends with a bracket [1",
        "It ends with blanks   ",
        "A link: [1](http://example.com)",
        "[1]: http://example.com",
        "[the text][1] of a link",
        "a[1] + my_list[1] + rows2[1] + fooBar[1] + x[0][1]",
        r"\[1\] and \[1]",
        "`x [1]` and ``a ` [1]``",
        "```py\nx = [1]\n\ny = [1]\n```",
        "~~~\n[1]\n```\n[1]\n~~~~",
        "[1 apple] [ ] [x] [] [12345]",
        "【1",
        "[" * 500,
    ],
)
def test_all_else_stays_as_it_is(written: str) -> None:
    assert read([written]) == (written, [])
    assert read(list(written)) == (written, [])


def test_code_ends_where_it_ends() -> None:
    assert read(["`code` [1]"]) == ("`code`", [(1, 6)])
    assert read(["```\n[1]\n```\nSo [1]"]) == ("```\n[1]\n```\nSo", [(1, 14)])
    assert read(["```so``` [1]"]) == ("```so```", [(1, 8)])
    assert read(["a lone ` tick\n\nSo [1]"]) == ("a lone ` tick\n\nSo", [(1, 17)])


@pytest.mark.parametrize("seed", range(400))
def test_pieces_make_no_difference(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choice(PIECES) for _ in range(chance.randint(0, 30)))
    whole = read([text])
    assert read(list(text)) == whole
    for _ in range(3):
        assert read(cut(text, chance)) == whole


def cut(text: str, chance: random.Random) -> list[str]:
    """The text in pieces of one to five characters."""
    places = [0]
    while places[-1] < len(text):
        places.append(min(len(text), places[-1] + chance.randint(1, 5)))
    return [text[start:end] for start, end in pairwise(places)]


def test_a_model_that_repeats_itself_holds_nobody_up() -> None:
    for endless in (" ", "[", "`", "【", "[1", " [1]", "\n", "~"):
        reader = MarkerReader(KNOWN)
        for _ in range(20_000):
            reader.read(endless)
        assert sum(len(one.text) for one in reader.finish() if isinstance(one, Shown)) < 200


# --- in an answer ---


def passage(index: int, **fields: Any) -> Passage:
    """A passage of one of two files."""
    about = {"file_id": f"file-{index % 2}", "filename": f"{index % 2}.md", "number": index, "text": f"Text {index}."}
    return Passage(**{"vector_store_id": "vs_1", "score": 0.5, **about, "index": index, **fields})


SEARCHED: list[Signal] = [
    RoundEnded([HostedCall("call_1", "file_search", "", '{"queries":["so"]}')], USAGE),
    HostedReturned("call_1", "[1] …", Found([passage(1), passage(2), passage(3)])),
]


def tell(*groups: Sequence[Signal], response: Response = RESPONSE) -> tuple[list[Event], Narration]:
    """All events of an answer whose signals come in these groups, checked; and its narration."""
    narration = Narration(response)
    events = narration.opening()
    for signals in groups:
        events += narration.tell(signals)
    ended = narration.end(completed_at=2, finished=Finished("stop"))
    ended = msgspec.structs.replace(ended, usage=USAGE)
    events += narration.closing(ended, msgspec.json.encode(ended))
    check_events([msgspec.json.decode(event.data) for event in events])
    return events, narration


def find_text(events: Sequence[Event]) -> OutputText:
    """The last part of the answer's last message."""
    final = msgspec.json.decode(events[-1].data)["response"]
    message = msgspec.convert(final, Response).output[-1]
    assert isinstance(message, Message)
    part = message.content[-1]
    assert isinstance(part, OutputText)
    return part


def test_an_answer_cites_its_passages() -> None:
    events, narration = tell(SEARCHED, [Text("Four"), Text(" weeks"), Text(" ["), Text("1"), Text("2"), Text("]")])
    assert find_text(events).text == "Four weeks [12]", "there is no such passage"
    events, narration = tell(SEARCHED, [Text(piece) for piece in ("Four", " weeks", " [", "2", "][1", "]", ".")])
    part = find_text(events)
    assert part.text == "Four weeks."
    assert part.annotations == [
        {"type": "file_citation", "file_id": "file-0", "filename": "0.md", "index": 10, "eps:passage": 2},
        {"type": "file_citation", "file_id": "file-1", "filename": "1.md", "index": 10, "eps:passage": 1},
    ]
    assert narration.has_passages
    assert [each.index for each in narration.passages] == [1, 2, 3]


@pytest.mark.parametrize("seed", range(150))
def test_events_add_up_whatever_is_said(seed: int) -> None:
    """The oracle checks sums and places; a log read back in other groups tells the same."""
    chance = random.Random(seed)
    text = "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 30)))
    signals: list[Signal] = [*SEARCHED, *(Text(piece) for piece in cut(text, chance))]
    if chance.random() < 0.3:
        signals += [Refused("No."), Text("Still [1].")]
    events, _ = tell(signals)
    assert tell(*[[signal] for signal in unpack(pack(signals))])[0] == events
    if "Still" not in str(signals):
        shown, cited = read([text])
        part = find_text(events)
        assert part.text == shown
        assert {(note["eps:passage"], note["index"]) for note in part.annotations} == set(cited)


def test_a_text_that_may_be_continued_has_its_markers() -> None:
    narration = Narration(RESPONSE)
    narration.opening()
    narration.tell([*SEARCHED, Text("So [1]"), Text(", and [2")])
    assert list(narration.find_open_text() or ()) == ["So [1]", ", and [2"]
    [item] = narration.list_said()
    assert isinstance(item, Message)
    assert item.content[0] == OutputText("So, and [2", [FileCitation("file-1", "1.md", 2, 1)]), (
        "what is held back is shown where the answer ends here"
    )
    told = narration.tell([Text("].")])
    assert [event.type for event in told] == [
        "response.output_text.annotation.added",
        "response.output_text.delta",
    ]


def test_what_is_held_back_tells_nothing() -> None:
    narration = Narration(RESPONSE)
    narration.opening()
    narration.tell([*SEARCHED, Text("So")])
    before = narration.next_number
    assert narration.tell([Text(" "), Text("["), Text("1"), Text("]")]) == []
    assert narration.next_number == before


def test_a_reader_who_comes_later_hears_the_same() -> None:
    signals: list[Signal] = [*SEARCHED, *map(Text, "It is so [1], or so [2]: `x[1]`. [9] And [3")]
    events, _ = tell(signals)
    for first in range(len(events)):
        narration = Narration(RESPONSE, first_told=first)
        told = [*narration.opening(), *narration.tell(signals)]
        above = [event for event in told if event.sequence_number >= first]
        assert above == events[first : len(told)] or [event for event in events if event in above] == above


def test_a_token_that_is_taken_out_loses_its_log_probability() -> None:
    def token(text: str) -> Text:
        return Text(text, [Logprob(text, -0.1, list(text.encode()))])

    events, _ = tell(SEARCHED, [token(piece) for piece in ("Four", " weeks", " [", "1", "].", " Yes", " [", "9", "]")])
    part = find_text(events)
    assert part.text == "Four weeks. Yes [9]"
    assert [each.token for each in part.logprobs] == ["Four", " weeks", "].", " Yes", " [", "9", "]"]
    deltas = [msgspec.json.decode(event.data) for event in events if event.type == "response.output_text.delta"]
    assert [each["token"] for delta in deltas for each in delta["logprobs"]] == [each.token for each in part.logprobs]


def test_json_is_left_alone() -> None:
    response = msgspec.structs.replace(RESPONSE, text=TextConfig(format=JsonObject()))
    events, _ = tell(SEARCHED, [Text('{"x": [1]}')], response=response)
    assert find_text(events) == OutputText('{"x": [1]}')


def test_an_answer_without_passages_is_left_alone() -> None:
    events, _ = tell([Text("So [1].")])
    assert find_text(events) == OutputText("So [1].")


def test_an_ended_answer_is_told_again_from_what_is_stored() -> None:
    """Its log is gone: one delta a part, and the same items, searches and annotations."""
    shown = HostedReturned("call_1", "…", Found([passage(1)], is_shown=True))
    events, _ = tell([SEARCHED[0], shown, Text("So [1]."), Refused("No."), Text("But [1] so.")])
    final = msgspec.convert(msgspec.json.decode(events[-1].data)["response"], Response)
    told = Narration(RESPONSE)
    [search, *_] = final.output
    assert isinstance(search, FileSearchCall)
    assert [result["text"] for result in search.results or ()] == ["Text 1."]
    rebuilt = [*told.opening(), *told.tell(read_signals(final.output))]
    rebuilt += told.closing(final, msgspec.json.encode(final))
    told_again = check_events([msgspec.json.decode(event.data) for event in rebuilt])
    assert told_again["output"][1]["content"][0]["text"] == "So."


def test_an_older_release_reads_the_log() -> None:
    class OldReturned(msgspec.Struct, array_like=True, tag="y"):
        call_id: str
        output: str

    [packed] = msgspec.json.decode(pack([SEARCHED[1]]))
    assert msgspec.convert(packed, OldReturned).output == "[1] …"
    assert unpack(b'[["y","call_1","x"]]') == [HostedReturned("call_1", "x")]


# --- whatever is said ---


def test_an_endless_row_of_backticks_is_a_number() -> None:
    reader = MarkerReader(KNOWN)
    for _ in range(1_000):
        reader.read("`" * 1_000)
    assert len(pickle.dumps(reader)) < 2_000


def test_an_answer_of_nothing_but_markers_cites_so_often_and_no_more() -> None:
    """In one part or in several, of one message or of several."""
    first: list[Signal] = [Text("x [1]" * 1_200), Refused("No."), Text("y [1]" * 500)]
    events, _ = tell(SEARCHED, [*first, Thought("Hm."), Text("z [1]" * 900)])
    final = msgspec.convert(msgspec.json.decode(events[-1].data)["response"], Response)
    parts = [part for item in final.output if isinstance(item, Message) for part in item.content]
    texts = [part for part in parts if isinstance(part, OutputText)]
    assert [len(part.annotations) for part in texts] == [1_200, 500, MAX_CITATIONS - 1_700]
    assert sum(event.type == "response.output_text.annotation.added" for event in events) == MAX_CITATIONS
    assert "[" not in "".join(part.text for part in texts)
