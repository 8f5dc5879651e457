"""Writes Chat Completions bytes: the chunks of a stream, and the whole answer.

A chunk is joined from two prepared halves and a small delta, because a benchmark needs millions of chunks.
"""

import time
from collections.abc import Sequence
from typing import Any

import orjson

from standin.chat_completions.request import ChatRequest
from standin.delivery.logprobs import compose_logprob
from standin.delivery.pieces import Piece, Reply
from standin.errors import StandInError

DONE = b"data: [DONE]\n\n"


class ChatWriter:
    """Writes one reply, as chunks or whole. See `Writer`."""

    def __init__(self, request: ChatRequest, reply: Reply, fingerprint: str, *, has_usage: bool) -> None:
        self._reply, self._has_usage = reply, has_usage
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{fingerprint}",
            "created": int(time.time()),
            "model": request.model,
        }
        if request.service_tier is not None:
            self._head["service_tier"] = "default" if request.service_tier == "auto" else request.service_tier
        self._wants_logprobs, self._top = bool(request.logprobs), request.top_logprobs or 0
        is_asked = request.stream_options is not None and request.stream_options.include_usage
        self._streams_usage = is_asked and has_usage
        head = orjson.dumps({**self._head, "object": "chat.completion.chunk"})[:-1]
        self._before = b"data: " + head + b',"choices":[{"index":0,"delta":'
        self._after = b"}]" + (b',"usage":null' if self._streams_usage else b"") + b"}\n\n"
        self._not_finished = b',"logprobs":null,"finish_reason":null' + self._after
        self._tail_usage = b"data: " + head + b',"choices":[],"usage":'

    def compose_greeting(self) -> bytes:
        """Nothing: the first chunk comes with the first token."""
        return b""

    def compose_opening(self) -> bytes:
        """The chunk with the role."""
        return self._before + b'{"role":"assistant","content":"","refusal":null}' + self._not_finished

    def compose_chunk(self, pieces: Sequence[Piece]) -> bytes:
        """The chunk of a few pieces of the same part."""
        first = pieces[0]
        text = first.text if len(pieces) == 1 else "".join(piece.text for piece in pieces)
        if first.part == "tool_calls":
            return self._before + orjson.dumps({"tool_calls": [_compose_call_delta(first, text)]}) + self._not_finished
        delta = self._before + b'{"' + first.part.encode() + b'":' + orjson.dumps(text) + b"}"
        if not (self._wants_logprobs and first.part == "content"):
            return delta + self._not_finished
        logprobs = orjson.dumps(self._compose_logprobs(pieces))
        return delta + b',"logprobs":' + logprobs + b',"finish_reason":null' + self._after

    def compose_closing(self) -> bytes:
        """The chunk with the finish reason, the usage when requested, and [DONE]."""
        reason = b'{},"logprobs":null,"finish_reason":' + orjson.dumps(self._reply.finish)
        usage = self._tail_usage + orjson.dumps(self._compose_usage()) + b"}\n\n" if self._streams_usage else b""
        return self._before + reason + self._after + usage + DONE

    def compose_error(self, error: StandInError) -> bytes:
        """The envelope as the data of an event, as model servers send it."""
        return b"data: " + error.body + b"\n\n"

    def compose_failure(self, error: StandInError) -> bytes:
        """An error: this protocol has no failed answers."""
        return self.compose_error(error)

    def compose_failed_whole(self, error: StandInError, after: int) -> bytes:
        """Raises the error: this protocol has no failed answers."""
        raise error

    def compose_whole(self) -> bytes:
        """The answer as one document."""
        contents = [piece for piece in self._reply.pieces if piece.part == "content"]
        choice = {
            "index": 0,
            "message": _compose_message(self._reply.pieces),
            "logprobs": self._compose_logprobs(contents) if self._wants_logprobs else None,
            "finish_reason": self._reply.finish,
        }
        usage = {"usage": self._compose_usage()} if self._has_usage else {}
        return orjson.dumps({**self._head, "object": "chat.completion", "choices": [choice], **usage})

    def _compose_usage(self) -> dict[str, Any]:
        sent, said = self._reply.prompt_tokens, len(self._reply.pieces)
        thought = sum(piece.part == "reasoning_content" for piece in self._reply.pieces)
        return {
            "prompt_tokens": sent,
            "completion_tokens": said,
            "total_tokens": sent + said,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": thought},
        }

    def _compose_logprobs(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        return {"content": [compose_logprob(piece.text, self._top) for piece in pieces], "refusal": None}


def _compose_message(pieces: Sequence[Piece]) -> dict[str, Any]:
    texts: dict[str, str] = {}
    calls: dict[int, dict[str, Any]] = {}
    for piece in pieces:
        if piece.opens_call is not None:
            calls[piece.place] = _compose_call_delta(piece, "")
        elif piece.part == "tool_calls":
            calls[piece.place]["function"]["arguments"] += piece.text
        else:
            texts[piece.part] = texts.get(piece.part, "") + piece.text
    is_silent = calls or "refusal" in texts
    message = {"role": "assistant", "content": None if is_silent else "", "refusal": None, **texts}
    without_index = [{key: value for key, value in call.items() if key != "index"} for call in calls.values()]
    return {**message, "tool_calls": without_index} if calls else message


def _compose_call_delta(piece: Piece, text: str) -> dict[str, Any]:
    if piece.opens_call is None:
        return {"index": piece.place, "function": {"arguments": text}}
    function = {"name": piece.opens_call.function.name, "arguments": ""}
    return {"index": piece.place, "id": piece.opens_call.id, "type": "function", "function": function}
