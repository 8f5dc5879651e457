"""Pure: about how many tokens something costs the model. An item's estimate is made once, when it is written."""

from collections.abc import Sequence

import msgspec

from prompts.domain.item_kinds import ITEM_KINDS, ItemKinds
from prompts.domain.items import InputFile, InputImage, Item, Part, Reasoning, words_of
from prompts.domain.named_files import fill_files
from prompts.domain.tools import Tool

encode = msgspec.json.Encoder().encode

# English text runs at about four characters a token with the common vocabularies (OpenAI's tokenizer page says so).
CHARACTERS_A_TOKEN = 4
# What a chat template adds around a message: role and separators.
TOKENS_A_MESSAGE = 4
# Estimates below this, or with more than this share of tools beside, are not compared with what a model reports.
MIN_COMPARED_TOKENS = 100
MAX_TOOLS_SHARE = 0.5
# https://platform.openai.com/docs/guides/images-vision: 85 for a small image, and 170 more for each of its four tiles.
TOKENS_A_SMALL_IMAGE, TOKENS_AN_IMAGE = 85, 765


def estimate_tokens(item: Item, kinds: ItemKinds = ITEM_KINDS) -> int:
    """About how many tokens an item costs the model."""
    told = fill_files(item)
    characters, parts = kinds[type(told)].size(told)
    tokens = TOKENS_A_MESSAGE + estimate_characters(characters)
    for part in parts:
        tokens += _estimate_part(part)
    return tokens


def estimate_text(text: str) -> int:
    """About how many tokens a message of this text costs."""
    return TOKENS_A_MESSAGE + estimate_characters(len(text))


def estimate_characters(count: int) -> int:
    """About how many tokens so many characters are."""
    return -(-count // CHARACTERS_A_TOKEN)


def estimate_items(items: Sequence[Item]) -> int:
    """About how many tokens several items cost."""
    return sum(map(estimate_tokens, items))


def estimate_tools(tools: Sequence[Tool]) -> int:
    """The same for the tools that the model is offered, as the JSON that most chat templates make of them."""
    return estimate_characters(len(encode(tools))) if tools else 0


def estimate_plain(items: Sequence[Item], tools: Sequence[Tool]) -> int | None:
    """The same for all that a model is given, when what it reports can be compared with it; None when it cannot.

    Servers count pictures, files, tools and sealed thoughts each in their own way, and a short text says more of the
    chat template.
    """
    tokens, tool_tokens = estimate_items(items), estimate_tools(tools)
    has_words_only = not any(_has_attachment(item) or _is_sealed(item) for item in items)
    is_comparable = has_words_only and tokens >= MIN_COMPARED_TOKENS and tool_tokens <= MAX_TOOLS_SHARE * tokens
    return tokens + tool_tokens if is_comparable else None


def _has_attachment(item: Item) -> bool:
    _, parts = ITEM_KINDS[type(item)].size(item)
    return any(isinstance(part, (InputImage, InputFile)) for part in parts)


def _is_sealed(item: Item) -> bool:
    return isinstance(item, Reasoning) and bool(item.encrypted_content)


def _estimate_part(part: Part) -> int:
    match part:
        case InputImage(detail=detail):
            return TOKENS_A_SMALL_IMAGE if detail == "low" else TOKENS_AN_IMAGE
        case InputFile(file_data=data):
            return estimate_characters(len(data or "") * 3 // 4)  # base64 says three bytes in four characters
    return estimate_characters(len(words_of(part)))
