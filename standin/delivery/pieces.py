"""Cuts an answer into pieces; a piece is one token of one part of the answer."""

from collections.abc import Iterator
from itertools import groupby, islice
from typing import Literal

import msgspec

from standin.answers.answer import Answer
from standin.chat_completions.request import Call
from standin.tokens import split_tokens

Part = Literal["summary", "reasoning_content", "content", "refusal", "tool_calls"]


class Piece(msgspec.Struct, frozen=True):
    """A token and its part. The first piece of a tool call has the call in `opens_call`, and no text.

    `place` is the index of the tool call; 0 for all other parts.
    """

    part: Part
    text: str
    place: int = 0
    opens_call: Call | None = None


class Reply(msgspec.Struct, frozen=True):
    """An answer ready to send: its pieces, and its finish reason."""

    pieces: list[Piece]
    finish: str
    prompt_tokens: int


def compose_reply(answer: Answer, *, prompt_tokens: int, max_tokens: int | None, interleave: int = 0) -> Reply:
    """The pieces of an answer, `max_tokens` at most.

    Tool calls follow one another, or alternate every `interleave` pieces.
    """
    pieces = [
        *_list_text_pieces(answer),
        *_interleave(list(map(_list_call, range(len(answer.calls)), answer.calls)), interleave),
    ]
    is_cut = max_tokens is not None and len(pieces) > max_tokens
    return Reply(pieces[:max_tokens], "length" if is_cut else answer.finish, prompt_tokens)


def group_pieces(pieces: list[Piece], size: int) -> Iterator[list[Piece]]:
    """The pieces in groups of at most `size` that can be one delta."""
    if size == 1:
        yield from ([piece] for piece in pieces)
        return
    for _, run in groupby(pieces, key=lambda piece: (piece.part, piece.place, piece.opens_call is None)):
        while group := list(islice(run, size)):
            yield group


def _list_text_pieces(answer: Answer) -> Iterator[Piece]:
    yield from (Piece("summary", token) for token in split_tokens(answer.summary))
    yield from (Piece("reasoning_content", token) for token in split_tokens(answer.reasoning))
    yield from (Piece("content", token) for token in split_tokens(answer.text))
    yield from (Piece("refusal", token) for token in split_tokens(answer.refusal))


def _list_call(place: int, call: Call) -> list[Piece]:
    arguments = [Piece("tool_calls", token, place) for token in split_tokens(call.function.arguments)]
    return [Piece("tool_calls", "", place, opens_call=call), *arguments]


def _interleave(calls: list[list[Piece]], size: int) -> Iterator[Piece]:
    """The pieces of all calls, `size` pieces from each in turn (0: all of them)."""
    while any(calls):
        for call in calls:
            yield from call[: size or None]
            del call[: size or None]
