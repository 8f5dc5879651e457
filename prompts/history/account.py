"""Pure: the account of what a model is given, as a response shows it (`eps:model_input`)."""

from collections.abc import Sequence

from msgspec.structs import replace

from prompts.domain.items import Item
from prompts.domain.passages import Passage
from prompts.domain.responses import ModelInput
from prompts.domain.tools import Tool
from prompts.history.estimates import estimate_items, estimate_text, estimate_tools
from prompts.history.passages import estimate_passage


def measure(
    *,
    instructions: str | None,
    new_input: Sequence[Item],
    budget_tokens: int,
    tools: Sequence[Tool] = (),
    calibration: float = 1.0,
) -> ModelInput:
    """The account of what the model is given before the history is known.

    The token counts in it are estimates as they are made of text; `calibrate` gives those that are shown.
    """
    return ModelInput(
        history_items=0,
        history_tokens=0,
        input_items=len(new_input),
        input_tokens=estimate_items(new_input),
        instructions_tokens=estimate_text(instructions) if instructions else 0,
        tools_tokens=estimate_tools(tools),
        dropped_items=0,
        history_budget_tokens=budget_tokens,
        calibration=calibration,
    )


def with_passages(account: ModelInput, passages: Sequence[Passage], *, dropped: Sequence[int]) -> ModelInput:
    """The account with what was found for the model; `dropped` is how many each search left out. As it is without any.

    The tokens are calibrated already: nothing is learned from an answer with passages.
    """
    if not dropped:
        return account
    tokens = sum(map(estimate_passage, passages))
    return replace(
        account,
        passages=len(passages),
        passages_tokens=int(tokens * account.calibration),
        dropped_passages=sum(dropped),
    )


def calibrate(account: ModelInput) -> ModelInput:
    """The account in the model's own tokens, by what the model has reported so far."""
    return replace(
        account,
        history_tokens=int(account.history_tokens * account.calibration),
        input_tokens=int(account.input_tokens * account.calibration),
        instructions_tokens=int(account.instructions_tokens * account.calibration),
        tools_tokens=int(account.tools_tokens * account.calibration),
    )
