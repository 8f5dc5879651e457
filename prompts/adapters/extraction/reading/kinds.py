"""What a file is: its content says so before its name."""

import re
import zipfile
from collections.abc import Callable
from pathlib import PurePath
from typing import IO, TypeAlias

from prompts.adapters.extraction.reading import texts, values
from prompts.adapters.extraction.reading.blocks import Blocks
from prompts.ports.text_extractor import UnreadableFile

Reader: TypeAlias = Callable[[IO[bytes], Blocks], None]

HEAD_BYTES = 4096

# What an Office document unpacks to, in all and beside its size: what is far beyond is made to fill a memory.
MAX_UNPACKED_BYTES = 300_000_000
MAX_RATIO = 200
SMALL_BYTES = 20_000_000
MAX_ENTRIES = 10_000
# Where an entity is declared, if anywhere; the format has none, and many of them are a bomb.
DTD_BYTES = 65_536
_DTD = re.compile(rb"<!(?:DOCTYPE|ENTITY)")


# Each library takes a fifth of a second to import: only what is read is paid for.
def _read_pdf(file: IO[bytes], blocks: Blocks) -> None:
    from prompts.adapters.extraction.reading.pdf import read_pdf

    read_pdf(file, blocks)


def _read_docx(file: IO[bytes], blocks: Blocks) -> None:
    from prompts.adapters.extraction.reading.office import read_docx

    read_docx(file, blocks)


def _read_pptx(file: IO[bytes], blocks: Blocks) -> None:
    from prompts.adapters.extraction.reading.office import read_pptx

    read_pptx(file, blocks)


def _read_xlsx(file: IO[bytes], blocks: Blocks) -> None:
    from prompts.adapters.extraction.reading.sheets import read_xlsx

    read_xlsx(file, blocks)


def _read_html(text: str, blocks: Blocks) -> None:
    from prompts.adapters.extraction.reading.pages import read_html

    read_html(text, blocks)


OFFICE: dict[str, Reader] = {
    "word/document.xml": _read_docx,
    "ppt/presentation.xml": _read_pptx,
    "xl/workbook.xml": _read_xlsx,
}
BINARY = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"\x1f\x8b",
    b"BZh",
    b"7z\xbc\xaf",
    b"Rar!",
    b"\x7fELF",
    b"MZ",
    b"\xca\xfe\xba\xbe",
    b"\xfd7zXZ",
    b"OggS",
    b"ID3",
    b"SQLite format 3",
)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
HTML_START = re.compile(
    r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)
HTML_NAMES = {".html", ".htm", ".xhtml"}

TEXTS: dict[str, Callable[[str, Blocks], None]] = {
    **dict.fromkeys((".md", ".markdown", ".mdx"), texts.read_markdown),
    **dict.fromkeys((".csv", ".tsv"), values.read_csv),
    ".json": texts.read_json,
    **dict.fromkeys((".jsonl", ".ndjson"), texts.read_json_lines),
    **dict.fromkeys(
        (
            *(".py", ".pyi", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".java", ".kt", ".scala", ".go", ".rs"),
            *(".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".cs", ".swift", ".m", ".rb", ".php", ".pl", ".lua", ".r"),
            *(".sh", ".bash", ".zsh", ".ps1", ".bat", ".sql", ".css", ".scss", ".less", ".vue", ".svelte"),
            *(".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".tf", ".proto", ".graphql", ".gradle"),
            *(".dockerfile", ".mk", ".cmake", ".tex", ".ex", ".exs", ".erl", ".hs", ".ml", ".clj", ".dart", ".jl"),
        ),
        texts.read_code,
    ),
}


def read_document(file: IO[bytes], filename: str, blocks: Blocks) -> None:
    """All of its text. Raises UnreadableFile, and whatever a library raises at what is broken."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not head:
        raise UnreadableFile("invalid_file", "The file is empty. Send one with content.")
    suffix = PurePath(filename.lower()).suffix
    if (reader := _find_binary_reader(file, head)) is not None:
        file.seek(0)
        reader(file, blocks)
        return
    file.seek(0)
    text = texts.decode(file.read())
    if HTML_START.match(text[:HEAD_BYTES]) or suffix in HTML_NAMES:
        _read_html(text, blocks)
    else:
        TEXTS.get(suffix, texts.read_plain)(text, blocks)


def _find_binary_reader(file: IO[bytes], head: bytes) -> Reader | None:
    """The reader of a format that is no text; None for what may be text."""
    if b"%PDF-" in head[:1024]:
        return _read_pdf
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _find_office_reader(file)
    if head.startswith(OLE):
        file.seek(0)
        if "EncryptedPackage".encode("utf-16-le") in file.read():
            raise UnreadableFile("invalid_file", "The document is locked with a password. Send it without one.")
        message = "This is a file of an old Office. Save it as docx, pptx, xlsx or pdf, and send that."
        raise UnreadableFile("unsupported_file", message)
    if head.startswith(b"{\\rtf"):
        raise UnreadableFile("unsupported_file", "RTF cannot be read here. Save it as docx or pdf, and send that.")
    if head.startswith(BINARY):
        message = f"This kind of file holds no text that can be read here. {texts.KNOWN}"
        raise UnreadableFile("unsupported_file", message)
    return None


def _find_office_reader(file: IO[bytes]) -> Reader:
    try:
        with zipfile.ZipFile(file) as archive:
            names = {entry.filename for entry in archive.infolist()}
            found = [reader for name, reader in OFFICE.items() if name in names]
            if not found or "[Content_Types].xml" not in names:
                raise UnreadableFile("unsupported_file", f"This is an archive. Send the files in it. {texts.KNOWN}")
            _check_archive(archive)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as exc:
        raise UnreadableFile("invalid_file", "The document is broken. Open it, save it again, and send that.") from exc
    return found[0]


def _check_archive(archive: zipfile.ZipFile) -> None:
    """Refuse a bomb before it is unpacked: what an entry unpacks to, no library exceeds."""
    entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries) or 1
    is_bomb = unpacked > SMALL_BYTES and unpacked / packed > MAX_RATIO
    if len(entries) > MAX_ENTRIES or unpacked > MAX_UNPACKED_BYTES or is_bomb:
        raise UnreadableFile("invalid_file", "The document unpacks to far more than it should. Send a smaller one.")
    if any(entry.flag_bits & 1 for entry in entries):
        raise UnreadableFile("invalid_file", "The document is locked with a password. Send it without one.")
    for entry in entries:
        if entry.filename.endswith((".xml", ".rels", ".vml")):
            with archive.open(entry) as part:
                start = part.read(DTD_BYTES).replace(b"\x00", b"")  # in UTF-16, too
            if _DTD.search(start):
                raise UnreadableFile("invalid_file", "The document declares entities, which Office never does.")
