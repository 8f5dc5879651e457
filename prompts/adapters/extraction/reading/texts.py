"""Texts: their encoding, and what plain text, Markdown, JSON and source code are made of."""

import codecs
import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from charset_normalizer import from_bytes
from markdown_it import MarkdownIt
from markdown_it.token import Token

from prompts.adapters.extraction.reading.blocks import Blocks, compose_row, squeeze
from prompts.ports.text_extractor import UnreadableFile

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Looked at to find an encoding.
SAMPLE_BYTES = 65_536
KNOWN = "Send txt, md, html, pdf, docx, pptx, xlsx, csv, json or source code."
# Of text, so many control characters are typing errors of somebody's; more are no text.
MAX_CONTROLS = 0.02
# Encodings beside Unicode's and Western ones that people still have.
ENCODINGS = [
    *("cp1251", "koi8_r", "cp1250", "iso8859_2", "cp1253", "cp1254", "cp1255", "cp1256", "cp874"),
    *("shift_jis", "cp932", "euc_jp", "gb18030", "big5", "euc_kr", "cp949"),
]
# Marks that stand in Western texts; others are letters of another encoding.
WESTERN_MARKS = set("\u00a0¡§«»°±²³·¿½¼¾€–—‘’“”„…•©®™£´\u00ad")

# A block of code: large enough to be understood, small enough to be found.
CODE_CHARACTERS = 2_000
# markdown-it reads about a megabyte a second: longer ones are read in parts, at headings.
MARKDOWN_CHARACTERS = 500_000
_PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")
_HEADING = re.compile(r"^(?=#{1,6} )", re.MULTILINE)
MAX_DEPTH = 20


def decode(content: bytes) -> str:
    """The text, whatever its encoding. Raises UnreadableFile for what is none."""
    text = _decode(content)
    sample = text[:SAMPLE_BYTES]
    controls = sum(unicodedata.category(each) in ("Cc", "Cn", "Co") and each not in "\t\n\r\f\v\x1b" for each in sample)
    if controls > len(sample) * MAX_CONTROLS:
        message = f"The file is no text, and no document that can be read here. {KNOWN}"
        raise UnreadableFile("unsupported_file", message)
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _decode(content: bytes) -> str:
    for mark, encoding in BOMS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    sample = content[:SAMPLE_BYTES]
    if (wide := _find_utf16(sample)) is not None:  # first: in UTF-8 a NUL is a character, too
        return content.decode(wide, "replace")
    try:
        return content.decode()
    except UnicodeDecodeError:
        pass
    if _is_western(sample):
        return content.decode("cp1252", "replace")
    found = from_bytes(sample, cp_isolation=ENCODINGS).best()
    return content.decode("cp1252" if found is None else found.encoding, "replace")


def _find_utf16(sample: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of Western text is a NUL."""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if odd > len(sample) / 4 and even < odd / 10:
        return "utf-16-le"
    return "utf-16-be" if even > len(sample) / 4 and odd < even / 10 else None


def _is_western(sample: bytes) -> bool:
    """Whether it makes sense as a Western text: letters and few marks, most of it ASCII."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    others = [each for each in text if ord(each) > 127]  # noqa: PLR2004 -- ASCII
    if any(not each.isalpha() and each not in WESTERN_MARKS for each in others):
        return False
    if re.search(r"[a-z][¡¿²³¹¼½¾±«»][a-z]", text):  # in the middle of a word
        return False
    letters = sum(each.isalpha() for each in others)
    return letters < 0.5 * max(1, sum(each.isalpha() for each in text))


def read_plain(text: str, blocks: Blocks) -> None:
    """Paragraphs are what blank lines separate."""
    for paragraph in _split(_PARAGRAPHS, text):
        blocks.add(paragraph)


def read_code(text: str, blocks: Blocks) -> None:
    """Pieces that begin where something begins at the left margin behind a blank line."""
    piece: list[str] = []
    size = 0
    was_blank = False
    for line in text.splitlines():
        is_start = was_blank and line[:1].strip() != ""
        if piece and size > CODE_CHARACTERS and (is_start or size > 4 * CODE_CHARACTERS):
            blocks.add("\n".join(piece), "code")
            piece, size = [], 0
        piece.append(line)
        size += len(line) + 1
        was_blank = not line.strip()
    blocks.add("\n".join(piece), "code")


def read_json(text: str, blocks: Blocks) -> None:
    """Each entry of a list, or each field of an object, by the paths to its values; what is no JSON is text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        read_plain(text, blocks)
        return
    if isinstance(value, list):
        for entry in value:
            blocks.add(_flatten(entry), "table")
    elif isinstance(value, dict):
        small: list[str] = []
        for name, entry in value.items():
            if isinstance(entry, (dict, list)):
                entries = entry if isinstance(entry, list) and any(isinstance(e, dict) for e in entry) else [entry]
                for each in entries:
                    blocks.add(_flatten(each, str(name)), "table")
            else:
                small.append(_flatten(entry, str(name)))
        blocks.add("; ".join(small), "table")
    else:
        blocks.add(str(value))


def read_json_lines(text: str, blocks: Blocks) -> None:
    """A value a line; a line that is no JSON is text."""
    for line in text.splitlines():
        try:
            blocks.add(_flatten(json.loads(line)), "table")
        except (ValueError, RecursionError):
            blocks.add(line)


def _flatten(value: Any, path: str = "") -> str:
    return "; ".join(_list_values(value, path, 0))


def _list_values(value: Any, path: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield f"{path}: …"
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from _list_values(entry, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list):
        if all(not isinstance(entry, (dict, list)) for entry in value):
            shown = ", ".join(squeeze(str(entry)) for entry in value if entry is not None)
            yield f"{path}: {shown}" if path else shown
        else:
            for index, entry in enumerate(value):
                yield from _list_values(entry, f"{path}[{index}]", depth + 1)
    elif value is not None and value != "":
        shown = squeeze(str(value))
        yield f"{path}: {shown}" if path else shown


def read_markdown(text: str, blocks: Blocks) -> None:
    """Headings, paragraphs, code and rows of tables, as CommonMark has them."""
    parser = MarkdownIt("commonmark").enable("table")
    for part in _split_markdown(text):
        _MarkdownReader(blocks).read(parser.parse(part))


def _split_markdown(text: str) -> Iterator[str]:
    """Parts that are read by themselves; a short text is one."""
    if len(text) <= MARKDOWN_CHARACTERS:
        yield text
        return
    part = ""
    for section in _HEADING.split(text):
        for start in range(0, len(section), MARKDOWN_CHARACTERS):
            piece = section[start : start + MARKDOWN_CHARACTERS]
            if len(part) + len(piece) > MARKDOWN_CHARACTERS:
                yield part
                part = ""
            part += piece
    yield part


class _MarkdownReader:
    """Goes through the tokens of a part of Markdown."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._level = 0
        self._marker = ""
        self._is_head = False
        self._names: list[str] = []
        self._cells: list[str] | None = None

    def read(self, tokens: list[Token]) -> None:
        """All of them."""
        for token in tokens:
            match token.type:
                case "inline":
                    self._say(_show_inline(token))
                case "fence" | "code_block":
                    self._blocks.add(token.content, "code")
                case "heading_open" | "heading_close":
                    self._level = int(token.tag[1:]) if token.nesting == 1 else 0
                case "list_item_open":
                    self._marker = f"{token.info}{token.markup} " if token.info else "- "
                case kind:
                    self._read_table(kind)

    def _read_table(self, kind: str) -> None:
        match kind:
            case "thead_open" | "thead_close":
                self._is_head = kind == "thead_open"
            case "tr_open":
                self._cells = []
            case "tr_close":
                if self._is_head:
                    self._names = self._cells or []
                else:
                    self._blocks.add(compose_row(self._names, self._cells or []), "table")
                self._cells = None

    def _say(self, text: str) -> None:
        if self._cells is not None:
            self._cells.append(text)
        elif self._level:
            self._blocks.add(squeeze(text), "heading", level=self._level)
        else:
            self._blocks.add(self._marker + text)
            self._marker = ""


def _show_inline(token: Token) -> str:
    """Its words, without marks; a link keeps its text, an image its description."""
    said = []
    for child in token.children or ():
        if child.type in ("text", "code_inline", "image"):
            said.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            said.append("\n")
    return "".join(said)


def _split(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    start = 0
    for found in pattern.finditer(text):
        yield text[start : found.start()]
        start = found.end()
    yield text[start:]
