"""Compacting on the way: a history beyond the request's `compact_threshold` is summed up before the model is asked.

The compaction is the answer's first signal, so that it is written down, shown and stored as everything else is, and a
replica that takes the answer over goes on from it (`Narration.find_compaction`).
https://developers.openai.com/api/docs/guides/compaction
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass

import structlog

from prompts.domain.items import Item
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.responses import ModelInput
from prompts.domain.signals import Compacted, Signal
from prompts.history.compaction import fold, list_foldable
from prompts.history.model_input import estimate_items, estimate_tools
from prompts.ports.chat_model import Answer, ChatModel
from prompts.ports.sealing import Sealer
from prompts.run.summary import summarize

log = structlog.get_logger(__name__)

# A history this near to its budget is compacted whatever the threshold: soon its oldest items would be left out unread.
FULL_HISTORY = 0.75
# What a compaction has to spare, as a share of what it is made of: the user's messages stay, and may be most of it.
MIN_SPARED = 0.1


@dataclass(frozen=True, slots=True)
class CompactingModel:
    """A `ChatModel` for one answer: it compacts what it is given when that is more than it may be.

    The first `head` items are instructions, which stay. `account` is that of what it is given.
    """

    model: ChatModel
    sealer: Sealer
    owner: str
    head: int
    account: ModelInput

    def stream(
        self, request: ModelRequest, items: Sequence[Item], *, shown: str = ""
    ) -> AbstractAsyncContextManager[Answer]:
        """See `ChatModel.stream`."""
        if shown or not self._is_due(request, items):
            return self.model.stream(request, items, shown=shown)
        return aclosing(self._compact(request, items))

    async def list_models(self) -> Sequence[Model]:
        """See `ChatModel.list_models`."""
        return await self.model.list_models()

    def _is_due(self, request: ModelRequest, items: Sequence[Item]) -> bool:
        threshold = request.compact_threshold
        if threshold is None:
            return False
        account = self.account
        given = (estimate_items(items) + estimate_tools(request.offered)) * account.calibration
        history = account.history_tokens * account.calibration
        if given <= threshold and history <= FULL_HISTORY * account.history_budget_tokens:
            return False
        spared = estimate_items(list_foldable(items[self.head :])) * account.calibration
        return spared > MIN_SPARED * min(threshold, given)

    async def _compact(self, request: ModelRequest, items: Sequence[Item]) -> AsyncGenerator[list[Signal], None]:
        head, history = items[: self.head], items[self.head :]
        summary = await summarize(history, request=request, model=self.model)
        if summary is None:
            log.warning("not_compacted", model=request.model)  # the model may still answer from all of it
        else:
            sealed = self.sealer.seal(self.owner, "compaction", summary.text)
            yield [Compacted(sealed, summary.usage)]
            items = [*head, *fold(history, summary.text)]
        async with self.model.stream(request, items) as answer:
            async for signals in answer:
                yield signals
