"""Function calls in a stream, in every form in which servers send them."""

import re
from typing import Any

import msgspec
import pytest

from prompts.adapters.openai.call_ids import MAX_CALL_ID_CHARACTERS
from prompts.adapters.openai.chat_calls import MAX_CALLS
from prompts.adapters.openai.chat_stream import ChatReading
from prompts.adapters.openai.written_calls import MAX_ARGUMENTS_CHARACTERS
from prompts.domain.signals import Argued, Called, Finished, Signal
from prompts.errors import UpstreamError

OURS = re.compile(r"call_[0-9a-f]{24}")
END = {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}
PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'


def delta(
    name: str | None = None, arguments: Any = None, *, index: int | None = None, call_id: str | None = None
) -> dict[str, Any]:
    """One entry of `tool_calls`, without what is not given."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    fields = {key: value for key, value in (("index", index), ("id", call_id)) if value is not None}
    return {**fields, "type": "function", "function": function}


def chunk(*deltas: dict[str, Any]) -> dict[str, Any]:
    """A chunk with these entries."""
    return {"choices": [{"index": 0, "delta": {"tool_calls": list(deltas)}}]}


def read(*chunks: dict[str, Any]) -> list[Signal]:
    """The signals of these chunks."""
    reading = ChatReading()
    data = b"".join(b"data: " + msgspec.json.encode(each) + b"\n\n" for each in (*chunks, END))
    return [*reading.feed(data), *reading.finish()]


def assemble(signals: list[Signal]) -> list[tuple[str, str, str]]:
    """The calls (id, name, arguments) in the order of their signals."""
    *said, finished = signals
    assert finished == Finished("stop")
    calls: dict[int, list[str]] = {}
    for signal in said:
        match signal:
            case Called(index, call_id, name):
                assert index not in calls
                calls[index] = [call_id, name, ""]
            case Argued(index, text):
                calls[index][2] += text
    return [(call_id, name, arguments) for call_id, name, arguments in calls.values()]


def pieces(arguments: str, size: int = 3) -> list[str]:
    """The pieces of the arguments as they are streamed."""
    return [arguments[start : start + size] for start in range(0, len(arguments), size)]


ONE = [("a", "get_weather", PARIS)]
TWO = [("a", "get_weather", PARIS), ("b", "get_time", ROME)]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param(
            [
                chunk(delta("get_weather", "", index=0, call_id="a")),
                *(chunk(delta(arguments=piece, index=0)) for piece in pieces(PARIS)),
                chunk(delta("get_time", "", index=1, call_id="b")),
                *(chunk(delta(arguments=piece, index=1)) for piece in pieces(ROME)),
            ],
            TWO,
            id="as OpenAI does",
        ),
        pytest.param(
            [
                chunk(delta("get_weather", "", index=0, call_id="a"), delta("get_time", "", index=1, call_id="b")),
                *(
                    chunk(delta(arguments=one, index=0), delta(arguments=other, index=1))
                    for one, other in zip(pieces(PARIS, 8), pieces(ROME, 8), strict=True)
                ),
            ],
            TWO,
            id="interleaved",
        ),
        pytest.param(
            [chunk(delta("get_weather", PARIS, index=0, call_id="a"), delta("get_time", ROME, index=1, call_id="b"))],
            TWO,
            id="whole, in one chunk",
        ),
        pytest.param(
            [
                chunk(delta("get_weather", PARIS, index=0, call_id="a")),
                chunk(delta("get_time", ROME, index=0, call_id="b")),
            ],
            TWO,
            id="whole, index always 0",
        ),
        pytest.param(
            [
                chunk(delta("get_weather", "", index=0, call_id="a")),
                *(chunk(delta(arguments=piece, index=0)) for piece in pieces(PARIS)),
                chunk(delta("get_time", "", index=0, call_id="b")),
                *(chunk(delta(arguments=piece, index=0)) for piece in pieces(ROME)),
            ],
            TWO,
            id="streamed, index always 0",
        ),
        pytest.param(
            [
                chunk(delta("get_weather", "", index=0, call_id="a"), delta("get_time", "", index=0, call_id="b")),
                *(chunk(delta(arguments=piece, index=0, call_id="a")) for piece in pieces(PARIS)),
                *(chunk(delta(arguments=piece, index=0, call_id="b")) for piece in pieces(ROME)),
            ],
            TWO,
            id="index always 0, told apart by id",
        ),
        pytest.param(
            [chunk(delta("get_weather", PARIS, call_id="a"), delta("get_time", ROME, call_id="b"))],
            TWO,
            id="without an index",
        ),
        pytest.param(
            [
                chunk(delta("get_weather", "", call_id="a")),
                *(chunk(delta(arguments=piece)) for piece in pieces(PARIS)),
                chunk(delta("get_time", "", call_id="b")),
                *(chunk(delta(arguments=piece)) for piece in pieces(ROME)),
            ],
            TWO,
            id="streamed without an index",
        ),
        pytest.param(
            [
                chunk(delta("get_weather", "", index=0, call_id="a")),
                *(chunk(delta(arguments=piece)) for piece in pieces(PARIS)),
                chunk(delta("get_time", "", index=1, call_id="b")),
                *(chunk(delta(arguments=piece)) for piece in pieces(ROME)),
            ],
            TWO,
            id="an index at first only",
        ),
        pytest.param(
            [
                chunk(delta("get_weather", "", index=0, call_id="a")),
                *(chunk(delta(arguments=piece, index=n)) for n, piece in enumerate(pieces(PARIS), 1)),
            ],
            ONE,
            id="an index that counts the pieces",
        ),
        pytest.param(
            [
                chunk(delta("get_weather", "", index=0, call_id="a")),
                *(chunk(delta(arguments=piece, index=0, call_id="a")) for piece in pieces(PARIS)),
            ],
            ONE,
            id="the id repeated",
        ),
        pytest.param(
            [
                chunk(delta("get_weather", "", index=0, call_id="a")),
                *(chunk(delta(arguments=piece, index=0, call_id=f"x{n}")) for n, piece in enumerate(pieces(PARIS))),
            ],
            ONE,
            id="another id with every piece",
        ),
        pytest.param(
            [chunk(delta("get_weather", piece, index=0, call_id="a")) for piece in ("", *pieces(PARIS))],
            ONE,
            id="id and name repeated",
        ),
        pytest.param(
            [
                chunk(delta("get_", index=0, call_id="a")),
                chunk(delta("weather", index=0)),
                *(chunk(delta(arguments=piece, index=0)) for piece in pieces(PARIS)),
            ],
            ONE,
            id="the name in pieces",
        ),
        pytest.param(
            [
                chunk(delta("get_", index=0, call_id="a")),
                chunk(delta("get_weather", PARIS, index=0)),
            ],
            ONE,
            id="the name growing",
        ),
        pytest.param(
            [
                chunk(delta(arguments=PARIS[:5], index=0, call_id="a")),
                chunk(delta("get_weather", PARIS[5:], index=0)),
            ],
            ONE,
            id="the name behind the first arguments",
        ),
        pytest.param(
            [chunk(delta("get_weather", index=0)), chunk(delta(arguments=PARIS, index=0, call_id="a"))],
            ONE,
            id="the id behind the name",
        ),
        pytest.param([chunk(delta("get_weather", {"city": "Paris"}, index=0, call_id="a"))], ONE, id="an object"),
        pytest.param(
            [
                chunk(delta("get_weather", "", index=0, call_id="a")),
                chunk(delta(arguments=PARIS, index=0)),
                chunk(delta("get_weather", PARIS, index=0, call_id="a")),
            ],
            ONE,
            id="whole once more at its end",
        ),
        pytest.param(
            [
                chunk(delta("get_weather", PARIS, index=0, call_id="a")),
                chunk(delta("get_weather", "", index=0, call_id="a")),
                chunk(delta("", "", index=0, call_id="")),
                chunk(delta()),
                chunk(),
                {"choices": [{"delta": {"tool_calls": None, "function_call": None}}]},
            ],
            ONE,
            id="nothing more, said often",
        ),
        pytest.param(
            [chunk(delta("ping", index=0, call_id="a")), chunk(delta("pong", "", index=1, call_id="b"))],
            [("a", "ping", "{}"), ("b", "pong", "{}")],
            id="without arguments",
        ),
        pytest.param(
            [chunk(delta("ping", index=0, call_id="a")), chunk(delta("ping", "", index=0, call_id="b"))],
            [("a", "ping", "{}"), ("b", "ping", "{}")],
            id="without arguments, index always 0",
        ),
        pytest.param([chunk(delta("ping", " ", index=0, call_id="a"))], [("a", "ping", " {}")], id="blank arguments"),
        pytest.param(
            [
                chunk(delta("get_weather", piece, index=0, call_id=f"x{n}"))
                for n, piece in enumerate((" ", *pieces(PARIS, 1)))
            ],
            [("x0", "get_weather", f" {PARIS}")],
            id="another id and the name again with every piece",
        ),
        pytest.param(
            [
                *(chunk(delta("f", piece, index=0, call_id=f"x{n}")) for n, piece in enumerate(pieces('{"a":{}}', 1))),
                *(chunk(delta("f", piece, index=0, call_id=f"y{n}")) for n, piece in enumerate(pieces(ROME, 1))),
            ],
            [("x0", "f", '{"a":{}}'), ("y0", "f", ROME)],
            id="the same, twice",
        ),
        pytest.param(
            [
                {"choices": [{"delta": {"tool_calls": {"index": "0", "id": 7, "function": {"name": "ping"}}}}]},
                {"choices": [{"delta": {"tool_calls": [{"index": 0.0, "function": {"arguments": "{}"}}]}}]},
            ],
            [("7", "ping", "{}")],
            id="numbers as strings, and a string as a number",
        ),
        pytest.param([chunk(delta("f", '"foo"', index=0, call_id="a"))], [("a", "f", '"foo"')], id="a JSON string"),
        pytest.param(
            [
                {
                    "choices": [
                        {
                            "message": {
                                "role": "assistant",
                                "tool_calls": [
                                    {"id": "a", "function": {"name": "get_weather", "arguments": PARIS}},
                                    {"id": "b", "function": {"name": "get_time", "arguments": ROME}},
                                ],
                            }
                        }
                    ]
                }
            ],
            TWO,
            id="a whole message",
        ),
    ],
)
def test_servers(chunks: list[dict[str, Any]], expected: list[tuple[str, str, str]]) -> None:
    assert assemble(read(*chunks)) == expected


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([chunk(delta("get_weather", PARIS), delta("get_weather", ROME))], id="nothing but names"),
        pytest.param(
            [chunk(delta("get_weather", piece)) for piece in (*pieces(PARIS), *pieces(ROME))],
            id="nothing but the name, with every piece",
        ),
        pytest.param(
            [
                chunk(delta("get_weather", PARIS, index=0, call_id="")),
                chunk(delta("get_weather", ROME, index=0, call_id="")),
            ],
            id="empty ids, index always 0",
        ),
        pytest.param(
            [chunk(delta("get_weather", PARIS, index=0)), chunk(delta("get_weather", ROME, index=1))], id="no ids"
        ),
        pytest.param(
            [chunk(delta("get_weather", PARIS, index=n, call_id="x" * 65)) for n in (0, 1)],
            id="ids longer than we take",
        ),
    ],
)
def test_a_call_without_an_id_of_its_own_is_given_one(chunks: list[dict[str, Any]]) -> None:
    calls = assemble(read(*chunks))
    assert [name for _, name, _ in calls] == ["get_weather"] * 2
    assert all(OURS.fullmatch(call_id) for call_id, _, _ in calls)
    assert len({call_id for call_id, _, _ in calls}) == 2


@pytest.mark.parametrize("call_id", ["a\x00b", "a\nb", "\x7f", "a\u202eb", "\ud83d"])
def test_an_id_with_control_characters_is_replaced(call_id: str) -> None:
    data = msgspec.json.encode(chunk(delta("ping", "{}", index=0, call_id="?"))).decode()
    reading = ChatReading()
    escaped = "".join(f"\\u{ord(character):04x}" for character in call_id)
    signals = reading.feed(f"data: {data.replace('?', escaped)}\n\n".encode())
    assert isinstance(signals[0], Called)
    assert OURS.fullmatch(signals[0].call_id)


def test_no_answer_has_calls_without_end() -> None:
    reading = ChatReading()
    calls = [delta("f", "{}", index=n, call_id=f"id{n}") for n in range(20_000)]
    told = feed(reading, chunk(*calls))
    assert len([signal for signal in told if isinstance(signal, Called)]) <= MAX_CALLS
    with pytest.raises(UpstreamError):
        reading.finish()


def test_arguments_of_a_call_without_a_name_do_not_fill_the_memory() -> None:
    reading = ChatReading()
    piece = chunk(delta(arguments="x" * 1_000_000, index=0, call_id="a"))
    for _ in range(MAX_ARGUMENTS_CHARACTERS // 1_000_000 + 1):
        feed(reading, piece)
    with pytest.raises(UpstreamError):
        reading.finish()


@pytest.mark.parametrize("indexes", [(0, 1), (0, 0), (None, None)])
def test_an_id_that_several_calls_share_is_the_firsts(indexes: tuple[int | None, int | None]) -> None:
    first, second = (
        delta("get_weather", arguments, index=index, call_id="a")
        for index, arguments in zip(indexes, (PARIS, ROME), strict=True)
    )
    one, other = assemble(read(chunk(first), chunk(second)))
    assert one == ("a", "get_weather", PARIS)
    assert OURS.fullmatch(other[0])
    assert other[1:] == ("get_weather", ROME)


def test_the_longest_id_that_may_come_back_is_kept() -> None:
    longest = "x" * MAX_CALL_ID_CHARACTERS
    [(call_id, _, _)] = assemble(read(chunk(delta("ping", "{}", index=0, call_id=longest))))
    assert call_id == longest


def test_one_function_called_the_old_way() -> None:
    deltas = [{"name": "get_weather", "arguments": ""}, *({"arguments": piece} for piece in pieces(PARIS))]
    [(call_id, name, arguments)] = assemble(
        read(*({"choices": [{"delta": {"function_call": each}}]} for each in deltas))
    )
    assert (name, arguments) == ("get_weather", PARIS)
    assert OURS.fullmatch(call_id)


def test_arguments_are_told_as_they_come() -> None:
    reading = ChatReading()
    first = chunk(delta("get_weather", "", index=0, call_id="a"))
    assert feed(reading, first) == []  # the name may continue
    assert reading.has_begun
    assert feed(reading, chunk(delta(arguments='{"ci', index=0))) == [Called(0, "a", "get_weather"), Argued(0, '{"ci')]
    assert feed(reading, chunk(delta(arguments='ty":', index=0))) == [Argued(0, 'ty":')]


def feed(reading: ChatReading, each: dict[str, Any]) -> list[Signal]:
    """The signals of one more chunk."""
    return reading.feed(b"data: " + msgspec.json.encode(each) + b"\n\n")


def test_a_call_is_told_when_the_next_one_begins() -> None:
    reading = ChatReading()
    feed(reading, chunk(delta("ping", "", index=0, call_id="a")))
    assert feed(reading, chunk(delta("pong", "", index=1, call_id="b"))) == [Called(0, "a", "ping")]


@pytest.mark.parametrize("arguments", [PARIS[:-1], PARIS + "}", "{x: 1}", '{"x": NaN}', "[" * 2000 + "]" * 2000])
def test_arguments_that_are_no_json_are_told_as_they_are_and_never_complete(arguments: str) -> None:
    signals = read(chunk(delta("get_weather", arguments, index=0, call_id="a")))
    assert signals == [Called(0, "a", "get_weather"), Argued(0, arguments), Finished("length")]


def test_a_call_that_was_cut_is_told_as_far_as_it_goes() -> None:
    reading = ChatReading()
    feed(reading, chunk(delta("get_weather", index=0, call_id="a")))
    feed(reading, {"choices": [{"delta": {}, "finish_reason": "length"}]})
    assert reading.finish() == [Called(0, "a", "get_weather"), Finished("length")]
