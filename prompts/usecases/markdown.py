"""Pure: a conversation as Markdown, for people.

Whatever somebody said or a function gave stands in a quote, line by line, and only our own headings stand outside one:
no text can pass for another speaker's. Nor can it leave its quote as HTML, which many viewers let through, nor hold a
link that runs code in them: only `http:`, `https:` and `mailto:` are links.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from msgspec import UNSET

from prompts.domain.conversations import Conversation
from prompts.domain.item_kinds import ITEM_KINDS, ItemKinds
from prompts.domain.items import (
    InputFile,
    InputImage,
    Item,
    ItemStatus,
    Message,
    OutputText,
    Part,
    ReasoningText,
    SummaryText,
    words_of,
)

# Where HTML could begin; other less-than signs stay as they are.
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
# Characters that Markdown gives a meaning within a line.
_SPECIAL = re.compile(r"[\\`\[\]<>&]")
# Where the address of a link, an image or a reference begins: `](…` and `]: …`.
_ADDRESS = re.compile(r"\]([(:])")
# Before the address itself: its bracket, the end of a line, and the mark of a quote there.
_BEFORE_ADDRESS = re.compile(r"[\s<>]*")
_MAX_SCHEME_CHARACTERS = 100
_BEGINNING = re.compile(rf"[^\s/?#:&\\]{{0,{_MAX_SCHEME_CHARACTERS}}}")
_BEGINNING_IN_BRACKETS = re.compile(rf"[^\n>/?#:&\\]{{0,{_MAX_SCHEME_CHARACTERS}}}")
_BLANKS = re.compile(r"[\x00-\x20]")  # a browser leaves them out
_SCHEMES = ("http", "https", "mailto")
_BACKTICKS = re.compile(r"`+")
_MIN_FENCE = 3
# What a URL may hold as it is, inside of <…>.
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~"


def render_title(conversation: Conversation) -> str:
    """The beginning of the document."""
    begun = datetime.fromtimestamp(conversation.created_at, UTC).strftime("%Y-%m-%d %H:%M")
    return f"# {_words(conversation.title or conversation.id)}\n\n{conversation.id}, begun {begun} UTC\n"


def render_item(item: Item, kinds: ItemKinds = ITEM_KINDS) -> Iterator[str]:
    """One item, a line at a time: what it is as a heading, and what it holds as a quote."""
    kind = kinds[type(item)]
    body = kind.body(item)
    if body is None:
        return
    title = kind.export_title.format(name=_words(kind.name(item)))
    level = "##" if isinstance(item, Message) else "###"
    yield f"\n{level} {title[:1].upper()}{title[1:]}{_unfinished(getattr(item, 'status', 'completed'))}\n"
    if isinstance(body, str):
        yield "\n"
        yield from _code(body)
    elif body:
        yield "\n"
        yield from _apart(map(_part, body))
    if isinstance(item, Message):
        yield from _sources(item)


def _sources(item: Message) -> Iterator[str]:
    """The files that it cites, each once."""
    notes = [note for part in item.content if isinstance(part, OutputText) for note in part.annotations]
    names = dict.fromkeys(name for note in notes if (name := _find_filename(note)))
    if names:
        yield "\n### Sources\n\n"
        for name in names:
            yield _quoted(f"- {_words(name)}")


def _find_filename(note: Any) -> str | None:
    """The file that an annotation cites: anybody may have written it."""
    is_citation = isinstance(note, dict) and note.get("type") == "file_citation"
    name = note.get("filename") if is_citation else None
    return name if isinstance(name, str) else None


def _apart(quotes: Iterable[Iterator[str]]) -> Iterator[str]:
    """Several texts in one quote, an empty line between them."""
    for index, lines in enumerate(quotes):
        if index:
            yield ">\n"
        yield from lines


def _part(part: Part | ReasoningText | SummaryText) -> Iterator[str]:
    match part:
        case InputImage(image_url=url):
            yield _link("Image", url or "")
        case InputFile(filename=name, file_url=url):
            yield _link("File" if name is UNSET else f"File {_words(name)}", "" if url is UNSET else url)
        case _:
            yield from _text(words_of(part))


def _text(text: str) -> Iterator[str]:
    # Every character that some viewer takes for the end of a line.
    for line in _ADDRESS.sub(_disarmed, text).splitlines() or [""]:
        yield _quoted(_TAG.sub("&lt;", line))


def _disarmed(found: re.Match[str]) -> str:
    """`](` or `]:` as it is; before an address with a foreign scheme, as text."""
    limit = found.end() + _MAX_SCHEME_CHARACTERS
    before = _BEFORE_ADDRESS.match(found.string, found.end(), limit)
    assert before is not None  # it matches nothing, too
    is_harmless = before.end() < limit and _is_harmless(found.string, before.end(), has_bracket="<" in before[0])
    return found[0] if is_harmless else rf"]\{found[1]}"


def _is_harmless(text: str, begin: int, *, has_bracket: bool) -> bool:
    """Whether the address there has no scheme, or a usual one. What may hide a scheme (`java&#115;cript`) has one."""
    beginning = (_BEGINNING_IN_BRACKETS if has_bracket else _BEGINNING).match(text, begin)
    assert beginning is not None
    after = text[beginning.end() : beginning.end() + 1]
    if after == ":":
        return _BLANKS.sub("", beginning[0]).lower() in _SCHEMES
    return after not in ("&", "\\") and len(beginning[0]) < _MAX_SCHEME_CHARACTERS


def _code(text: str) -> Iterator[str]:
    """A text as a code block, in a fence that the text cannot close."""
    longest = max(map(len, _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(_MIN_FENCE, longest + 1)
    for line in (fence, *text.splitlines(), fence):
        yield _quoted(line)


def _link(words: str, url: str) -> str:
    if url.lower().startswith(("http:", "https:")):
        return _quoted(f"[{words}](<{quote(url, safe=_URL_CHARACTERS)}>)")
    return _quoted(f"{words}, sent along: the export as JSON holds it")


def _quoted(line: str) -> str:
    return f"> {line}\n" if line else ">\n"


def _words(text: str) -> str:
    """A client's words on one line, with every special character escaped."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def _unfinished(status: ItemStatus) -> str:
    return "" if status == "completed" else f" ({status.replace('_', ' ')})"
