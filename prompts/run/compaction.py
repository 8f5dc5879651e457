"""Compacting in a turn: in place of an answer, or on the way to one.

On the way, a history beyond the request's `compact_threshold` is summed up before the model is asked. The compaction is
the answer's first signal, so that it is written down, shown and stored as everything else is, and a replica that takes
the answer over goes on from it (`Narration.find_compaction`).
https://developers.openai.com/api/docs/guides/compaction
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from prompts.domain.items import Item
from prompts.domain.signals import Compacted
from prompts.errors import UpstreamError
from prompts.history.compaction import list_replaceable, replace_with_notes
from prompts.history.estimates import estimate_items, estimate_tools
from prompts.history.found_tools import with_found_tools
from prompts.history.model_input import compose_instructions
from prompts.ports.chat_model import ChatModel
from prompts.ports.sealing import Sealer
from prompts.run.brief import Brief
from prompts.run.summary import Summary, summarize

log = structlog.get_logger(__name__)

# A history this near to its budget is compacted below the threshold too, before its oldest items are left out.
FULL_HISTORY = 0.75
# The least share of the tokens that a compaction must save: the user's messages stay, and may be most of them.
MIN_SPARED = 0.1


@dataclass(frozen=True, slots=True)
class CompactedInput:
    """What the model is given after a compaction, and the signal that records it."""

    signal: Compacted
    items: Sequence[Item]


async def compact(given: Sequence[Item], brief: Brief, *, model: ChatModel, sealer: Sealer) -> CompactedInput | None:
    """Sum up what the model would be given, where the request asks for that and it saves enough.

    None where nothing is to be compacted, and where the model gave no summary: it may still answer from all of it.
    Raises what the model fails at.
    """
    instructions, history = _split(given, brief)
    if not _is_due(given, history, brief):
        return None
    summary = await summarize(history, request=brief.model_request, model=model)
    if summary is None:
        log.warning("not_compacted", model=brief.model_request.model)
        return None
    signal = _seal(summary, brief, sealer)
    return CompactedInput(signal, [*instructions, *replace_with_notes(history, summary.text)])


async def compact_whole(given: Sequence[Item], brief: Brief, *, model: ChatModel, sealer: Sealer) -> Compacted:
    """Sum up all that the model would be given, because that is what the client asks for.

    Raises what the model fails at, and UpstreamError when it gave no summary.
    """
    _, history = _split(given, brief)
    summary = await summarize(history, request=brief.model_request, model=model)
    if summary is None:
        raise UpstreamError("The model gave no summary that could be used. Send the request again.")
    return _seal(summary, brief, sealer)


def _split(given: Sequence[Item], brief: Brief) -> tuple[Sequence[Item], Sequence[Item]]:
    """The instructions, which stay, and the history."""
    head = len(compose_instructions(brief.response.instructions))
    return given[:head], given[head:]


def _seal(summary: Summary, brief: Brief, sealer: Sealer) -> Compacted:
    sealed = sealer.seal(brief.owner, "compaction", summary.text)
    return Compacted(sealed, summary.usage, summary.is_estimated)


def _is_due(given: Sequence[Item], history: Sequence[Item], brief: Brief) -> bool:
    request, account = brief.model_request, brief.model_input
    threshold = request.compact_threshold
    if threshold is None:
        return False
    tokens = (estimate_items(given) + estimate_tools(with_found_tools(request, given).offered)) * account.calibration
    history_tokens = account.history_tokens * account.calibration
    if tokens <= threshold and history_tokens <= FULL_HISTORY * account.history_budget_tokens:
        return False
    spared = estimate_items(list_replaceable(history)) * account.calibration
    return spared > MIN_SPARED * min(threshold, tokens)
