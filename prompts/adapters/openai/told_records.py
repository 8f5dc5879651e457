"""Items that no protocol of a model's server takes from us, as text: what a hosted tool of another server did."""

from prompts.domain.item_kinds import ITEM_KINDS, find_speaker
from prompts.domain.items import InputText, Item, Message, OutputText


def tell_record(item: Item) -> Message | None:
    """A message of the assistant's, or of the user's for what a tool gave; None when there is nothing to tell."""
    kind = ITEM_KINDS[type(item)]
    body = kind.body(item)
    if not isinstance(body, str):
        return None
    text = f"[{kind.transcript_title}:\n{body}]"
    if find_speaker(item) == "model":
        return Message(id="", status="completed", role="assistant", content=[OutputText(text)])
    return Message(id="", status="completed", role="user", content=[InputText(text)])
