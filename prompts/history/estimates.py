"""Pure: about how many tokens something costs the model. An item's estimate is made once, when it is written."""

from collections.abc import Sequence

import msgspec

from prompts.domain.item_kinds import ITEM_KINDS, ItemKinds
from prompts.domain.items import InputFile, InputImage, InputText, Item, OutputText, Part, Reasoning, Refusal, words_of
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
_TEXTS = (InputText, OutputText)


def estimate_tokens(item: Item, kinds: ItemKinds = ITEM_KINDS) -> int:
    """About how many tokens an item costs the model."""
    words = _estimate_words(item, kinds)
    return _estimate_mixed(fill_files(item), kinds) if words is None else words


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
    tokens, tool_tokens = 0, estimate_tools(tools)
    for item in items:
        if isinstance(item, Reasoning) and item.encrypted_content:
            return None
        words = _estimate_words(item, ITEM_KINDS)
        if words is None:
            return None
        tokens += words
    is_comparable = tokens >= MIN_COMPARED_TOKENS and tool_tokens <= MAX_TOOLS_SHARE * tokens
    return tokens + tool_tokens if is_comparable else None


def _estimate_words(item: Item, kinds: ItemKinds) -> int | None:
    """Of an item that holds nothing but words; None of any other."""
    characters, parts = kinds[type(item)].size(item)
    tokens = TOKENS_A_MESSAGE
    if characters:
        tokens += estimate_characters(characters)
    for part in parts:
        if isinstance(part, _TEXTS):  # nearly all, of each item several times a turn: not through a function
            tokens += -(-len(part.text) // CHARACTERS_A_TOKEN)
        elif isinstance(part, Refusal):
            tokens += estimate_characters(len(part.refusal))
        else:
            return None
    return tokens


def _estimate_mixed(told: Item, kinds: ItemKinds) -> int:
    """Of an item that holds more than words, as the model is told it."""
    characters, parts = kinds[type(told)].size(told)
    return TOKENS_A_MESSAGE + estimate_characters(characters) + sum(map(_estimate_part, parts))


def _estimate_part(part: Part) -> int:
    match part:
        case InputImage(detail=detail):
            return TOKENS_A_SMALL_IMAGE if detail == "low" else TOKENS_AN_IMAGE
        case InputFile(file_data=data):
            return estimate_characters(len(data or "") * 3 // 4)  # base64 says three bytes in four characters
    return estimate_characters(len(words_of(part)))
