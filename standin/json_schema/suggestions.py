"""Suggested questions, for a document that has a list of questions or suggestions."""

import re

_NAME = re.compile(r"question|suggestion|follow_?-?up", re.IGNORECASE)
_USUAL = 3  # when the schema gives no number
_QUESTIONS = (
    "Can you say that in fewer words?",
    "Can you give me an example?",
    "What follows from that?",
    "Where can I read more about it?",
    "What should I ask next?",
)


def find_suggestions(name: str, fewest: int, most: float) -> list[str]:
    """Distinct questions when the name is that of a list of suggestions; else none."""
    if not _NAME.search(name):
        return []
    length = int(max(fewest, min(_USUAL, most)))
    return [_write(place) for place in range(length)]


def _write(place: int) -> str:
    turn, index = divmod(place, len(_QUESTIONS))
    return f"{_QUESTIONS[index]} ({turn + 1})" if turn else _QUESTIONS[index]
