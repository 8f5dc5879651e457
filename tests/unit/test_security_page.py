"""docs/security.md is true: each kind of attack names tests, and these exist."""

import re

from tests.support.processes import REPO_ROOT

PAGE = (REPO_ROOT / "docs" / "security.md").read_text("utf-8")
HEAD = "| attack | what stops it | test |"
TESTS = {
    name
    for path in REPO_ROOT.glob("tests/**/test_*.py")
    for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))
}


def list_rows() -> list[list[str]]:
    """The rows of all its tables, without their heads."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    return [cells for cells in rows if cells[0] != "attack"]


def test_every_table_has_the_same_head_and_rows_of_three_cells() -> None:
    assert PAGE.count(HEAD) == PAGE.count("|---|---|---|") > 5
    assert [cells for cells in list_rows() if len(cells) != 3] == []


def test_every_attack_names_tests_that_exist() -> None:
    named = {cells[0]: re.findall(r"`([\w.]+)`", cells[2]) for cells in list_rows()}
    assert [attack for attack, tests in named.items() if not tests] == []
    assert {name for tests in named.values() for name in tests} - TESTS == set()
