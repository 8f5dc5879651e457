"""Answers from numbered passages, word for word; each sentence ends with its passage's number: "… [2]".

A passage begins with its number at the start of a line, `[2] text`, and ends where the next one begins. The last
passage ends at the first empty line, so that a question behind it is not taken for a part of it. A first line in
brackets, `[2] (terms.md, page 3)`, says where it stands. Lines before `<passages>` are about all of them, and
`</passages>` alone on a line is of none.
"""

import re
from collections import Counter
from itertools import groupby

from standin.answers.conversation import Turn

_MARKER = re.compile(r"^[ \t]*\[(\d{1,4})\][ \t:]*", re.MULTILINE)
_SOURCE = re.compile(r"^\([^\n]*\)\n")
_FENCE = re.compile(r"\n[ \t]*</passages>[ \t]*$", re.MULTILINE)
_END = re.compile(r"\n[ \t]*\n")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"\w+")
_STOP_WORDS = frozenset(
    "a an and are as at be been by can could did do does for from had has have how i if in into is it its me my no not "
    "of on or our please say says should so tell than that the their them then there these they this to us was we were "
    "what when where which who whom why will with would you your about according answer any question passage".split()
)
_MIN_PLURAL_CHARS = 4  # "is" and "gas" are not plurals
_MAX_SENTENCES = 3
_NEARLY_AS_GOOD = 0.8  # of the best sentence's score


def find_passages(turns: list[Turn]) -> dict[int, str]:
    """The passages of the newest message that has any. Consecutive tool results count as one message."""
    for is_tool, row in groupby(reversed(turns), key=lambda turn: turn.role == "tool"):
        for group in [list(row)] if is_tool else ([turn] for turn in row):
            passages = {number: text for turn in reversed(group) for number, text in _read(turn).items()}
            if passages:
                return passages
    return {}


def strip_passages(text: str) -> str:
    """The text around the numbered passages, or around what stands in their fence in place of any."""
    if "<passages>" in text and "</passages>" in text:
        before, _, behind = text.partition("<passages>")
        return "".join(before.rpartition("\n\n")[:2]) + behind.rpartition("</passages>")[2]
    markers = list(_MARKER.finditer(text))
    if not markers:
        return text
    end = _END.search(text, markers[-1].end())
    return text[: markers[0].start()] + (text[end.end() :] if end else "")


def answer_from_passages(passages: dict[int, str], question: str) -> str:
    """The sentences that share most words with the question; rare words count more. Or that there are none."""
    asked = _list_stems(question)
    sentences = [(number, said) for number, text in passages.items() for said in _SENTENCE.split(text) if said.strip()]
    stems = [_list_stems(said) & asked for _, said in sentences]
    spread = Counter(stem for found in stems for stem in found)
    scores = [sum(1 / spread[stem] for stem in sorted(found)) for found in stems]
    best = max(scores, default=0.0)
    if not best:
        return f"None of the {len(passages)} passages I was given answers that."
    chosen = [sentence for sentence, score in zip(sentences, scores, strict=True) if score >= best * _NEARLY_AS_GOOD]
    return " ".join(f"{said.strip()} [{number}]" for number, said in chosen[:_MAX_SENTENCES])


def _read(turn: Turn) -> dict[int, str]:
    markers = [] if turn.role == "assistant" else list(_MARKER.finditer(turn.text))
    if not markers:
        return {}
    ends = [marker.start() for marker in markers[1:]] + [len(turn.text)]
    texts = [turn.text[marker.end() : end] for marker, end in zip(markers, ends, strict=True)]
    texts[-1] = _FENCE.sub("", _END.split(texts[-1], maxsplit=1)[0])
    return {int(marker[1]): _SOURCE.sub("", text).strip() for marker, text in zip(markers, texts, strict=True)}


def _list_stems(text: str) -> set[str]:
    """The meaningful words in lower case, without plural s, cut to six letters."""
    words = (word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS)
    return {(word.removesuffix("s") if len(word) >= _MIN_PLURAL_CHARS else word)[:6] for word in words}
