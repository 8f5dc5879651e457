"""What a response cost: what the model's server has reported, and estimates for the rest."""

from collections.abc import Sequence

from prompts.answer.events import Narration, Round
from prompts.domain.items import Item
from prompts.domain.responses import ModelInput
from prompts.domain.signals import Finished
from prompts.domain.usage import Usage, add_usage, complete_usage, is_complete
from prompts.errors import InsufficientQuota, InvalidRequest, RateLimited, ServiceError
from prompts.history.estimates import estimate_characters, estimate_items


def sum_usage(
    narration: Narration, account: ModelInput, *, finished: Finished | None, error: ServiceError | None = None
) -> tuple[Usage, bool]:
    """The tokens of all calls of the model that this response took, lost ones included; and whether some are estimated.

    `account` is not calibrated.
    """
    total, has_estimates = narration.usage_before, narration.is_usage_estimated
    if finished is not None and is_complete(finished.usage) and not narration.rounds:  # most: nothing is estimated
        return add_usage(total, finished.usage) or finished.usage, has_estimates
    sent = _estimate_input(narration, account)
    for done in narration.rounds:
        said = _estimate_said(done, account)
        if done.usage is None:
            total, has_estimates = add_usage(total, _count(sent, said)), True
        sent += said + estimate_characters(sum(map(len, done.outputs.values())))
    last, is_estimated = complete_usage(
        finished.usage if finished else None,
        _count(0, 0) if _is_refused(error) else _estimate_call(narration, account, sent=sent),
    )
    return add_usage(total, last) or last, has_estimates or is_estimated


def estimate_lost(narration: Narration, account: ModelInput) -> Usage | None:
    """About what a run has used, beside what its log says, that was lost where the narration stands."""
    rounds = narration.rounds
    if rounds and rounds[-1].waiting:
        return None  # a tool was running, not the model
    outputs = sum(len(output) for done in rounds for output in done.outputs.values())
    sent = _estimate_input(narration, account) + sum(_estimate_said(done, account) for done in rounds)
    return _estimate_call(narration, account, sent=sent + estimate_characters(outputs))


def _estimate_call(narration: Narration, account: ModelInput, *, sent: int) -> Usage:
    """One call of the model: what it was given, and what it has written of this round."""
    before = narration.lost_output_tokens  # it was given the beginning
    return _count(sent + before, max(0, _estimate(narration.list_said(), account) - before))


def _count(sent: int, said: int) -> Usage:
    return Usage(sent, said, sent + said)


def _estimate_said(done: Round, account: ModelInput) -> int:
    return _estimate(done.said, account) + estimate_characters(sum(len(call.arguments) for call in done.calls))


def _estimate_input(narration: Narration, account: ModelInput) -> int:
    """What the model is given in the first round. A compaction stands for the history; its seal is base64."""
    history_tokens = account.history_tokens
    if compaction := narration.find_compaction():
        notes_tokens = estimate_characters(len(compaction.encrypted_content) * 3 // 4)
        history_tokens = min(history_tokens, notes_tokens)
    tokens = history_tokens + account.input_tokens + account.instructions_tokens + account.tools_tokens
    return round(tokens * account.calibration)


def _estimate(items: Sequence[Item], account: ModelInput) -> int:
    return round(estimate_items(items) * account.calibration)


def _is_refused(error: ServiceError | None) -> bool:
    """Whether the model's server has not begun to answer, and counts nothing."""
    return isinstance(error, (InvalidRequest, RateLimited, InsufficientQuota))
