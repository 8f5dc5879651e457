"""Pure: what the model is given, from the instructions, the window of the history and the new input."""

from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import msgspec
from msgspec.structs import replace

from prompts.answer.thought_seals import unpack_thought
from prompts.domain.items import (
    Compaction,
    FileSearchCall,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    Part,
    Reasoning,
    Refusal,
)
from prompts.domain.responses import ModelInput
from prompts.domain.tools import FunctionTool
from prompts.errors import BrokenSeal
from prompts.history.compaction import Unseal, apply_compactions, fold

encode = msgspec.json.Encoder().encode

# English text runs at about four characters a token with the common vocabularies (OpenAI's tokenizer page says so).
CHARACTERS_A_TOKEN = 4
# What a chat template adds around a message: role and separators.
TOKENS_A_MESSAGE = 4
# Estimates below this, or with more than this share of tools beside, are not compared with what a model reports.
MIN_COMPARED_TOKENS = 100
MAX_TOOLS_SHARE = 0.5
# A seal is deflated, which halves prose, and base64, which adds a third: two of its characters stand for three.
CHARACTERS_A_SEALED_TWO = 3
# https://platform.openai.com/docs/guides/images-vision: 85 for a small image, and 170 more for each of its four tiles.
TOKENS_AN_IMAGE = {"low": 85, "high": 765, "auto": 765}


def estimate_tokens(item: Item) -> int:
    """About how many tokens an item costs the model; an estimate, made once, when the item is written."""
    match item:
        case Message(content=content):
            return TOKENS_A_MESSAGE + sum(map(_estimate_part, content))
        case FunctionCall(name=name, arguments=arguments):
            return estimate_text(name + arguments)
        case FunctionCallOutput(output=str(output)):
            return estimate_text(output)
        case FunctionCallOutput(output=parts):
            return TOKENS_A_MESSAGE + sum(map(_estimate_part, cast(list[Part], parts)))
        case Reasoning(summary=summary, content=content):
            return estimate_text("".join(part.text for part in (*summary, *(content or ()))))
        case FileSearchCall():
            return 0
        case Compaction(encrypted_content=sealed):
            return TOKENS_A_MESSAGE + _estimate_characters(len(sealed) * CHARACTERS_A_SEALED_TWO // 2)


def estimate_text(text: str) -> int:
    """The same for a message's text."""
    return TOKENS_A_MESSAGE + _estimate_characters(len(text))


def estimate_items(items: Sequence[Item]) -> int:
    """The same for several items."""
    return sum(map(estimate_tokens, items))


def estimate_tools(tools: Sequence[FunctionTool]) -> int:
    """The same for the tools that the model is offered, as the JSON that most chat templates make of them."""
    return _estimate_characters(len(encode(tools))) if tools else 0


def estimate_plain(items: Sequence[Item], tools: Sequence[FunctionTool]) -> int | None:
    """The same for all that a model is given, when what it reports can be compared with it; None when it cannot.

    Servers count pictures, files and tools each in their own way, and a short text says more of the chat template.
    """
    tokens, tool_tokens = estimate_items(items), estimate_tools(tools)
    has_words_only = not any(map(_has_attachment, items))
    is_comparable = has_words_only and tokens >= MIN_COMPARED_TOKENS and tool_tokens <= MAX_TOOLS_SHARE * tokens
    return tokens + tool_tokens if is_comparable else None


def measure(
    *,
    instructions: str | None,
    new_input: Sequence[Item],
    budget_tokens: int,
    tools: Sequence[FunctionTool] = (),
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


def calibrate(account: ModelInput) -> ModelInput:
    """The account in the tokens of its model, as far as they are known by what it has reported."""
    return replace(
        account,
        history_tokens=int(account.history_tokens * account.calibration),
        input_tokens=int(account.input_tokens * account.calibration),
        instructions_tokens=int(account.instructions_tokens * account.calibration),
        tools_tokens=int(account.tools_tokens * account.calibration),
    )


def text_of(item: Message) -> str:
    """The words of a message, its parts one after another."""
    return "".join(_words(part) for part in item.content)


def compose_items(
    *,
    instructions: str | None,
    window: Sequence[Item],
    new_input: Sequence[Item],
    unseal: Unseal,
    compaction: Compaction | None = None,
) -> list[Item]:
    """Instructions first, then previous input and output in order, then the new input (API.md, "Context order").

    No compaction is left in it (`prompts.history.compaction`). `compaction` is the one that this answer began with.
    """
    items = _list_whole(apply_compactions([*window, *new_input], unseal))
    if compaction is not None:
        with suppress(BrokenSeal):
            items = fold(items, unseal("compaction", compaction.encrypted_content))
    items = [_reopen(item, unseal) if isinstance(item, Reasoning) else item for item in items]
    return [*compose_instructions(instructions), *items]


def _reopen(thought: Reasoning, unseal: Unseal) -> Reasoning:
    """A thought with the seal of the model's own server, when that has sealed it: ours is for its client only."""
    if not thought.encrypted_content:
        return thought
    try:
        content = unpack_thought(unseal("reasoning", thought.encrypted_content)).model_content
    except (BrokenSeal, msgspec.MsgspecError):
        content = None
    return replace(thought, encrypted_content=content or msgspec.UNSET)


def compose_instructions(instructions: str | None) -> list[Item]:
    """What stands before everything else."""
    return [_system(instructions)] if instructions else []


def _list_whole(items: Sequence[Item]) -> list[Item]:
    """Of tool calls only those go to a model that stand whole and with their outputs.

    What a model is shown of a call, it expects to be answered, and servers refuse the rest.
    """
    answered = _find_answered(items)
    kept: list[Item] = []
    for place in reversed(range(len(items))):
        item = items[place]
        match item:
            case FunctionCall() | FunctionCallOutput() if place not in answered:
                continue
            case Reasoning() if not (kept and _is_models(kept[-1])):
                continue  # a thought belongs to what the model said next; where that is gone, so is it
        kept.append(item)
    return kept[::-1]


def drop_oldest(items: Sequence[Item]) -> list[Item] | None:
    """The items without the older half of all but the system's; None when nothing can go.

    A call and its output stay or go together, and the last item stays: a little less or more than half may go.
    """
    is_standing = [isinstance(item, Message) and item.role in ("system", "developer") for item in items]
    turns = [item for item, stands in zip(items, is_standing, strict=True) if not stands]
    inside = _find_inside(turns)
    places = [place for place in range(1, len(turns)) if place not in inside]
    if not places:
        return None
    half = len(turns) // 2
    cut = max((place for place in places if place <= half), default=places[0])
    gone = iter(range(cut))
    window = [item for item, stands in zip(items, is_standing, strict=True) if stands or next(gone, None) is None]
    return _list_whole(window)


def _find_inside(items: Sequence[Item]) -> set[int]:
    """The places between a call and its output."""
    calls: dict[str, int] = {}
    inside: set[int] = set()
    for place, item in enumerate(items):
        match item:
            case FunctionCall(call_id=call_id):
                calls[call_id] = place
            case FunctionCallOutput(call_id=call_id) if call_id in calls:
                inside.update(range(calls[call_id] + 1, place + 1))
    return inside


def _find_answered(items: Sequence[Item]) -> set[int]:
    """The places of whole calls that have an output, and of these outputs; an id may be used again later."""
    calls: dict[str, int] = {}
    answered: set[int] = set()
    for place, item in enumerate(items):
        match item:
            case FunctionCall(status="completed", call_id=call_id):
                calls[call_id] = place
            case FunctionCallOutput(call_id=call_id) if call_id in calls:
                answered |= {calls.pop(call_id), place}
    return answered


def _is_models(item: Item) -> bool:
    return isinstance(item, FunctionCall | Reasoning) or (isinstance(item, Message) and item.role == "assistant")


def _has_attachment(item: Item) -> bool:
    parts = item.content if isinstance(item, Message) else item.output if isinstance(item, FunctionCallOutput) else ()
    return not isinstance(parts, str) and any(isinstance(part, InputImage | InputFile) for part in parts)


def _system(text: str) -> Message:
    return Message(id="", status="completed", role="system", content=[InputText(text)])


def _words(part: Part) -> str:
    match part:
        case Refusal(refusal):
            return refusal
        case InputImage() | InputFile():
            return ""
    return part.text


def _estimate_part(part: Part) -> int:
    match part:
        case InputImage(detail=detail):
            return TOKENS_AN_IMAGE[detail]
        case InputFile(file_data=data):
            return _estimate_characters(len(data or "") * 3 // 4)  # base64 says three bytes in four characters
    return _estimate_characters(len(_words(part)))


def _estimate_characters(count: int) -> int:
    return -(-count // CHARACTERS_A_TOKEN)
