"""What servers refuse to be asked, and what they are asked after that."""

from collections.abc import Sequence
from typing import Any

from tests.support.model_shapes.calls import TOOLS
from tests.support.model_shapes.shape import GOOD, Shape, refuse_field

EXTRA = {"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "Extra inputs are not permitted"}


def check_limit(bodies: Sequence[Any]) -> None:
    """The limit goes under the name that this server knows."""
    assert [body.get("max_completion_tokens") for body in bodies] == [64, None]
    assert bodies[-1]["max_tokens"] == 64


def check_bare(bodies: Sequence[Any]) -> None:
    """Nothing but what every request has."""
    assert set(bodies[-1]) == {"model", "messages", "stream", "stream_options"}


def check_one_at_a_time(bodies: Sequence[Any]) -> None:
    """What was asked for is asked for."""
    assert bodies[-1]["parallel_tool_calls"] is False


def check_no_stream_options(bodies: Sequence[Any]) -> None:
    """Asked once with them, then without."""
    assert ["stream_options" in body for body in bodies] == [True, False]


REFUSALS = [
    Shape(
        "D80a",
        "no max_completion_tokens",
        [refuse_field("max_completion_tokens", 422, {"detail": [{**EXTRA, "input": 64}]})],
        text="hi",
        asked={"max_output_tokens": 64},
        check=check_limit,
    ),
    Shape(
        "D80b",
        "the same, as Mistral wraps it",
        [refuse_field("max_completion_tokens", 422, {"object": "error", "message": {"detail": [EXTRA]}, "type": "x"})],
        text="hi",
        asked={"max_output_tokens": 64},
        check=check_limit,
    ),
    Shape(
        "D81",
        "no stream_options",
        [refuse_field("stream_options", 400, {"error": {"message": "Unknown field: stream_options"}})],
        text="hi",
        check=check_no_stream_options,
    ),
    Shape(
        "D82",
        "one call at a time",
        [GOOD],
        text="hi",
        asked={**TOOLS, "parallel_tool_calls": False},
        check=check_one_at_a_time,
    ),
    Shape("D84", "nothing that nobody asked for", [GOOD], text="hi", check=check_bare),
]
