"""Pure: the words of an item that people look for, and the forms in which they are looked for."""

import re
import unicodedata
from collections.abc import Sequence

import msgspec

from prompts.domain.item_kinds import ITEM_KINDS
from prompts.domain.items import Item, Refusal

decode_item = msgspec.json.Decoder(Item).decode

MAX_SAID_CHARACTERS = 100_000
# PostgreSQL's index takes a megabyte of words of one text: of words in words (`one-two`) each part and the whole. In
# letters of four bytes fewer characters come to that.
MAX_SAID_BYTES = 200_000
MAX_WORDS = 16
MAX_WORD_CHARACTERS = 64
_WORD = re.compile(r"\w+")
# Scripts that put no space between words: Thai, Lao, Khmer, Kana, Han.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")


def clean(text: str) -> str:
    """The text as PostgreSQL can hold it: without NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def cut(text: str) -> str:
    """The beginning of a text, as much of it as can be indexed."""
    return text[:MAX_SAID_CHARACTERS].encode("utf-8", "replace")[:MAX_SAID_BYTES].decode("utf-8", "ignore")


def tell_text(item_json: str) -> str:
    """What an item says in words; nothing where it says nothing, or is of a kind that a later release knows."""
    try:
        item = decode_item(item_json)
    except (msgspec.DecodeError, RecursionError):
        return ""
    body = ITEM_KINDS[type(item)].body(item)
    if body is None or isinstance(body, str):
        return cut(clean(body or ""))
    parts = [part.refusal if isinstance(part, Refusal) else getattr(part, "text", "") for part in body]
    return cut(clean("\n".join(filter(None, parts))))


def list_forms(text: str) -> str:
    """What a text is found by besides its own words: without accents, in pairs where no space is, the parts of names.

    So both databases find the same: PostgreSQL keeps accents, and takes `www.example.com` for one word.
    """
    forms = {plain for word in _WORD.findall(text) if not word.isascii() and (plain := fold(word)) != word.casefold()}
    for run in _UNSPACED.findall(text):
        forms.update(_pair(run))
    for name in text.split():
        if len(parts := _WORD.findall(name)) > 1:
            forms.update(map(fold, parts))
    return cut(" ".join(sorted(forms)))


def choose_words(query: str) -> Sequence[str]:
    """The words of a question, each once, as they are looked for: the beginning of a word that was said."""
    words: dict[str, None] = {}
    for word in _WORD.findall(query):
        runs = _UNSPACED.findall(word)
        pairs = [pair for run in runs for pair in _pair(run)]
        words |= dict.fromkeys(pairs or [fold(word)[:MAX_WORD_CHARACTERS]])
    return list(words)[:MAX_WORDS]


def fold(word: str) -> str:
    """Without case and accents."""
    apart = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _pair(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]
