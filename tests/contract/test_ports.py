"""The table in the README is complete: every port has a row, and all names in it exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import REPO_ROOT

HERE = REPO_ROOT / "tests" / "contract"
PORTS = REPO_ROOT / "prompts" / "ports"
IMPLEMENTATIONS = [REPO_ROOT / "prompts" / "adapters", PORTS, REPO_ROOT / "tests" / "support" / "fakes"]
NAME = re.compile(r"`(\w+)`")
SUITE = re.compile(r"`(\w+\.py)`")
NONE = re.compile(r"none( yet)?(:|$)")


def find_classes(directory: Path) -> Iterator[ast.ClassDef]:
    """The classes of a directory's modules."""
    for path in directory.rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                yield node


def find_ports() -> set[str]:
    """The Protocols in `prompts/ports/`."""
    return {node.name for node in find_classes(PORTS) if "Protocol" in map(ast.unparse, node.bases)}


def read_rows() -> dict[str, list[str]]:
    """The table: each port's suites, adapters and fake."""
    lines = (HERE / "README.md").read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {port.strip("`"): rest for port, *rest in cells}


ROWS = read_rows()
CLASSES = {node.name for directory in IMPLEMENTATIONS for node in find_classes(directory)}


def test_every_port_has_a_row() -> None:
    assert set(ROWS) == find_ports()


@pytest.mark.parametrize("port", ROWS)
def test_every_name_in_a_row_exists(port: str) -> None:
    suites, adapters, fake = ROWS[port]
    assert NONE.match(suites) or SUITE.findall(suites)
    assert [suite for suite in SUITE.findall(suites) if not (HERE / suite).is_file()] == []
    for cell in (adapters, fake):
        assert NONE.match(cell) or NAME.findall(cell)
        assert NONE.match(cell) or set(NAME.findall(cell)) <= CLASSES


def test_every_suite_is_in_the_table() -> None:
    named = {suite for suites, *_ in ROWS.values() for suite in SUITE.findall(suites)}
    assert {path.name for path in HERE.glob("test_*.py")} - {"test_ports.py"} == named


def test_every_fake_is_in_the_table() -> None:
    fakes = {node.name for node in find_classes(IMPLEMENTATIONS[-1]) if node.name.startswith("Fake")}
    assert {name for *_, fake in ROWS.values() for name in NAME.findall(fake) if name.startswith("Fake")} == fakes
