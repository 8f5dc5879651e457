"""Sums up a transcript, or the conversation so far: keeps the facts in their own words, to be recalled later."""

import re
from collections.abc import Iterator

from standin.answers.conversation import Turn
from standin.answers.facts import list_statements

_ASKS = re.compile(r"\bsummary\b.*\btranscript\b", re.IGNORECASE | re.DOTALL)
_ASKS_HERE = re.compile(r"\b(summary of (this|our|the) (conversation|session|task)|hand-?off summary)\b", re.IGNORECASE)
_ENTRY = re.compile(r"^\[([^\]\n]+)\]\n", re.MULTILINE)
_RETURNS = re.compile(r"^(.+) returns$")
_NOTHING = "Nothing was told that could be remembered."


def asks_summary(turns: list[Turn]) -> bool:
    """Whether a system message asks for the summary of a transcript."""
    return any(turn.role == "system" and _ASKS.search(turn.text) for turn in turns[:1])


def asks_handoff(turns: list[Turn]) -> bool:
    """Whether the last message is the user's and asks for a summary of the conversation itself, as agents do."""
    return bool(turns) and turns[-1].role == "user" and _ASKS_HERE.search(turns[-1].text) is not None


def summarise(transcript: str) -> str:
    """The facts of a transcript, one a line, and what functions returned."""
    return _join(line for role, text in _list_entries(transcript) for line in _keep(role, text))


def summarise_turns(turns: list[Turn]) -> str:
    """The same of a conversation, whose instructions go on without it."""
    said = [(f"{turn.tool} returns" if turn.role == "tool" else turn.role, turn.text.strip()) for turn in turns]
    return _join(line for role, text in said if role not in ("system", "developer") for line in _keep(role, text))


def _join(lines: Iterator[str]) -> str:
    newest = reversed(dict.fromkeys(reversed(list(lines))))  # a repeated line counts where it stands last
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
