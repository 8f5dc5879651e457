"""Documents become text, in their reading order; those that are hostile hurt nobody."""

import asyncio
import contextlib
import io
import json
import os
import sys
import time
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import psutil
import pytest
from pptx.util import Inches
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from prompts.adapters.extraction.extractor import DocumentExtractor
from prompts.domain.passages import Block
from prompts.ports.text_extractor import UnreadableFile
from tests.support.processes import REPO_ROOT
from tests.support.servers import eventually


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def extractor(spool: Path) -> Iterator[DocumentExtractor]:
    yield DocumentExtractor(spool)
    assert list(spool.iterdir()) == []


async def give(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 65_536):
        yield content[start : start + 65_536]


async def read(extractor: DocumentExtractor, content: bytes, filename: str) -> Sequence[Block]:
    return await extractor.extract(give(content), filename=filename)


async def refuse(extractor: DocumentExtractor, content: bytes, filename: str) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as refusal:
        await read(extractor, content, filename)
    return refusal.value


def texts(blocks: Sequence[Block]) -> list[str]:
    return [block.text for block in blocks]


def save(document: Any) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


# --- documents ---


def make_docx() -> bytes:
    document = docx.Document()
    document.add_heading("The manual", level=0)
    document.add_heading("Installing", level=1)
    document.add_paragraph("Turn the wheel.")
    table = document.add_table(rows=3, cols=2)
    for row, cells in zip(table.rows, (("part", "price"), ("wheel", "5 €"), ("bolt", "")), strict=True):
        for cell, value in zip(row.cells, cells, strict=True):
            cell.text = value
    document.add_heading("On Linux", level=2)
    document.add_paragraph("Push it.", style="List Bullet")
    return save(document)


def make_pptx() -> bytes:
    presentation = pptx.Presentation()
    slide: Any = None
    for number in (1, 2):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = f"Slide {number}"
        slide.placeholders[1].text = f"Point {number}"
    table = slide.shapes.add_table(2, 2, Inches(1), Inches(4), Inches(4), Inches(1)).table
    for index, value in enumerate(("city", "people", "Bergen", "290,000")):
        table.cell(index // 2, index % 2).text = value
    slide.notes_slide.notes_text_frame.text = "Speak slowly."
    return save(presentation)


def make_xlsx() -> bytes:
    book = openpyxl.Workbook()
    first = book.active
    assert first is not None
    first.title = "Cities"
    for row in (["city", "people"], ["Bergen", 290_000], ["Oslo", None]):
        first.append(row)
    second = book.create_sheet("Fjords")
    second.append(["name", "km"])
    second.append(["Sognefjord", 205])
    return save(book)


def make_pdf(*pages: str) -> bytes:
    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(300, 300)
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 10 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def lock_pdf(pdf: bytes, password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf)))
    writer.encrypt(password, owner_password="the owner's", algorithm="AES-256")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


async def test_a_text_is_its_paragraphs(extractor: DocumentExtractor) -> None:
    blocks = await read(extractor, b"One\nand a half.\r\n\r\nTwo.\n\n\n  Three.", "a.txt")
    assert blocks == [Block("One\nand a half."), Block("Two."), Block("Three.")]


async def test_markdown_keeps_headings_code_and_tables(extractor: DocumentExtractor) -> None:
    source = (
        "# A\n\ntext *with* [a link](http://x)\n\n## B\n\n- one\n- two\n\n```py\nx = 1\n```\n\n|a|b|\n|-|-|\n|1|2|\n"
    )
    assert await read(extractor, source.encode(), "a.md") == [
        Block("A", "heading", 1),
        Block("text with a link"),
        Block("B", "heading", 2),
        Block("- one"),
        Block("- two"),
        Block("x = 1", "code"),
        Block("a: 1; b: 2", "table"),
    ]


async def test_a_page_is_what_a_reader_sees_of_it(extractor: DocumentExtractor) -> None:
    page = (
        b"<!DOCTYPE html><html><head><title>T</title><style>p{}</style></head><body><script>no()</script>"
        b"<h2>Head\nline</h2><p>one\ntwo<br>three <b>bold</b></p><ul><li>x<li>y</ul>"
        b"<table><tr><th>a<th>b<tr><td>1<td>2</table><pre>  c\n  d</pre>tail &amp; end</body></html>"
    )
    assert await read(extractor, page, "a.txt") == [  # its content says what it is
        Block("T", "heading", 1),
        Block("Head line", "heading", 2),
        Block("one two\nthree bold"),
        Block("- x"),
        Block("- y"),
        Block("a: 1; b: 2", "table"),
        Block("  c\n  d", "code"),
        Block("tail & end"),
    ]


async def test_a_pdf_has_pages(extractor: DocumentExtractor) -> None:
    assert await read(extractor, make_pdf("First page", "Second page"), "no suffix") == [
        Block("First page", page=1),
        Block("Second page", page=2),
    ]


async def test_a_pdf_that_only_its_owner_may_change_is_read(extractor: DocumentExtractor) -> None:
    assert texts(await read(extractor, lock_pdf(make_pdf("Readable"), ""), "a.pdf")) == ["Readable"]


async def test_a_word_document_keeps_headings_and_tables(extractor: DocumentExtractor) -> None:
    assert await read(extractor, make_docx(), "a.bin") == [
        Block("The manual", "heading", 1),
        Block("Installing", "heading", 1),
        Block("Turn the wheel."),
        Block("part: wheel; price: 5 €", "table"),
        Block("part: bolt", "table"),
        Block("On Linux", "heading", 2),
        Block("- Push it."),
    ]


async def test_slides_are_pages(extractor: DocumentExtractor) -> None:
    assert await read(extractor, make_pptx(), "a.pptx") == [
        Block("Slide 1", "heading", 1, 1),
        Block("Point 1", page=1),
        Block("Slide 2", "heading", 1, 2),
        Block("Point 2", page=2),
        Block("city: Bergen; people: 290,000", "table", page=2),
        Block("Speak slowly.", page=2),
    ]


async def test_a_row_of_a_sheet_says_its_columns(extractor: DocumentExtractor) -> None:
    assert await read(extractor, make_xlsx(), "a.xlsx") == [
        Block("Cities", "heading", 1, 1),
        Block("city: Bergen; people: 290000", "table", page=1),
        Block("city: Oslo", "table", page=1),
        Block("Fjords", "heading", 1, 2),
        Block("name: Sognefjord; km: 205", "table", page=2),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
async def test_a_row_of_values_says_its_columns(extractor: DocumentExtractor, delimiter: str) -> None:
    rows = [["name", "born in"], ["Ada", "1815"], ['"Grace"', ""], ["", "", "alone"]]
    content = "\n".join(delimiter.join(row) for row in rows).encode()
    found = texts(await read(extractor, content, "a.csv"))
    assert found == ["name: Ada; born in: 1815", "name: Grace", "column 3: alone"]


async def test_names_of_columns_with_nothing_below_are_said_alone(extractor: DocumentExtractor) -> None:
    document = docx.Document()
    table = document.add_table(rows=2, cols=3)
    table.rows[0].cells[0].text, table.rows[0].cells[2].text = "part", "price"
    assert texts(await read(extractor, save(document), "a.docx")) == ["part | price"]
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["part", None, "price"])
    assert texts(await read(extractor, save(book), "a.xlsx")) == ["Sheet", "part | price"]
    assert texts(await read(extractor, b"part,,price\n", "a.csv")) == ["part | price"]


async def test_json_says_where_a_value_stands(extractor: DocumentExtractor) -> None:
    value = {"title": "T", "tags": ["a", "b"], "people": [{"name": "Ada"}, {"name": "Bob", "age": 3}]}
    found = texts(await read(extractor, json.dumps(value).encode(), "a.json"))
    assert found == ["tags: a, b", "people.name: Ada", "people.name: Bob; people.age: 3", "title: T"]
    found = texts(await read(extractor, b'{"a": 1}\n{"a": 2}\nno json\n', "a.jsonl"))
    assert found == ["a: 1", "a: 2", "no json"]
    assert texts(await read(extractor, b'{"a": ', "a.json")) == ['{"a":']


async def test_source_code_is_cut_between_its_pieces(extractor: DocumentExtractor) -> None:
    piece = "def f():\n    return 1\n\n    # inside\n" + "    x = 1\n" * 300
    blocks = await read(extractor, "\n\n".join([piece] * 3).encode(), "a.py")
    assert [block.kind for block in blocks] == ["code"] * 3
    assert all(block.text.startswith("def f():") for block in blocks)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Größe und Übermaß: die Straße ist schön.", "latin-1"),
        ("Größe", "latin-1"),
        ("Voilà, c’est l’été à la plage – 5 €.", "cp1252"),
        ("Привет, как дела? Это документ о погоде в Бергене.", "cp1251"),
        ("これは日本語の文書です。よろしくお願いします。", "shift_jis"),
        ("Größe", "utf-8-sig"),
        ("Größe", "utf-16"),
        ("Hello there, Größe", "utf-16-le"),
        ("Hello there, Größe", "utf-16-be"),
        ("Größe", "utf-32"),
        ("日本語", "utf-16"),
        ("é", "utf-8"),
    ],
)
async def test_a_text_is_read_in_its_encoding(extractor: DocumentExtractor, text: str, encoding: str) -> None:
    assert texts(await read(extractor, text.encode(encoding), "a.txt")) == [text]


# --- what cannot be read ---


def zip_of(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def change_docx(**changed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(make_docx())) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    return zip_of(entries | {name.replace("__", "/") + ".xml": content for name, content in changed.items()})


BOMB = b"<w:p><w:r><w:t>" + b"A" * 1_000_000 + b"</w:t></w:r></w:p>"
LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (level, b"&l%d;" % (level - 1) * 10 if level else b"lol") for level in range(10)
)
LOCKED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512) + "EncryptedPackage".encode("utf-16-le") + bytes(512)

REFUSED: dict[str, tuple[Callable[[], bytes], str, str, str]] = {
    "empty": (lambda: b"", "a.txt", "invalid_file", "empty"),
    "blanks": (lambda: b" \n\n \n", "a.txt", "invalid_file", "no text"),
    "binary named txt": (lambda: os.urandom(50_000), "a.txt", "unsupported_file", "no text"),
    "picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "a.pdf", "unsupported_file", "no text"),
    "program": (lambda: b"\x7fELF" + bytes(100), "a.txt", "unsupported_file", "no text"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(100), "a.txt", "unsupported_file", "no text"),
    "archive": (lambda: zip_of({"a.txt": b"hello"}), "a.docx", "unsupported_file", "archive"),
    "broken archive": (lambda: make_docx()[:3_000], "a.docx", "invalid_file", "broken"),
    "old office": (lambda: LOCKED[:8] + bytes(1_000), "a.doc", "unsupported_file", "old Office"),
    "rtf": (lambda: b"{\\rtf1 hello}", "a.rtf", "unsupported_file", "RTF"),
    "locked office": (lambda: LOCKED, "a.docx", "invalid_file", "password"),
    "locked pdf": (lambda: lock_pdf(make_pdf("secret"), "swordfish"), "a.pdf", "invalid_file", "password"),
    "broken pdf": (lambda: b"%PDF-1.7\nhello", "a.pdf", "invalid_file", "broken"),
    "half a pdf": (lambda: make_pdf("x" * 1_000)[:300], "a.pdf", "invalid_file", "broken"),
    "scanned pdf": (lambda: make_pdf(""), "a.pdf", "invalid_file", "scanned"),
    "bomb": (lambda: change_docx(word__document=BOMB * 150), "a.docx", "invalid_file", "unpacks"),
    "bomb of entries": (
        lambda: zip_of(
            {"[Content_Types].xml": b"<x/>", "word/document.xml": b"<x/>"} | {f"{n}": b"" for n in range(10_001)}
        ),
        "a.docx",
        "invalid_file",
        "unpacks",
    ),
    "entities": (
        lambda: change_docx(word__document=b"<!DOCTYPE x [" + LAUGHS + b"]><x>&l9;</x>"),
        "a.docx",
        "invalid_file",
        "entities",
    ),
    "entities in UTF-16": (
        lambda: change_docx(word__document=("<!DOCTYPE x [" + LAUGHS.decode() + "]><x>&l9;</x>").encode("utf-16")),
        "a.docx",
        "invalid_file",
        "entities",
    ),
    "no XML": (lambda: change_docx(word__document=b"<x"), "a.docx", "invalid_file", "broken"),
    "too long": (lambda: b"word " * 4_100_000, "a.txt", "invalid_file", "too long"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_read_says_why(extractor: DocumentExtractor, name: str) -> None:
    make, filename, code, words = REFUSED[name]
    error = await refuse(extractor, make(), filename)
    assert (error.code, words in error.message) == (code, True), error.message
    assert "Traceback" not in error.message


def make_looping_pdf() -> bytes:
    """Its tree of pages is a circle, and its cross-references lead to themselves."""
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000000000>>endobj\n"
        b"xref\n0 3\n0000000000 65535 f \n0000000009 00000 n \n0000000054 00000 n \n"
        b"trailer<</Size 3/Root 1 0 R/Prev 117>>\nstartxref\n117\n%%EOF"
    )


def make_huge_xref_pdf() -> bytes:
    return (
        b"%PDF-1.4\nxref\n0 4000000000\n"
        + b"0000000000 65535 f \n" * 1_000
        + b"trailer<</Size 4000000000>>\nstartxref\n9\n%%EOF"
    )


def make_nested_pdf() -> bytes:
    pdf = make_pdf("hello")
    return pdf.replace(b"/Resources", b"/X " + b"[" * 200_000 + b"]" * 200_000 + b" /Resources", 1)


def make_bomb_pdf() -> bytes:
    """Its one page unpacks to a gigabyte."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(10_000_000)) for _ in range(100)) + packer.flush()
    head = b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    page = b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>endobj\n"
    stream = b"4 0 obj<</Length %d/Filter/FlateDecode>>stream\n" % len(packed) + packed + b"\nendstream endobj\n"
    return head.replace(b"%%", b"%") + page + stream + b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n0\n%%EOF"


def change_sheet(rows: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(make_xlsx())) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    start = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:XFD1048576"/>'
    )
    entries["xl/worksheets/sheet1.xml"] = start + b"<sheetData>" + rows + b"</sheetData></worksheet>"
    return zip_of(entries)


def make_nested_docx() -> bytes:
    """Tables in tables in tables."""
    deep = b"<w:tbl><w:tr><w:tc>" * 3_000 + b"<w:p/>" + b"</w:tc></w:tr></w:tbl>" * 3_000
    name = b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = b'<w:document xmlns:w="' + name + b'"><w:body>' + deep + b"</w:body></w:document>"
    return change_docx(word__document=body)


CELL = b'<row r="%d"><c r="%s%d" t="inlineStr"><is><t>far</t></is></c></row>'
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a circle of pages": (make_looping_pdf, "a.pdf"),
    "cross-references without end": (make_huge_xref_pdf, "a.pdf"),
    "deep nesting": (make_nested_pdf, "a.pdf"),
    "a page that unpacks to a gigabyte": (make_bomb_pdf, "a.pdf"),
    "a cell at the end of the largest sheet": (
        lambda: change_sheet(CELL % (1, b"A", 1) + CELL % (1_048_576, b"XFD", 1_048_576)),
        "a.xlsx",
    ),
    "rows as wide as can be": (
        lambda: change_sheet(b"".join(CELL % (row, b"XFD", row) for row in range(1, 50_000))),
        "a.xlsx",
    ),
    "tables in tables": (make_nested_docx, "a.docx"),
    "a page nested without end": (lambda: b"<html><body>" + b"<div>" * 300_000 + b"x", "a.html"),
    "a JSON nested without end": (lambda: b"[" * 500_000 + b"1" + b"]" * 500_000, "a.json"),
    "Markdown nested without end": (lambda: b"> " * 200_000 + b"x", "a.md"),
    "brackets without end": (lambda: b"[" * 200_000, "a.md"),
    "a line without end": (lambda: b"x" * 5_000_000, "a.csv"),
    "quotes without end": (lambda: b'"' + b"a,\n" * 1_000_000, "a.csv"),
    "entities of a page": (lambda: b"<!DOCTYPE html [" + LAUGHS + b"]><html><p>&l9;</p></html>", "a.html"),
}


@pytest.mark.timed
@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_hostile_fails_alone_or_is_read(spool: Path, name: str) -> None:
    """Within its time, and in little memory of the service's."""
    make, filename = HOSTILE[name]
    content = make()
    extractor = DocumentExtractor(spool, max_s=15)
    before, began = psutil.Process().memory_info().rss, time.monotonic()
    with contextlib.suppress(UnreadableFile):
        assert await read(extractor, content, filename)
    assert time.monotonic() - began < 40
    assert psutil.Process().memory_info().rss - before < 200_000_000
    assert texts(await read(extractor, b"still here", "a.txt")) == ["still here"]


async def test_a_document_that_fills_the_memory_fails(spool: Path) -> None:
    cells = b"".join(b"<y a='%d'/>" % (number * 7919) for number in range(1_000_000))  # packed, 10 times as small
    content = change_docx(word__document=b"<x>" + cells + b"</x>")
    error = await refuse(DocumentExtractor(spool, max_mb=150), content, "a.docx")
    assert error.code == "invalid_file"


async def test_a_document_that_takes_too_long_is_killed(spool: Path) -> None:
    error = await refuse(DocumentExtractor(spool, max_s=1), b"[" * 40_000 + b"*a_" * 1_000_000, "a.md")
    assert error.code == "invalid_file"
    await eventually(lambda: not list_readers())


async def test_who_is_cancelled_leaves_no_process(spool: Path) -> None:
    extractor = DocumentExtractor(spool)
    reading = asyncio.create_task(read(extractor, b"[" * 40_000 + b"*a_" * 1_000_000, "a.md"))
    await eventually(list_readers)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert list_readers() == []


READ_FOR_LONG = """
import asyncio, sys
from pathlib import Path
from prompts.adapters.extraction.extractor import DocumentExtractor

async def pieces():
    yield b"[" * 40_000 + b"*a_" * 1_000_000

asyncio.run(DocumentExtractor(Path(sys.argv[1])).extract(pieces(), filename="a.md"))
"""


async def test_who_is_killed_leaves_no_process(spool: Path) -> None:
    """A replica that is killed again and again would leave 512 MB behind each time, for two minutes."""
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", READ_FOR_LONG, str(spool), cwd=REPO_ROOT)
    children = psutil.Process(holder.pid).children
    await eventually(lambda: [child for child in children() if is_reader(child) and child.cpu_times().user > 0.5])
    [reader] = children()
    holder.kill()
    await holder.wait()
    await eventually(lambda: not is_reader(reader), within_s=2)


def list_readers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if is_reader(child)]


def is_reader(process: psutil.Process) -> bool:
    """Whether it reads a document; one that has just ended does not."""
    try:
        return "reading.run" in " ".join(process.cmdline())
    except psutil.Error:
        return False


async def test_two_are_read_at_once(extractor: DocumentExtractor) -> None:
    reading = [asyncio.create_task(read(extractor, f"text {n}".encode(), "a.txt")) for n in range(6)]
    most = 0
    while not all(task.done() for task in reading):
        most = max(most, len(list_readers()))
        await asyncio.sleep(0.01)
    assert most == 2
    assert [texts(task.result()) for task in reading] == [[f"text {n}"] for n in range(6)]


async def test_a_reader_knows_nothing_of_the_service(extractor: DocumentExtractor) -> None:
    """Neither its secrets, nor its framework."""
    reading = asyncio.create_task(read(extractor, b"hello " * 500_000, "a.md"))
    [process] = await eventually(list_readers)
    assert set(process.environ()) <= {"PATH", "LANG", "LC_CTYPE"}
    assert not [each for each in process.open_files() if "db.sqlite3" in each.path]
    assert process.cwd() == "/"
    score = Path(f"/proc/{process.pid}/oom_score_adj")
    await eventually(lambda: score.read_text() == "1000\n")  # it is the one to go
    await reading


PROGRAM = """
import sys
import uvloop
from pathlib import Path
from prompts.adapters.extraction.extractor import DocumentExtractor

async def give():
    yield b"# Hello"

async def main():
    print(await DocumentExtractor(Path(sys.argv[1])).extract(give(), filename="a.md"))

uvloop.run(main())
"""


async def test_it_works_on_the_event_loop_of_the_service(spool: Path) -> None:
    command = (sys.executable, "-c", PROGRAM, str(spool))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=REPO_ROOT)
    said, _ = await process.communicate()
    assert "text='Hello', kind='heading', level=1" in said.decode()


async def test_a_hundred_thousand_rows_are_read(extractor: DocumentExtractor) -> None:
    content = "id,name,city\n" + "".join(f"{n},person {n},Bergen\n" for n in range(100_000))
    blocks = await read(extractor, content.encode(), "a.csv")
    assert len(blocks) == 100_000
    assert blocks[-1] == Block("id: 99999; name: person 99999; city: Bergen", "table")
