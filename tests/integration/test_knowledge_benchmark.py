"""`python -m benchmarks.knowledge` and `python -m benchmarks.retrieval` run, and print their tables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import REPO_ROOT


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "rows"),
    [
        (["benchmarks.knowledge", "300"], ["SQLite", "Weaviate, hybrid"]),
        (["benchmarks.retrieval"], ["SQLite, words", "Weaviate, WordLlama, hybrid", "Weaviate, hashed words, hybrid"]),
    ],
)
def test_a_table_is_printed(tmp_path: Path, weaviate_binary: Path, command: list[str], rows: list[str]) -> None:
    environment = {**os.environ, "DATA_DIR": str(tmp_path / "data")}
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bin").symlink_to(weaviate_binary.parent)
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=REPO_ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert [row for row in rows if row not in done.stdout] == []
