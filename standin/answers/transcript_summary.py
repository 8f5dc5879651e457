"""Sums up a transcript: keeps the facts in their own words, so that they can be recalled later."""

import re

from standin.answers.conversation import Turn
from standin.answers.facts import list_statements

_ASKS = re.compile(r"\bsummary\b.*\btranscript\b", re.IGNORECASE | re.DOTALL)
_ENTRY = re.compile(r"^\[([^\]\n]+)\]\n", re.MULTILINE)
_RETURNS = re.compile(r"^(.+) returns$")
_NOTHING = "Nothing was told that could be remembered."


def asks_summary(turns: list[Turn]) -> bool:
    """Whether a system message asks for the summary of a transcript."""
    return any(turn.role == "system" and _ASKS.search(turn.text) for turn in turns[:1])


def summarise(transcript: str) -> str:
    """The facts of a transcript, one a line, and what functions returned."""
    lines = [line for role, text in _list_entries(transcript) for line in _keep(role, text)]
    newest = reversed(dict.fromkeys(reversed(lines)))  # a repeated line counts where it stands last
    return "\n".join(newest) or _NOTHING


def _list_entries(transcript: str) -> list[tuple[str, str]]:
    _, *parts = _ENTRY.split(transcript)
    return [(role, text.strip()) for role, text in zip(parts[::2], parts[1::2], strict=True)]


def _keep(role: str, text: str) -> list[str]:
    if role in ("user", "system", "developer"):
        return list_statements(Turn("user", text))
    if found := _RETURNS.match(role):
        return [f"{found[1]} returned: {text}", *list_statements(Turn("tool", text))]
    return []
