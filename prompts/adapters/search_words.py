"""The words that a text is found by: split, without accents, reduced to their stems; and those of a question.

SQLite's own tokenizer makes them (`porter unicode61`, https://sqlite.org/fts5.html#tokenizers), for both indexes: the
embedded one searches with it, and Weaviate, which knows no stems, is given the words ready-made.
"""

import re
import sqlite3
import unicodedata

TOKENIZER = "porter unicode61 remove_diacritics 2"
# Longer questions are pasted documents: their beginning says what is wanted, and each word costs a look-up.
MAX_QUERY_CHARACTERS = 4_000
MAX_QUERY_WORDS = 48
MAX_WORD_CHARACTERS = 64

# Words of a question that say nothing of its subject. English: where a language's own remain, their weight is small,
# because every passage has them.
STOP_WORDS = frozenset(
    """
    a about all also am an and any are as at be because been before being between both but by can could did do does
    doing don each either else every few for from get gets had has have having he her here hers him his how however i
    if in into is isn it its itself just let like ll many may me might more most much must my need no nor not of off on
    one only or other our out over own please re s same shall she should so some such t than that the their them then
    there these they this those through to too up us use used uses using ve very want was we were what when where
    whether which while who whom whose why will with without would you your tell
    """.split()
)
# Scripts that put no space between words: Thai, Lao, Khmer, Kana, Han.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")


def split_unspaced(text: str) -> str:
    """The text with each run of an unspaced script as its pairs of neighbours: `東京都` is found by `東京`."""
    return _UNSPACED.sub(_pair, text)


def choose_words(query: str) -> list[str]:
    """The words of a question that can tell passages apart, each once, in order; all of them where none can."""
    text = split_unspaced(query[:MAX_QUERY_CHARACTERS]).lower()
    spaced = "".join(letter if unicodedata.category(letter)[0] in "LNM" else " " for letter in text)
    words = list(dict.fromkeys(word[:MAX_WORD_CHARACTERS] for word in spaced.split()))
    telling = [word for word in words if word not in STOP_WORDS]
    return (telling or words)[:MAX_QUERY_WORDS]


class Stemmer:
    """Words as the tokenizer leaves them, in order. For one thread at a time; needs no closing."""

    def __init__(self) -> None:
        self._sql = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._sql.execute(f"CREATE VIRTUAL TABLE texts USING fts5(text, tokenize = '{TOKENIZER}')")
        self._sql.execute("CREATE VIRTUAL TABLE words USING fts5vocab(texts, instance)")

    def stem(self, text: str) -> list[str]:
        """The stems of all words."""
        self._sql.execute("INSERT INTO texts (rowid, text) VALUES (1, ?)", (clean(split_unspaced(text)),))
        found = self._sql.execute("SELECT term FROM words ORDER BY offset").fetchall()
        self._sql.execute("DELETE FROM texts")
        return [term for (term,) in found]


def clean(text: str) -> str:
    """The text as UTF-8 can hold it: SQLite and Protobuf refuse half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _pair(run: re.Match[str]) -> str:
    letters = run[0]
    pairs = (letters[index : index + 2] for index in range(max(len(letters) - 1, 1)))
    return f" {' '.join(pairs)} "
