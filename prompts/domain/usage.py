"""Tokens, as a model's server reports them, or as they are estimated where it does not."""

from typing import TypeGuard

from msgspec import Struct
from msgspec.structs import replace


class InputTokensDetails(Struct, frozen=True):
    """Of the input tokens: how many the model had cached, and how many it has cached now; 0 where that is unknown."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(Struct, frozen=True):
    """Of the output tokens: how many were spent on reasoning."""

    reasoning_tokens: int = 0


class Usage(Struct, frozen=True):
    """Tokens, as the model reported them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()


def add_usage(usage: Usage | None, other: Usage | None) -> Usage | None:
    """The sum of both; None when neither was reported."""
    if usage is None or other is None:
        return usage or other
    details, others = usage.input_tokens_details, other.input_tokens_details
    reasoning = usage.output_tokens_details.reasoning_tokens + other.output_tokens_details.reasoning_tokens
    return Usage(
        input_tokens=usage.input_tokens + other.input_tokens,
        output_tokens=usage.output_tokens + other.output_tokens,
        total_tokens=usage.total_tokens + other.total_tokens,
        input_tokens_details=InputTokensDetails(
            details.cached_tokens + others.cached_tokens, details.cache_write_tokens + others.cache_write_tokens
        ),
        output_tokens_details=OutputTokensDetails(reasoning),
    )


def is_complete(reported: Usage | None) -> TypeGuard[Usage]:
    """Whether all was reported. No input is a count that was not: a model is always given something."""
    return reported is not None and reported.input_tokens > 0 and reported.output_tokens > 0


def complete_usage(reported: Usage | None, estimated: Usage) -> tuple[Usage, bool]:
    """What was reported, with estimates for what was not; and whether there are any."""
    if reported is None:
        return estimated, True
    sent = reported.input_tokens or estimated.input_tokens
    said = reported.output_tokens or estimated.output_tokens
    if (sent, said) == (reported.input_tokens, reported.output_tokens):
        return reported, False
    return replace(reported, input_tokens=sent, output_tokens=said, total_tokens=sent + said), True
