"""Continues an answer exactly where it stopped.

When the given text is the beginning of our own answer, the rest of that answer follows. When it is not (another model
wrote it, or the messages differ), " … " and the whole answer follow. An answer that breaks again after that " … " is
continued in the same way.
"""

from standin.chat_completions.request import Message
from standin.control.directives import Directives
from standin.errors import StandInError

_SEAM = " … "


def refuse_prefix_if_asked(directives: Directives, messages: list[Message]) -> None:
    """Raise a 400 when the last message is an unfinished answer and `no_prefix` is set."""
    if directives.no_prefix and messages[-1].role == "assistant":
        raise StandInError(400, "The last message must not be the assistant's.", param="messages")


def continue_answer(whole: str, prefix: str, *, echoes: bool) -> str:
    """What comes after the prefix. With `echoes` the prefix comes first again, as with some servers."""
    rest = _find_rest(whole, prefix)
    return prefix + rest if echoes else rest


def _find_rest(whole: str, prefix: str) -> str:
    if whole.startswith(prefix):
        return whole[len(prefix) :]
    _, seam, after = prefix.rpartition(_SEAM)
    if seam and whole.startswith(after):
        return whole[len(after) :]
    return _SEAM + whole if whole else ""
