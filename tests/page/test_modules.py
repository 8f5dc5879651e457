"""The page's modules that need no browser, in Node: requests, event streams, following, the pure half of Markdown.

`node --test tests/page/*.test.mjs` runs them without pytest.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.missing import give_up
from tests.support.processes import REPO_ROOT

SUITES = sorted(Path(__file__).parent.glob("*.test.mjs"))
# A suite takes 12 s on an idle machine at most: a million hostile characters in twenty ways.
MAX_SUITE_S = 100


@pytest.mark.parametrize("suite", SUITES, ids=[suite.name for suite in SUITES])
def test_the_suite_passes_in_node(suite: Path) -> None:
    node = shutil.which("node")
    if node is None:
        give_up("there is no Node: the page's modules need `node` (20.19 or newer) on the PATH")
    command = [node, "--test", "--test-reporter=spec", str(suite)]
    done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, timeout=MAX_SUITE_S, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
