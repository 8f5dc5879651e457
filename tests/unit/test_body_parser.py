"""A large body is read or refused without holding up everybody else: what would take seconds is not done."""

import gc
from contextlib import suppress
from typing import Any

import pytest
from msgspec import Raw

from prompts.api.relay import TRUE, CreateChatCompletion, CreateEmbeddings
from prompts.api.wire.create_response import CreateResponse
from prompts.api.wire.parser import MAX_RELAYED_FIELDS, MAX_SEARCHED_BYTES, BodyParser, OpaqueJsonParser
from prompts.api.wire.shapes import MAX_OBJECTS
from prompts.api.wire.unknown import Unknown
from prompts.errors import BodyTooLarge, InvalidRequest


class Request:
    """What the parser needs of one."""

    def __init__(self) -> None:
        self.unknown = Unknown()


def parse(body: bytes, model: Any, parser: BodyParser | None = None) -> Any:
    return (parser or BodyParser()).parse(body, None, request=Request(), model=model)  # type: ignore[arg-type]  # a part


def hand_on(body: bytes, model: Any = CreateChatCompletion) -> Any:
    return parse(body, model, OpaqueJsonParser())


@pytest.mark.parametrize(
    ("body", "is_nul"),
    [
        (rb"a\u0000b", True),
        (rb"a\\u0000b", False),
        (rb"a\\\u0000b", True),
        (rb"a\\\\u0000b", False),
        (rb"\u0001\\\\\u0000", True),
    ],
)
@pytest.mark.parametrize("padding", [0, MAX_SEARCHED_BYTES])
def test_a_nul_is_told_from_words_about_one(body: bytes, is_nul: bool, padding: int) -> None:
    whole = b'{"input":"%b"}' % body + b" " * padding
    if not is_nul:
        assert "u0000" in parse(whole, CreateResponse).input
        return
    with pytest.raises(InvalidRequest, match="NUL") as raised:
        parse(whole, CreateResponse)
    assert raised.value.param == (None if padding else "input")


@pytest.mark.parametrize("value", [b"[[],[]]", b'{"a":{}}', b"true", b"null", b'"x"'])
def test_what_is_handed_on_is_not_read(value: bytes) -> None:
    parsed = hand_on(b'{"messages":%b,"stream":%b,"model":"x"}' % (value, value))
    assert isinstance(parsed.messages, Raw)
    assert bytes(parsed.messages) == value
    assert (parsed.stream == TRUE) is (value == b"true")
    assert isinstance(hand_on(b'{"input":%b}' % value, CreateEmbeddings).input, Raw)


def test_the_fields_of_what_is_handed_on_are_counted() -> None:
    fields = b",".join(b'"%d":1' % number for number in range(MAX_RELAYED_FIELDS + 1))
    with pytest.raises(BodyTooLarge, match="fields"):
        hand_on(b"{%b}" % fields)
    hand_on(b'{"messages":"%b"}' % (b":" * 2 * MAX_RELAYED_FIELDS))


def test_objects_are_looked_at_for_unknown_fields_up_to_a_number() -> None:
    part = b'{"type":"input_text","text":"a","unknown":1}'
    body = b'{"input":[{"role":"user","content":[%b]}]}'
    parse(body % b",".join([part] * 1_000), CreateResponse)
    with pytest.raises(BodyTooLarge, match="40,000 objects"):
        parse(body % b",".join([part] * MAX_OBJECTS), CreateResponse)


@pytest.mark.parametrize("body", [b'{"input":"x"}', b"{", b'{"input":1}'])
def test_garbage_is_collected_afterwards(body: bytes) -> None:
    with suppress(InvalidRequest):
        parse(body, CreateResponse)
    assert gc.isenabled()
