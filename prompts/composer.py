"""Pure: what the model is given, from the instructions, the window of the history and the new input."""

from collections.abc import Sequence

from prompts.domain import Item, ModelInput, ModelMessage, Refusal

# English text runs at about four characters a token with the common vocabularies (OpenAI's tokenizer page says so).
CHARACTERS_A_TOKEN = 4
# What a chat template adds around a message: role and separators.
TOKENS_A_MESSAGE = 4


def estimate_tokens(item: Item) -> int:
    """About how many tokens an item costs the model; an estimate, made once, when the item is written."""
    return estimate_text(text_of(item))


def estimate_text(text: str) -> int:
    """The same for a message's text."""
    return TOKENS_A_MESSAGE + -(-len(text) // CHARACTERS_A_TOKEN)


def measure(*, instructions: str | None, new_input: Sequence[Item], budget_tokens: int) -> ModelInput:
    """The account of what the model is given before the history is known; all token counts are estimates."""
    return ModelInput(
        history_items=0,
        history_tokens=0,
        input_items=len(new_input),
        input_tokens=sum(map(estimate_tokens, new_input)),
        instructions_tokens=estimate_text(instructions) if instructions else 0,
        dropped_items=0,
        history_budget_tokens=budget_tokens,
    )


def text_of(item: Item) -> str:
    """The words of a message, its parts one after another."""
    return "".join(part.refusal if isinstance(part, Refusal) else part.text for part in item.content)


def compose_messages(
    *, instructions: str | None, window: Sequence[Item], new_input: Sequence[Item]
) -> list[ModelMessage]:
    """Instructions first, then previous input and output in order, then the new input (API.md, "Context order")."""
    head = [ModelMessage("system", instructions)] if instructions else []
    return head + [ModelMessage(item.role, text_of(item)) for item in (*window, *new_input)]
