"""README.md is true: its examples run, its settings are the settings, its commands exist."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from tests.support.processes import REPO_ROOT
from tests.support.service import Service
from tests.support.turns import ask, make_conversation

README = (REPO_ROOT / "README.md").read_text("utf-8")
SETTINGS = (REPO_ROOT / "docs" / "settings.md").read_text("utf-8")
ARCHITECTURE = (REPO_ROOT / "docs" / "architecture.md").read_text("utf-8")
PAGES = [REPO_ROOT / "README.md", REPO_ROOT / "CONTRIBUTING.md", *REPO_ROOT.glob("docs/**/*.md")]
# An example asks the stand-in one or two questions.
MAX_EXAMPLE_S = 30


def example(language: str, containing: str) -> str:
    """The only fenced block of this language that contains this text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    [found] = [block for block in blocks if containing in block]
    return str(found)


def test_the_sdk_examples_run(service: Service) -> None:
    code = example("python", "from openai import OpenAI") + example("python", "file_search")
    code = code.replace("http://127.0.0.1:8000", service.url).replace(
        "the key that make run printed", service.alice_key
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=MAX_EXAMPLE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Your name is Ada." in done.stdout
    assert done.stdout.endswith("The notice period for the Berlin office is three months. lease.md\n")


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


def read_settings() -> Iterator[tuple[str, str]]:
    """Each variable that the settings read, with its default in the code."""
    for name in ("settings.py", "gunicorn.py"):
        for node in ast.walk(ast.parse((REPO_ROOT / "config" / name).read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("env."):
                variable, *defaults = map(ast.unparse, node.args)
                yield ast.literal_eval(variable), defaults[0] if defaults else "None"


def write_default(code: str) -> str:
    """The beginning of the page's cell for this default; anything when the default depends on other settings."""
    try:
        value = ast.literal_eval(code)
    except ValueError:
        return ""
    match value:
        case None | "" | []:
            return "none"
        case bool():
            return f"`{value}`".lower()
        case int() | float():
            return f"`{value:.15g}`"
        case list():
            return f"`{','.join(value)}`"
    return f"`{value}`"


def read_table() -> dict[str, str]:
    """Variable → default, from the page."""
    return dict(re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \|", SETTINGS, re.MULTILINE))


def test_the_table_of_settings_is_what_is_read() -> None:
    assert set(read_table()) == {name for name, _ in read_settings()}


@pytest.mark.parametrize(("name", "default"), sorted(set(read_settings())))
def test_a_default_is_that_of_the_code(name: str, default: str) -> None:
    assert read_table()[name].startswith(write_default(default))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_make_commands_exist(page: Path) -> None:
    makefile = (REPO_ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE))
    assert named <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def list_key_patterns() -> list[re.Pattern[str]]:
    """The keys in the architecture's table; a name in angle brackets matches anything."""
    rows = re.findall(r"^\| `(eps:.*?)` \|", ARCHITECTURE, re.MULTILINE)
    parts = [re.split(r"<\w+>", row.replace("{pp}", "{<partition>}")) for row in rows]
    return [re.compile(".+".join(map(re.escape, part))) for part in parts]


async def test_every_key_is_in_the_table_of_keys(service: Service, http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    await ask(http, "My name is Ada.", conversation=conversation_id)
    first = (await ask(http, "Hello")).json()
    await ask(http, "Hello again", previous_response_id=first["id"])
    await http.post("/v1/responses", json={"input": "Once"}, headers={"Idempotency-Key": conversation_id})
    await http.post("/v1/responses", json={"input": "Not kept", "store": False})
    await http.post(f"/v1/conversations/{conversation_id}/fork")
    items = (await http.get(f"/v1/conversations/{conversation_id}/items")).json()["data"]
    await http.delete(f"/v1/conversations/{conversation_id}/items/{items[0]['id']}")
    async with Redis.from_url(service.valkey.url) as redis:
        keys = [key.decode() async for key in redis.scan_iter(match="eps:*", count=1000)]
    patterns = list_key_patterns()
    assert len(keys) > len(patterns) > 10
    assert {key for key in keys if not any(pattern.fullmatch(key) for pattern in patterns)} == set()
