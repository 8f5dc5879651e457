"""Cuts an answer into the pieces that are streamed one by one: a piece is a token of one part of the answer."""

from collections.abc import Iterator
from itertools import groupby, islice
from typing import Literal

import msgspec

from embedded.standin.answers import Answer
from embedded.standin.chat import Call
from embedded.standin.tokens import split_tokens

Part = Literal["reasoning_content", "content", "refusal", "tool_calls"]


class Piece(msgspec.Struct, frozen=True):
    """A token and where it belongs; the first piece of a tool call brings its id and name in `opens`, and no text."""

    part: Part
    text: str
    place: int = 0
    opens: Call | None = None


class Reply(msgspec.Struct, frozen=True):
    """An answer ready to be sent: its pieces and why they end."""

    pieces: list[Piece]
    finish: str
    prompt_tokens: int


def compose_reply(answer: Answer, *, prompt_tokens: int, max_tokens: int | None) -> Reply:
    """The pieces of an answer, as many as are allowed."""
    pieces = list(_list_pieces(answer))
    is_cut = max_tokens is not None and len(pieces) > max_tokens
    return Reply(pieces[:max_tokens], "length" if is_cut else answer.finish, prompt_tokens)


def group_pieces(pieces: list[Piece], size: int) -> Iterator[list[Piece]]:
    """The pieces in groups of at most `size` that can go out as one delta."""
    if size == 1:
        yield from ([piece] for piece in pieces)
        return
    for _, run in groupby(pieces, key=lambda piece: (piece.part, piece.place, piece.opens is None)):
        while group := list(islice(run, size)):
            yield group


def _list_pieces(answer: Answer) -> Iterator[Piece]:
    yield from (Piece("reasoning_content", token) for token in split_tokens(answer.reasoning))
    yield from (Piece("content", token) for token in split_tokens(answer.text))
    yield from (Piece("refusal", token) for token in split_tokens(answer.refusal))
    for place, call in enumerate(answer.calls):
        yield Piece("tool_calls", "", place, opens=call)
        yield from (Piece("tool_calls", token, place) for token in split_tokens(call.function.arguments))
