"""Ends that are ends, ends that are none, and refusals by status."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.support.model_shapes.chunks import THINKING
from tests.support.model_shapes.shape import (
    COUNTED,
    DONE,
    GOOD,
    HI,
    STOP,
    USAGE,
    Shape,
    chunk,
    ended,
    event,
    refuse,
    said,
    stream,
)
from tests.support.raw_model import Reply, reply_json

THOUGHT = chunk({"reasoning_content": "why"}) + STOP + USAGE + DONE

ENDS = [
    Shape(
        "D50a",
        "an error beside the reason",
        [
            stream(
                HI,
                0.1,
                chunk({"content": ""}, finish="error", error={"message": "Provider d50", "code": 502}) + DONE,
            )
        ],
        "failed",
        text="hi",
        logged="Provider d50",
    ),
    Shape("D51", "error", [stream(HI + ended("error") + DONE)], "failed", text="hi"),
    Shape("D51b", "error, then well", [stream(ended("error") + DONE), GOOD], text="hi", tries=(2, 3)),
    Shape("D52", "abort", [stream(HI + ended("abort") + DONE)], "failed", text="hi"),
    Shape("D53", "out of resources", [stream(HI + ended("insufficient_system_resource") + DONE)], "failed", text="hi"),
    Shape(
        "D54a", "MALFORMED_FUNCTION_CALL", [stream(HI + ended("MALFORMED_FUNCTION_CALL") + DONE)], "failed", text="hi"
    ),
    Shape("D54b", "SAFETY", [stream(HI + ended("SAFETY") + DONE)], "incomplete", text="hi", reason="content_filter"),
    Shape(
        "D54c",
        "RECITATION",
        [stream(HI + ended("RECITATION") + DONE)],
        "incomplete",
        text="hi",
        reason="content_filter",
    ),
    Shape(
        "D55a",
        "model_length",
        [stream(HI + ended("model_length") + USAGE + DONE)],
        "incomplete",
        text="hi",
        usage=(3, 2),
        reason="max_output_tokens",
    ),
    Shape(
        "D55c",
        "MAX_TOKENS",
        [stream(HI + ended("MAX_TOKENS") + USAGE + DONE)],
        "incomplete",
        text="hi",
        usage=(3, 2),
        reason="max_output_tokens",
    ),
    Shape("D56a", "eos", [stream(HI + ended("eos") + DONE)], text="hi"),
    Shape("D56b", "end_turn", [stream(HI + ended("end_turn") + DONE)], text="hi"),
    Shape(
        "D57a",
        "a string",
        [stream(HI, 0.1, event({"error": "boom-d57a"}) + DONE)],
        "failed",
        text="hi",
        logged="boom-d57a",
    ),
    Shape(
        "D57c",
        "an event named error",
        [stream(HI + b'event: error\ndata: {"message":"boom-d57c","code":500}\n\n' + DONE)],
        "failed",
        text="hi",
        logged="boom-d57c",
    ),
    Shape(
        "D58a",
        "an empty answer, then well",
        [
            stream(
                said("", role="assistant")
                + STOP
                + event({"id": "x", "choices": [], "usage": {**COUNTED, "completion_tokens": 0}})
                + DONE
            ),
            GOOD,
        ],
        text="hi",
        tries=(2, 3),
    ),
    Shape("D58b", "empty answers", [stream(said("") + STOP + DONE)], "failed", tries=(2, 5)),
    Shape("D58c", "a thought that nobody asked for, and no answer", [stream(THOUGHT), GOOD], text="hi", tries=(2, 3)),
    Shape("D58d", "a thought and no answer", [stream(THOUGHT)], "failed", thought="why", asked=THINKING),
]

STATUSES = [
    Shape(
        "D59a",
        "401",
        [refuse(401, "Incorrect API key provided: upstream-secret-sk-123", code="invalid_api_key")],
        "failed",
        tries=(1, 1),
        logged="Incorrect API key",
    ),
    Shape(
        "D59c",
        "404",
        [refuse(404, "The model does not exist", code="model_not_found", param="model")],
        "failed",
        tries=(1, 1),
        http=404,
        code="model_not_found",
    ),
    Shape(
        "D59e",
        "422",
        [reply_json({"detail": [{"loc": ["body", "messages"], "msg": "bad", "type": "value_error"}]}, 422)],
        "failed",
        tries=(1, 1),
        http=400,
        code="invalid_prompt",
    ),
    Shape(
        "D59f",
        "429 until a date",
        [
            lambda _: refuse(
                429,
                "slow down",
                code="rate_limit_exceeded",
                retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True),
            )
        ],
        "failed",
        http=429,
        code="rate_limit_exceeded",
        retry_after_s=40,
    ),
    Shape("D59g", "500, then well", [refuse(500, "oops"), GOOD], text="hi", tries=(2, 3)),
    Shape("D59i", "529", [refuse(529, "Overloaded")], "failed", tries=(2, 5)),
    Shape(
        "D59j",
        "a redirection",
        [Reply([], 307, {"location": "http://127.0.0.1:9/v1/chat/completions"})],
        "failed",
        tries=(1, 1),
    ),
    Shape(
        "D60a",
        "dies after the headers, then well",
        [stream(b": prefill\n\n", 0.05, "abort"), GOOD],
        text="hi",
        tries=(2, 3),
    ),
]
