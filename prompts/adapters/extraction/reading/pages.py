"""Web pages: what a reader sees of them."""

from typing import Any

from lxml import etree, html

from prompts.adapters.extraction.reading.blocks import Blocks, compose_row, squeeze
from prompts.ports.text_extractor import UnreadableFile

HEADINGS = {f"h{level}": level for level in range(1, 7)}
HIDDEN = {"script", "style", "template", "noscript", "head", "svg", "iframe", "object", "select", "button", "input"}
# What does not break a line.
INLINE = {
    *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd", "label"),
    *("mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr", "img"),
}


def read_html(text: str, blocks: Blocks) -> None:
    """Headings, paragraphs, code and rows of tables, in their order. Raises UnreadableFile."""
    parser = html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    try:
        root = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as exc:
        raise UnreadableFile("invalid_file", "The page holds no text. Send one that does.") from exc
    title = squeeze(root.findtext(".//head/title") or "")
    if title and root.find(".//h1") is None:
        blocks.add(title, "heading", level=1)
    _Walk(blocks).walk(root)


class _Walk:
    """Goes through a page without recursion: it may be nested as deeply as its author likes."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._said: list[str] = []
        self._level = 0
        self._is_code = 0
        self._names: list[list[str]] = []
        self._rows: list[list[str] | None] = []
        self._has_head: list[bool] = []
        self._is_item = False

    def walk(self, root: Any) -> None:
        """All of it."""
        hidden: Any = None
        for event, element in etree.iterwalk(root, events=("start", "end")):
            if hidden is not None:
                if event == "end" and element is hidden:
                    hidden = None
                    self._say(element.tail)
                continue
            tag = element.tag if isinstance(element.tag, str) else ""
            if event == "start" and tag in HIDDEN:
                hidden = element
            elif event == "start":
                self._open(tag)
                self._say(element.text)
            else:
                self._close(tag)
                self._say(element.tail)
        self._flush()

    def _say(self, text: str | None) -> None:
        if text:
            self._said.append(text if self._is_code else text.replace("\n", " "))

    def _open(self, tag: str) -> None:
        if tag == "br":
            self._said.append("\n")
        if tag in INLINE or tag == "br":
            return
        self._flush()
        if tag in HEADINGS:
            self._level = HEADINGS[tag]
        elif tag == "pre":
            self._is_code += 1
        elif tag == "li":
            self._is_item = True
        else:
            self._open_table(tag)

    def _open_table(self, tag: str) -> None:
        if tag == "table":
            self._names.append([])
            self._rows.append(None)
            self._has_head.append(False)
        elif tag == "tr" and self._rows:
            self._rows[-1] = []
        elif tag == "th" and self._has_head:
            self._has_head[-1] = True

    def _close(self, tag: str) -> None:
        if tag in INLINE or tag == "br":
            return
        if tag in ("td", "th") and self._rows and (row := self._rows[-1]) is not None:
            row.append(squeeze("".join(self._said)))
            self._said = []
            return
        self._flush()
        if tag in HEADINGS:
            self._level = 0
        elif tag == "pre":
            self._is_code = max(0, self._is_code - 1)
        elif tag == "tr" and self._rows and (row := self._rows[-1]) is not None:
            self._end_row(row)
            self._rows[-1] = None
        elif tag == "table" and self._rows:
            self._rows.pop()
            self._names.pop()
            self._has_head.pop()

    def _end_row(self, row: list[str]) -> None:
        if self._has_head[-1] and not self._names[-1]:
            self._names[-1] = row  # said again with every row below
        elif self._names[-1]:
            self._blocks.add(compose_row(self._names[-1], row), "table")
        else:
            self._blocks.add(" | ".join(cell for cell in row if cell), "table")

    def _flush(self) -> None:
        if self._rows and self._rows[-1] is not None:
            return  # of a cell: its row says it
        text, self._said = "".join(self._said), []
        if self._is_code:
            self._blocks.add(text, "code")
        elif self._level:
            self._blocks.add(squeeze(text), "heading", level=self._level)
        elif said := "\n".join(filter(None, (squeeze(line) for line in text.split("\n")))):
            self._blocks.add(f"- {said}" if self._is_item else said)
            self._is_item = False
