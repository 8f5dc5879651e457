"""Arguments as a model writes them: an object that can be written down again, or the text itself."""

import msgspec
import pytest

from prompts.domain.call_arguments import (
    MAX_NESTED,
    MAX_OBJECT_CHARACTERS,
    is_json,
    read_action,
    read_arguments,
)
from prompts.domain.nesting import MAX_DEPTH


def nest(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def test_it_works() -> None:
    assert read_arguments('{"query": ["a", {"b": 1}]}') == {"query": ["a", {"b": 1}]}
    assert read_arguments("") == {}
    assert read_arguments("[1]") == "[1]"


def test_an_object_that_nobody_means_stays_text() -> None:
    long, wide = f'{{"a": "{"x" * MAX_OBJECT_CHARACTERS}"}}', f'{{"a": [{"{}," * MAX_NESTED}1]}}'
    for text in (nest(MAX_DEPTH + 1), nest(500), nest(940), nest(100_000), long, wide):
        assert read_arguments(text) == text
        assert read_action(text).command == []


def write_deep_in_the_stack(value: object, frames: int) -> bytes:
    return msgspec.json.encode(value) if frames == 0 else write_deep_in_the_stack(value, frames - 1)


@pytest.mark.parametrize("depth", [MAX_DEPTH, 900, 935, 960, 985])
def test_what_was_read_can_be_written_wherever_that_is(depth: int) -> None:
    read = read_arguments(nest(depth))
    assert isinstance(read, dict) is (depth <= MAX_DEPTH)
    assert write_deep_in_the_stack({"output": [{"arguments": read}]}, 300)


def test_a_whole_document_is_told_without_making_it() -> None:
    assert is_json("[" + "{}," * 100_000 + "{}]")
    assert not is_json("[" * 100_000)
