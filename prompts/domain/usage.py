"""Tokens, as a model's server reports them."""

from msgspec import Struct


class InputTokensDetails(Struct, frozen=True):
    """Of the input tokens: how many the model had cached."""

    cached_tokens: int = 0


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
    cached = usage.input_tokens_details.cached_tokens + other.input_tokens_details.cached_tokens
    reasoning = usage.output_tokens_details.reasoning_tokens + other.output_tokens_details.reasoning_tokens
    return Usage(
        input_tokens=usage.input_tokens + other.input_tokens,
        output_tokens=usage.output_tokens + other.output_tokens,
        total_tokens=usage.total_tokens + other.total_tokens,
        input_tokens_details=InputTokensDetails(cached),
        output_tokens_details=OutputTokensDetails(reasoning),
    )
