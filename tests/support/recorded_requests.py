"""Requests of clients of others, as they were recorded."""

import json
from typing import Any

from tests.support.processes import REPO_ROOT

RECORDED = REPO_ROOT / "tests/support/recorded"


def read_codex_request() -> dict[str, Any]:
    """A whole body of the Codex CLI: its instructions, its tools, and a turn in which both tools were called."""
    body: dict[str, Any] = json.loads((RECORDED / "codex-0.171-request.json").read_text())
    return body
