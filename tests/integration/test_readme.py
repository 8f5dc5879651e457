"""README.md is true: its examples run, its settings are the settings, its commands exist."""

import re
import subprocess
import sys

import pytest

from tests.support.processes import REPO_ROOT
from tests.support.service import Service

README = (REPO_ROOT / "README.md").read_text("utf-8")
# An example asks the stand-in one or two questions.
MAX_EXAMPLE_S = 30


def example(language: str, containing: str) -> str:
    """The only fenced block of this language that contains this text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    [found] = [block for block in blocks if containing in block]
    return str(found)


def test_the_sdk_example_runs(service: Service) -> None:
    code = example("python", "from openai import OpenAI")
    code = code.replace("http://127.0.0.1:8000", service.url).replace(
        "the key that make run printed", service.alice_key
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=MAX_EXAMPLE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Your name is Ada." in done.stdout


def test_the_curl_example_runs(service: Service) -> None:
    command = example("sh", "curl -N").replace("http://127.0.0.1:8000", service.url)
    done = subprocess.run(
        ["bash", "-c", command],
        env={"KEY": service.alice_key, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=MAX_EXAMPLE_S,
        check=False,
    )
    assert "event: response.completed" in done.stdout, done.stderr
    assert done.stdout.endswith("data: [DONE]\n\n")


def test_the_table_of_settings_is_what_is_read() -> None:
    sources = [(REPO_ROOT / "config" / name).read_text("utf-8") for name in ("settings.py", "gunicorn.py")]
    read = set(re.findall(r'\benv\.\w+\(\s*"([A-Z_]+)"', "".join(sources)))
    table = README.partition("## Settings")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)) == read


@pytest.mark.parametrize("name", sorted(set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))))
def test_its_make_commands_exist(name: str) -> None:
    makefile = (REPO_ROOT / "Makefile").read_text("utf-8")
    assert re.search(rf"^{name}:", makefile, re.MULTILINE), name
