"""What a turn may need of its owner's tokens: estimated, reserved before its admission, given back where it has none.

Of the history only the store knows the length, so that all of its budget is taken; the rest is given back in the end.
"""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from prompts.errors import MayNotBegin, QuotaExceeded, RateLimited, ServiceError, Unavailable
from prompts.ports.responses import Admitted, Attached
from prompts.ports.token_meter import TokenLimits, TokensLeft
from prompts.run.metering import OUTPUT_TOKENS, Reservation, check_size
from prompts.usecases.admission import Admission
from prompts.usecases.plans import Plan, TurnTokens


def plan_tokens(plan: Plan, limits: TokenLimits) -> Plan:
    """The turn with the tokens that it may need, and as much of its history as a minute has room for.

    Raises QuotaExceeded when no minute has room for what is to be asked and answered alone.
    """
    if not limits.has_any:
        return plan
    draft, account = plan.draft, plan.draft.model_input
    factor = account.calibration
    asked = account.input_tokens + account.instructions_tokens + account.tools_tokens + account.history_tokens
    needed = round(asked * factor) + (draft.model_request.max_output_tokens or OUTPUT_TOKENS)
    check_size(needed, limits)
    history = 0 if draft.anchor is None else round(plan.history_tokens * factor)
    if limits.per_minute and needed + history > limits.per_minute:
        history = limits.per_minute - needed
        draft = replace(draft, model_input=replace(account, history_budget_tokens=history))
        plan = replace(plan, draft=draft, history_tokens=int(history / factor))
    return replace(plan, tokens=TurnTokens(needed + history, limits))


async def admit_metered(
    plan: Plan, admission: Admission, attempt: Callable[[], Awaitable[Admitted | Attached]]
) -> tuple[Admitted | Attached, TokensLeft | None]:
    """The result of an attempt to admit the turn, whose tokens are reserved before, and what is left of a minute's.

    Raises as the attempt, RateLimited, QuotaExceeded. A retry of what was admitted earlier needs no tokens of its own.
    """
    tokens, owner = plan.tokens, admission.owner
    if tokens is None:
        return await attempt(), None
    reservation = Reservation(admission.runner.meter, owner, plan.draft.response.id)
    try:
        left = await reservation.meter.reserve(reservation.id, owner=owner, tokens=tokens.needed, limits=tokens.limits)
    except (QuotaExceeded, RateLimited) as refusal:
        return await _attach(plan, admission, refusal), None
    try:
        admitted = await attempt()
    except Unavailable:  # it may be admitted all the same: then its end settles it, and else it ends by itself
        raise
    except ServiceError:
        await reservation.settle(0)
        raise
    if isinstance(admitted, Attached):
        await reservation.settle(0)
    return admitted, left


async def _attach(plan: Plan, admission: Admission, refusal: ServiceError) -> Attached:
    """What a retry belongs to. Raises the refusal when there is no such thing."""
    draft = replace(plan.draft, may_begin=False)
    if not draft.claim.is_retry and draft.claim.idempotency_key is None:
        raise refusal
    try:
        admitted = await admission.admit(draft, if_busy="reject", history_tokens=0)
    except (MayNotBegin, ServiceError):
        raise refusal from None
    assert isinstance(admitted, Attached)
    return admitted
