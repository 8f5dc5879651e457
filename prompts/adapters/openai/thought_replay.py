"""A model's earlier thoughts in the messages that go back to its server: which of them, and in which form."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from prompts.adapters.openai.kept_thoughts import DEFAULT_NAME, DETAILS, PARTS, KeptThought, open_kept
from prompts.adapters.openai.quirks import ReasoningReplay
from prompts.adapters.openai.think_tags import CLOSING
from prompts.domain.item_kinds import find_made_call
from prompts.domain.items import Item, Reasoning

# For calls that Gemini has not made: https://ai.google.dev/gemini-api/docs/thought-signatures (FAQ).
NO_SIGNATURE = {"extra_content": {"google": {"thought_signature": "skip_thought_signature_validator"}}}
# Names of fields. A name may also be a tag or the kind of a part, but only of a thought that was kept.
_FIELDS = {"reasoning_content", "reasoning", "reasoning_text"}


class ThoughtReplay(Struct, frozen=True):
    """How thoughts go back to one model. `name` is the name under which its server has sent thoughts."""

    policy: ReasoningReplay = "tools"
    name: str = ""
    needs_thoughts: bool = False
    needs_signatures: bool = False

    def read_thought(self, item: Reasoning) -> KeptThought:
        """What was kept of it; else what a client was shown of it."""
        kept = open_kept(item.encrypted_content)
        if kept is not None and (kept.text or kept.details):
            return kept
        return KeptThought(text="".join(part.text for part in (item.content or item.summary)))

    def find_extras(self, items: Sequence[Item]) -> Mapping[str, Mapping[str, Any]]:
        """The fields that go back on calls, by the call's id."""
        if self.policy == "never":
            return {}
        thoughts = (open_kept(item.encrypted_content) for item in items if isinstance(item, Reasoning))
        extras = {call_id: extra for kept in thoughts if kept for call_id, extra in kept.calls.items()}
        if self.needs_signatures:
            calls = filter(None, map(find_made_call, items))
            extras = {**dict.fromkeys(calls, NO_SIGNATURE), **extras}
        return extras

    def add_thoughts(
        self, message: dict[str, Any], thoughts: Iterable[KeptThought], *, is_calling: bool
    ) -> dict[str, Any]:
        """The message with the thoughts in front of it, where the policy sends them.

        `is_calling`: whether the model called something before the next message of another, be it in this message or in
        another one. DeepSeek wants the thoughts of all of these.
        """
        if self.policy == "never" or not (is_calling or self.policy == "always"):
            return message
        for thought in thoughts:
            message = self._add(message, thought)
        if self.needs_thoughts and is_calling and not any(message.get(name) for name in _FIELDS):
            return {**message, DEFAULT_NAME: ""}
        return message

    def _add(self, message: dict[str, Any], thought: KeptThought) -> dict[str, Any]:
        name = thought.name or (self.name if self.name in _FIELDS else DEFAULT_NAME)
        if thought.details:
            return {**message, DETAILS: [*message.get(DETAILS, ()), *thought.details]}
        if not thought.text:
            return message
        if name == PARTS:
            parts = message["content"]
            said = parts if isinstance(parts, list) else [_text(parts)] if parts else []
            return {**message, "content": [{"type": PARTS, PARTS: [_text(thought.text)]}, *said]}
        if closing := CLOSING.get(name):
            return {**message, "content": f"{name}\n{thought.text}\n{closing}\n\n{message['content'] or ''}"}
        return {**message, name: message.get(name, "") + thought.text}


USUAL_REPLAY = ThoughtReplay()


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
