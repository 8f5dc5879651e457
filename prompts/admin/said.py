"""Conversations and chains in which something was said, for the list: which, and with which words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import DatabaseError

from prompts.archive.search import limited_time, list_newest
from prompts.models import ArchivedItem

# Of the items that match, the newest: a common word is in all of them.
MAX_MATCHES = 1_000
# A page's thread and connection are not kept longer than this.
MAX_SEARCH_S = 5.0
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Found:
    """Histories by their ids, with what the newest such item says; `is_cut`: older items say it, too."""

    texts: Mapping[str, str]
    is_cut: bool = False


def find_said(query: str, *, owner: str = "") -> Found | None:
    """The histories with an item that has all of these words, of the newest `MAX_MATCHES` such items.

    A word may be the beginning of one that was said. None when the search took too long.
    """
    items = ArchivedItem.objects.filter(owner=owner) if owner else ArchivedItem.objects.all()
    try:
        with limited_time(MAX_SEARCH_S):
            newest = list_newest(items, query, "conversation_id", "timeline", "text", limit=MAX_MATCHES)
    except DatabaseError:
        return None
    found: dict[str, str] = {}
    for conversation_id, timeline, text in newest:
        found.setdefault(conversation_id or timeline, text)
    return Found(found, is_cut=len(newest) == MAX_MATCHES)


def cut_out(text: str, query: str, *, characters: int = 160) -> str:
    """The part of a text around the first of these words."""
    lower = text.lower()
    places = [place for word in _WORD.findall(query.lower()) if (place := lower.find(word)) >= 0]
    begin = max(0, min(places, default=0) - characters // 3)
    end = begin + characters
    return f"{'…' if begin else ''}{' '.join(text[begin:end].split())}{'…' if end < len(text) else ''}"
