"""The pages are true: every link works, every name exists, and the tables match the code."""

import re
from collections.abc import Iterator
from typing import Any, cast

import pytest

from prompts.api.openapi.event_stream import EVENT_STREAM
from prompts.api.urls import schema
from prompts.domain.item_kinds import ITEM_ID_PREFIXES, KINDS_BY_TYPE
from prompts.errors import NotFound, ServiceError
from tests.support.processes import REPO_ROOT

FOLDERS = ("benchmarks", "config", "docs", "health", "k8s", "launcher", "prompts", "standin", "tests")
# Not every page in these folders: npm installs pages of others under tests/clients.
PLACES = ("*.md", "docs/**/*.md", "*/README.md", "tests/*/README.md")
PAGES = {
    str(path.relative_to(REPO_ROOT)): path.read_text("utf-8") for place in PLACES for path in REPO_ROOT.glob(place)
}
SOURCES = ("*.py", "*.toml", "Makefile", *(f"{folder}/**/*.{kind}" for folder in FOLDERS for kind in ("py", "lua")))
FILE_NAMES = {path.name for place in ("*", *(f"{folder}/**/*" for folder in FOLDERS)) for path in REPO_ROOT.glob(place)}
MAX_README_LINES = 150

FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w./*-]*")
FILE_NAME = re.compile(r"`([\w-]+\.(?:py|lua|md|toml|txt|in|yaml))`")
WORD = re.compile(r"`([A-Za-z]\w*[A-Za-z0-9])(?:\(\))?`")
OPERATION = re.compile(r"\b(GET|POST|PUT|DELETE)\b")
# Names on these pages must exist in the code. Other pages also name things of clients and servers.
PAGES_ABOUT_CODE = ("CONTRIBUTING.md", "docs/architecture.md")


def find_anchors(page: str) -> set[str]:
    """GitHub's anchors of the headings."""
    return {make_anchor(heading) for heading in HEADING.findall(FENCE.sub("", page))}


def make_anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def list_tables(page: str) -> Iterator[list[str]]:
    """The rows of all tables, as cells."""
    for line in page.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def read_operations(page: str) -> set[tuple[str, str]]:
    """Method and path of each row whose first cell names an endpoint. The names of ids are removed.

    A path that ends with an ellipsis stands for all that begin so: of one method, or of all.
    """
    operations = set()
    for cells in list_tables(page):
        if path := re.search(r"(/v1/[\w/{}-]*)(…?)", cells[0]):
            without_names, methods = re.sub(r"\{\w*\}", "{}", path[1]), OPERATION.findall(cells[0])
            if path[2]:
                meant = {each for each in list_operations() if each[1].startswith(without_names)}
                operations |= {each for each in meant if each[0] in methods or not methods} or {("", path[0])}
            else:
                operations |= {(method, without_names) for method in methods}
    return operations


def list_operations() -> set[tuple[str, str]]:
    """The same for the endpoints that are served."""
    paths = cast("dict[str, Any]", schema.convert()["paths"])
    return {
        (method.upper(), re.sub(r"\{\w*\}", "{}", path))
        for path, item in paths.items()
        for method in item
        if OPERATION.fullmatch(method.upper())
    }


def list_errors(error: type[ServiceError] = ServiceError) -> set[tuple[int, str]]:
    """Status and code of every error that has a code of its own."""
    below = {pair for each in error.__subclasses__() if each is not NotFound for pair in list_errors(each)}
    return below | {(error.status, error.code)}


def list_absences() -> set[tuple[int, str]]:
    """The codes of objects that are not found; the code that raises the error names them."""
    sources = [path.read_text("utf-8") for path in REPO_ROOT.glob("prompts/**/*.py")]
    return {(404, code) for code in re.findall(r'code="(\w+)"', "".join(sources))}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for target in LINK.findall(FENCE.sub("", PAGES[name])):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        path = (REPO_ROOT / name).parent / file if file else REPO_ROOT / name
        assert path.exists(), target
        assert not anchor or anchor in find_anchors(path.read_text("utf-8")), target


@pytest.mark.parametrize("name", PAGES)
def test_files_that_are_named_exist(name: str) -> None:
    paths = {path.rstrip("./") for path in PATH.findall(PAGES[name])}
    assert {path for path in paths if not any(REPO_ROOT.glob(path))} == set()
    assert set(FILE_NAME.findall(PAGES[name])) - FILE_NAMES == set()


@pytest.mark.parametrize("name", PAGES_ABOUT_CODE)
def test_words_of_the_code_are_in_the_code(name: str) -> None:
    sources = [path for place in SOURCES for path in REPO_ROOT.glob(place)]
    known = set(re.findall(r"\w+", "".join(path.read_text("utf-8") for path in sources)))
    unknown = {word for word in WORD.findall(FENCE.sub("", PAGES[name])) if not (REPO_ROOT / word).exists()} - known
    assert unknown == set()


def test_the_readme_stays_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= MAX_README_LINES


def test_the_contents_of_the_api_name_every_part() -> None:
    page = PAGES["docs/api.md"]
    contents = re.findall(r"^\d+\. \[.*\]\(#(.*)\)$", page, re.MULTILINE)
    assert contents == [make_anchor(each) for each in re.findall(r"^## (.*)$", page, re.MULTILINE)]


@pytest.mark.parametrize("name", ["README.md", "docs/api.md"])
def test_every_endpoint_has_its_row_and_no_row_is_made_up(name: str) -> None:
    assert read_operations(PAGES[name]) == list_operations()


def test_every_error_has_its_row_and_no_row_is_made_up() -> None:
    rows = [cells for cells in list_tables(PAGES["docs/api.md"]) if re.fullmatch(r"[45]\d\d", cells[0])]
    written = {(int(cells[0]), code) for cells in rows for code in re.findall(r"`(\w+)`", cells[1])}
    assert written == list_errors() | list_absences()


def test_every_event_is_named() -> None:
    [content] = EVENT_STREAM.values()
    properties = cast("dict[str, Any]", cast(Any, content.schema).properties)
    names = {str(name).removeprefix("response.") for name in properties["event"].enum} - {"message"}
    assert not names - set(re.findall(r"`([\w.]+)`", PAGES["docs/api.md"]))


def test_every_kind_of_item_is_named_with_the_prefix_of_its_ids() -> None:
    [may_be_sent] = [part for part in PAGES["docs/api.md"].split("\n\n") if part.startswith("**Items**")]
    assert {kind for kind in KINDS_BY_TYPE if f"`{kind}`" not in may_be_sent} == set()
    [words] = [row for row in list_tables(PAGES["docs/architecture.md"]) if row[0] == "item"]
    assert set(re.findall(r"`(\w+)_`", words[2])) == set(ITEM_ID_PREFIXES)
