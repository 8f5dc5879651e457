"""Tokens of owners who have limits: reserved before a model is asked, and settled with what it has used."""

import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import structlog

from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import Response
from prompts.domain.usage import Usage
from prompts.errors import QuotaExceeded, Unavailable
from prompts.ports.token_meter import TokenLimits, TokenMeter, TokensLeft

log = structlog.get_logger(__name__)

# What an answer is taken for where its client names no limit: most are shorter, and the rest is settled.
OUTPUT_TOKENS = 1_000

Keep = Callable[[Awaitable[None]], None]


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens that were reserved for one response, or one other question to a model."""

    meter: TokenMeter
    owner: str
    id: str

    async def settle(self, used: int) -> None:
        """Count what was used instead; raises nothing: what cannot be settled ends by itself."""
        try:
            await self.meter.settle(self.id, owner=self.owner, used=used)
        except Unavailable as error:
            log.warning("tokens_not_settled", reservation=self.id, code=error.code)


def find_reservation(response: Response, request: ModelRequest, *, owner: str, meter: TokenMeter) -> Reservation | None:
    """What was reserved for a response, at whichever replica; None where its owner had no limit."""
    return Reservation(meter, owner, response.id) if request.is_metered is True else None


def count_used(usage: Usage | None) -> int:
    """The tokens of a response that has ended."""
    return 0 if usage is None else usage.total_tokens


def check_size(tokens: int, limits: TokenLimits) -> None:
    """Raises QuotaExceeded for what no minute has room for, however long its client waits."""
    if 0 < limits.per_minute < tokens:
        message = (
            f"This may need {tokens:,} tokens, and you may use {limits.per_minute:,} within a minute. Send a shorter "
            "input, or ask for a shorter answer ('max_output_tokens')."
        )
        raise QuotaExceeded(message)


class Question:
    """One question to a model that is no turn: what its tokens are in the end."""

    def __init__(self, reserved: int, left: TokensLeft | None = None) -> None:
        self.left = left
        """What is left of a minute's tokens; None where they have no limit."""
        self.used = reserved
        """What is settled: what was reserved, unless somebody knows better."""


async def meter_question(
    *, owner: str, tokens: int, limits: TokenLimits, meter: TokenMeter, keep: Keep
) -> AbstractContextManager[Question]:
    """Reserve for one question that is no turn; leaving the context settles it, however it ends.

    `keep` lets that run to its end. Raises QuotaExceeded, RateLimited, Unavailable.
    """
    if not limits.has_any:
        return nullcontext(Question(0))
    check_size(tokens, limits)
    reservation = Reservation(meter, owner, secrets.token_hex(16))
    left = await meter.reserve(reservation.id, owner=owner, tokens=tokens, limits=limits)
    return _settling(reservation, Question(tokens, left), keep)


@contextmanager
def _settling(reservation: Reservation, question: Question, keep: Keep) -> Iterator[Question]:
    try:
        yield question
    finally:
        keep(reservation.settle(question.used))
