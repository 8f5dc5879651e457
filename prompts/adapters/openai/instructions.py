"""Where instructions stand: one system message, first.

Templates of Qwen and others refuse a second system message, or one that is not the first (ggml-org/llama.cpp#20215,
BerriAI/litellm#39282).
"""

from collections.abc import Sequence

from msgspec.structs import replace

from prompts.adapters.openai.quirks import SystemMessages
from prompts.domain.items import InputText, Item, Message, Part

SEPARATOR = "\n\n"
# In front of an instruction that is sent as the user's message, so that the model knows whose it is.
MARK = "[Instruction from the developer, not the user's words]\n"


def arrange_instructions(items: Sequence[Item], mode: SystemMessages) -> list[Item]:
    """The items with the system's and developer's messages made one, at the beginning.

    Those behind the first user message are part of it, or keep their place (`keep`): as the user's, marked.
    """
    first_user = next((place for place, item in enumerate(items) if _is_by(item, "user")), len(items))
    end = len(items) if mode == "merge" else first_user
    leading = [item for item in items[:end] if isinstance(item, Message) and _is_instruction(item)]
    others = [*(item for item in items[:end] if not _is_instruction(item)), *items[end:]]
    rest = [_mark(item) if isinstance(item, Message) and _is_instruction(item) else item for item in others]
    return [_merge(leading), *rest] if leading else rest


def _is_by(item: Item, role: str) -> bool:
    return isinstance(item, Message) and item.role == role


def _is_instruction(item: Item) -> bool:
    return isinstance(item, Message) and item.role in ("system", "developer")


def _merge(messages: Sequence[Message]) -> Message:
    """One message of all their parts; text that follows text is put together."""
    parts: list[Part] = []
    for message in messages:
        for place, part in enumerate(message.content):
            last = parts[-1] if parts else None
            if isinstance(last, InputText) and isinstance(part, InputText):
                parts[-1] = InputText(last.text + ("" if place else SEPARATOR) + part.text)
            else:
                parts.append(part)
    return replace(messages[0], role="system", content=parts)


def _mark(message: Message) -> Message:
    return replace(message, role="user", content=[InputText(MARK), *message.content])
