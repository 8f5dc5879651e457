"""Goes on exactly where an unfinished answer stopped.

When the given text is the beginning of our own answer, the rest of it follows. When it is not (another model wrote it,
or the messages differ), the whole answer follows after " … ", and a second break inside that is continued in its turn.
"""

from standin.chat_completions.request import Message
from standin.control.directives import Directives
from standin.errors import StandInError

_SEAM = " … "


def refuse_prefix_if_asked(directives: Directives, messages: list[Message]) -> None:
    """Raise a 400 for an unfinished answer as the last message, where that was asked for."""
    if directives.no_prefix and messages[-1].role == "assistant":
        raise StandInError(400, "The last message must not be the assistant's.", param="messages")


def continue_answer(whole: str, prefix: str, *, echoes: bool) -> str:
    """What comes after the prefix. `echoes` says the prefix again first, as some servers do."""
    rest = _find_rest(whole, prefix)
    return prefix + rest if echoes else rest


def _find_rest(whole: str, prefix: str) -> str:
    if whole.startswith(prefix):
        return whole[len(prefix) :]
    _, seam, after = prefix.rpartition(_SEAM)
    if seam and whole.startswith(after):
        return whole[len(after) :]
    return _SEAM + whole if whole else ""
