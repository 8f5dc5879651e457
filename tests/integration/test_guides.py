"""The guides are true: their code runs, page by page, and prints what stands below it; their limits are the code's."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from prompts.api.openapi.refusals import REFUSALS
from tests.support.processes import REPO_ROOT
from tests.support.service import Service

GUIDES = [*sorted((REPO_ROOT / "docs" / "guide").glob("*.md")), REPO_ROOT / "docs" / "prompts.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SETTINGS = dict(
    re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \|", (REPO_ROOT / "docs/settings.md").read_text("utf-8"), re.M)
)
# A page asks the stand-in a few questions, and indexes a small file.
MAX_PAGE_S = 60
MARK = "=== the next block ==="


@dataclass
class Block:
    """Some code of a page, and what it prints."""

    language: str
    code: str
    prints: str = ""


def read_blocks(page: Path) -> list[Block]:
    """The code of a page; each `text` belongs to the block before it."""
    blocks: list[Block] = []
    for language, text in BLOCK.findall(page.read_text("utf-8")):
        if language == "text":
            blocks[-1].prints += text
        else:
            blocks.append(Block(language, text))
    return blocks


def adapt(code: str, service: Service) -> str:
    """The code for this service, and its key."""
    return code.replace("http://127.0.0.1:8000", service.url).replace(
        "the key that make run printed", service.alice_key
    )


def run(command: list[str], service: Service) -> str:
    """What it prints."""
    environment = {"KEY": service.alice_key, "PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=MAX_PAGE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_its_code_prints_what_stands_below_it(page: Path, service: Service) -> None:
    blocks = read_blocks(page)
    assert {block.language for block in blocks} <= {"python", "sh", "json"}
    program = [block for block in blocks if block.language == "python"]
    if program:
        code = f"\nprint({MARK!r})\n".join(adapt(block.code, service) for block in program)
        printed = run([sys.executable, "-c", code], service).split(f"{MARK}\n")
        assert printed == [block.prints for block in program]
    for block in blocks:
        if block.language == "sh":
            assert run(["bash", "-c", adapt(block.code, service)], service).strip() == block.prints.strip()


LIMITS = re.findall(
    r"^\| .+? \| (.+?) \| (?:`([A-Z_]+)`|none.*?) \| (.*) \|$",
    (REPO_ROOT / "docs" / "guide" / "limits.md").read_text("utf-8"),
    re.MULTILINE,
)
CODES = {(str(refusal.shown.status), refusal.code) for refusal in REFUSALS}


@pytest.mark.parametrize(("bound", "setting", "beyond"), LIMITS)
def test_a_limit_names_its_setting_its_default_and_its_error(bound: str, setting: str, beyond: str) -> None:
    for named in re.findall(r"(\d{3}) `(\w+)`", beyond):
        assert named in CODES
    if setting:
        default = re.match(r"`(\d+)`", SETTINGS[setting])
        told = re.match(r"[\d,]+", bound)
        is_other = setting in ("MAX_OWNER_BYTES", "CONVERSATION_RETENTION_S")  # said in words, and in days
        assert is_other or (default and told and told[0].replace(",", "") == default[1])


def test_the_limits_are_found() -> None:
    assert len(LIMITS) > 15
