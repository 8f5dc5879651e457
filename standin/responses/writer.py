"""Writes Responses bytes: the events of a stream as OpenAI sends them, and the whole answer.

The first piece of an item opens it, the last piece closes it. Calls that alternate are open at the same time. The
stream ends with its terminal event: this protocol has no [DONE].
"""

from collections.abc import Sequence
from typing import Any, Literal

import orjson

from standin.delivery.pieces import Piece, Reply
from standin.errors import StandInError
from standin.responses.item_events import ItemEvents
from standin.responses.output_items import EMPTY_PIECE, FINISHED, Options, Output
from standin.responses.request import ResponsesRequest
from standin.responses.response_object import ResponseObject

_REASONS = {"length": "max_output_tokens"}  # other reasons have the same name in both protocols


class ResponsesWriter:
    """Writes one reply, as events or whole. See `Writer`."""

    def __init__(self, request: ResponsesRequest, reply: Reply, fingerprint: str, *, has_usage: bool) -> None:
        self._reply, self._has_usage = reply, has_usage
        wants_logprobs = request.includes("message.output_text.logprobs")
        seals_reasoning = request.includes("reasoning.encrypted_content")
        options = Options(
            seals_reasoning=seals_reasoning,
            top=(request.top_logprobs or 0) if wants_logprobs else None,
            namespaces={tool.name: namespace for namespace, tool in request.list_tools() if namespace},
        )
        self._output = Output(reply, fingerprint, options)
        self._response = ResponseObject(request, fingerprint)
        self._events = ItemEvents()

    def compose_greeting(self) -> bytes:
        """`response.created` and `response.in_progress`."""
        response = self._response.compose("in_progress", [])
        kinds = ("response.created", "response.in_progress")
        return b"".join(self._events.write(kind, response=response) for kind in kinds)

    def compose_opening(self) -> bytes:
        """Nothing: an item is opened by its first piece."""
        return b""

    def compose_chunk(self, pieces: Sequence[Piece]) -> bytes:
        """The delta of a few pieces of one part, with the events that open and close items and parts around it."""
        events, first = self._events, pieces[0]
        item = self._output.find(first)
        data = b""
        if item is None:
            item = self._output.open(first)
            data += events.open_item(item)
        if first.part not in item.pieces:
            data += b"".join(events.close_part(item, part) for part in list(item.pieces)[-1:])
            data += events.open_part(item, first.part)
        self._output.add(pieces)
        data += events.write_delta(item, pieces)
        return data + (events.close_item(item, self._output.get_status(item)) if self._output.is_done(item) else b"")

    def compose_closing(self) -> bytes:
        """The terminal event; before it an empty message when there is no output."""
        empty = b"" if self._output.items else self.compose_chunk([EMPTY_PIECE])
        status, end = self._compose_end()
        response = self._response.compose(status, self._output.compose(), **end)
        return empty + self._events.write(f"response.{status}", response=response)

    def compose_error(self, error: StandInError) -> bytes:
        """The event `error`: the stream ends without a terminal event."""
        return self._events.write("error", **{key: error.error[key] for key in ("code", "message", "param")})

    def compose_failure(self, error: StandInError) -> bytes:
        """Close the open items as incomplete, then `response.failed`."""
        unfinished = [item for item in self._output.items if not self._output.is_done(item)]
        closing = b"".join(self._events.close_item(item, "incomplete") for item in unfinished)
        return closing + self._events.write("response.failed", response=self._compose_failed(error))

    def compose_whole(self) -> bytes:
        """The answer as one document."""
        for piece in self._reply.pieces or [EMPTY_PIECE]:
            self._output.add([piece])
        status, end = self._compose_end()
        return orjson.dumps(self._response.compose(status, self._output.compose(), **end))

    def compose_failed_whole(self, error: StandInError, after: int) -> bytes:
        """The document of a failed response, with the output until then."""
        for piece in self._reply.pieces[:after]:
            self._output.add([piece])
        return orjson.dumps(self._compose_failed(error))

    def _compose_failed(self, error: StandInError) -> dict[str, Any]:
        told = {"code": error.error["code"], "message": error.error["message"]}
        return self._response.compose("failed", self._output.compose(), error=told)

    def _compose_end(self) -> tuple[Literal["completed", "incomplete"], dict[str, Any]]:
        """The final status, and the fields it brings."""
        usage = {"usage": self._compose_usage()} if self._has_usage else {}
        finish = self._reply.finish
        if finish in FINISHED:
            return "completed", usage
        return "incomplete", {"incomplete_details": {"reason": _REASONS.get(finish, finish)}, **usage}

    def _compose_usage(self) -> dict[str, Any]:
        sent, said = self._reply.prompt_tokens, len(self._reply.pieces)
        thought = sum(piece.part in {"summary", "reasoning_content"} for piece in self._reply.pieces)
        return {
            "input_tokens": sent,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": sent + said,
        }
