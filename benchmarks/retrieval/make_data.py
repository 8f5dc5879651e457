"""Makes `corpus.json.gz` and `vectors.bin.gz`: documents from Python's own documentation, and real vectors of them.

The vectors are those of WordLlama (MIT), a small embedding model that brings its weights in its wheel; it is not among
our packages. In an environment of its own, with Python 3.11:

    pip install wordllama==0.4.0.post1
    python benchmarks/retrieval/make_data.py

Documents are docstrings of the standard library (PSF licence), one file each, and the language reference's topics, cut
into passages. Which of the docstrings beside those that questions ask for are taken is decided by their hash.
"""

import csv
import gzip
import hashlib
import importlib
import inspect
import json
import pydoc_data.topics
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OTHERS = 320
MAX_CHARACTERS = 1_200
MAX_PASSAGES = 8
# Below it a docstring says no more than its name.
MIN_CHARACTERS = 40
MODULES = """
    abc argparse doctest cProfile filecmp array ast asyncio base64 bisect calendar cmath codecs collections
    concurrent.futures configparser contextlib copy csv dataclasses datetime decimal difflib dis email.message
    email.utils enum fileinput fnmatch fractions ftplib functools getpass gettext glob gzip hashlib heapq hmac
    html http.client http.cookies http.server imaplib importlib inspect io ipaddress itertools json linecache
    locale logging logging.handlers lzma mailbox math mimetypes mmap multiprocessing operator os os.path
    pathlib pickle platform poplib pprint queue random re sched secrets select selectors shelve shlex shutil
    signal smtplib socket socketserver sqlite3 ssl statistics string struct subprocess symtable sys tarfile
    tempfile textwrap threading time timeit token tokenize traceback types typing unicodedata unittest
    unittest.mock urllib.parse urllib.request uuid warnings weakref webbrowser xml.dom.minidom
    xml.etree.ElementTree xml.sax.saxutils zipfile zlib
""".split()


def main() -> None:
    """Write both files."""
    from wordllama import WordLlama  # type: ignore[import-not-found]  # not one of our packages

    package = Path(importlib.import_module("wordllama").__file__ or "").parent
    model = WordLlama.load(cache_dir=package, disable_download=True)
    with (HERE / "questions.tsv").open(encoding="utf-8") as file:
        questions = [(wanted, question) for wanted, question in csv.reader(file, delimiter="\t")]
    documents = list(choose_documents({wanted for wanted, _ in questions}))
    texts = [f"{heading}\n{text}" for _, heading, passages in documents for text in passages]
    texts += [question for _, question in questions]
    vectors = model.embed(texts, norm=True)
    packed = (vectors / abs(vectors).max(axis=1, keepdims=True) * 127).round().astype("int8").tobytes()
    write(HERE / "corpus.json.gz", json.dumps(documents, ensure_ascii=False, indent=0).encode())
    write(HERE / "vectors.bin.gz", packed)
    print(f"{len(documents)} documents, {len(texts) - len(questions)} passages, {len(questions)} questions")


def choose_documents(wanted: set[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Name, heading and passages of each document; first those that are asked for."""
    found = dict(list_documents())
    missing = wanted - found.keys()
    assert not missing, missing
    by_hash = sorted(found.keys() - wanted, key=lambda name: hashlib.sha256(name.encode()).digest())
    topics = [name for name in by_hash if name.startswith("topic:")]
    others = [name for name in by_hash if not name.startswith("topic:")]
    for name in [*sorted(wanted), *topics, *others[:OTHERS]]:
        heading = " › ".join(name.removeprefix("topic:").replace("-", " ").split("."))
        yield name, heading, list(cut(found[name]))[:MAX_PASSAGES]


def list_documents() -> Iterator[tuple[str, str]]:
    """Every topic, and every public docstring that says something; one that several names have, under the first."""
    for name, text in pydoc_data.topics.topics.items():
        yield f"topic:{name}", text.strip().replace("*", "")
    seen: set[str] = set()
    for module_name in MODULES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(module_name)
        for name, value in sorted(vars(module).items()):
            text = (inspect.getdoc(value) or "").strip() if is_documented(name, value) else ""
            if len(text) >= MIN_CHARACTERS and text not in seen:
                seen.add(text)
                yield f"{module_name}.{name}", text


def is_documented(name: str, value: Any) -> bool:
    """Whether it is something public with a docstring of its own."""
    return not name.startswith("_") and (inspect.isroutine(value) or inspect.isclass(value)) and not is_error(value)


def is_error(value: Any) -> bool:
    """Exceptions say little of themselves."""
    return inspect.isclass(value) and issubclass(value, BaseException)


def cut(text: str) -> Iterator[str]:
    """Passages of whole paragraphs."""
    passage = ""
    for paragraph in text.split("\n\n"):
        if passage and len(passage) + len(paragraph) > MAX_CHARACTERS:
            yield passage
            passage = ""
        passage = f"{passage}\n\n{paragraph}".strip()
    if passage:
        yield passage


def write(path: Path, data: bytes) -> None:
    """Compressed, the same bytes each time."""
    path.write_bytes(gzip.compress(data, 9, mtime=0))


if __name__ == "__main__":
    main()
