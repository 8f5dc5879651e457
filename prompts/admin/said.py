"""Conversations in which something was said: the full-text index of the archive, on either database."""

import re
from collections.abc import Mapping, Sequence

from django.db import connection

MAX_WORDS = 16
_WORD = re.compile(r"\w+")
_SQL = {
    "postgresql": (
        "SELECT conversation_id, text FROM prompts_archiveditem "
        "WHERE to_tsvector('simple', text || ' ' || forms) @@ to_tsquery('simple', %s) "
        "AND conversation_id IS NOT NULL AND (%s = '' OR owner = %s) ORDER BY created_at DESC LIMIT %s"
    ),
    "sqlite": (
        "SELECT item.conversation_id, item.text FROM prompts_said JOIN prompts_archiveditem item "
        "ON item.id = prompts_said.rowid WHERE prompts_said MATCH %s "
        "AND item.conversation_id IS NOT NULL AND (%s = '' OR item.owner = %s) ORDER BY item.created_at DESC LIMIT %s"
    ),
}


def find_said(query: str, *, owner: str = "", limit: int) -> Mapping[str, str]:
    """The conversations with an item that has all of these words, by their ids, and what the newest such item says.

    A word may be the beginning of one that was said. `limit` is of the items that are looked at.
    """
    words = list(dict.fromkeys(_WORD.findall(query)))[:MAX_WORDS]
    if not words:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_SQL[connection.vendor], [_write_query(words, connection.vendor), owner, owner, limit])
        found: dict[str, str] = {}
        for conversation_id, text in cursor.fetchall():
            found.setdefault(conversation_id, text)
    return found


def _write_query(words: Sequence[str], vendor: str) -> str:
    # A word is letters and digits: nothing in it has a meaning to either.
    return " & ".join(f"{word}:*" for word in words) if vendor == "postgresql" else " ".join(f'"{w}"*' for w in words)


def cut_out(text: str, query: str, *, characters: int = 160) -> str:
    """The part of a text around the first of these words."""
    lower = text.lower()
    places = [place for word in _WORD.findall(query.lower()) if (place := lower.find(word)) >= 0]
    begin = max(0, min(places, default=0) - characters // 3)
    end = begin + characters
    return f"{'…' if begin else ''}{' '.join(text[begin:end].split())}{'…' if end < len(text) else ''}"
