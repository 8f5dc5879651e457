"""The page of clients says what the tests run: versions as pinned, ways to remember, and lines of configuration."""

import json
import re
from pathlib import Path

import pytest

from tests.clients.matrix.clients import CLIENTS, Client
from tests.support.processes import REPO_ROOT

PAGE = (REPO_ROOT / "docs/works-with.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| [")]
FENCE = re.compile(r"^```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DRIVERS = {"python": "talk.py", "node": "talk.mjs", "go": "main.go", "java": "src/main/java/Talk.java"}


def read_version(client: Client) -> str:
    """The version that is pinned in the client's folder."""
    match client.language:
        case "python":
            pattern, lock = rf"^{client.package}==(\S+)", "requirements.txt"
        case "go":
            pattern, lock = rf"{client.package} v(\S+)", "go.mod"
        case "java":
            pattern, lock = rf"<artifactId>{client.package}</artifactId>\s*<version>(.*)</version>", "pom.xml"
        case _:
            return read_npm_version(client.source, client.package)
    return read_pin(pattern, client.source / lock)


def read_npm_version(folder: Path, package: str) -> str:
    """The version in a `package.json`."""
    return str(json.loads((folder / "package.json").read_text("utf-8"))["dependencies"][package])


def read_pin(pattern: str, lock: Path) -> str:
    """What the pattern finds in a lock file."""
    found = re.search(pattern, lock.read_text("utf-8"), re.MULTILINE)
    assert found is not None, lock
    return found[1]


def find_section(client: Client) -> str:
    """What the page says about a client, below its heading."""
    [title] = [re.findall(r"\[(.*?)\]", cells[0])[0] for cells in ROWS if f"`{client.package}` " in cells[1]]
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_client_has_its_row_with_the_version_that_is_tested() -> None:
    tested = {f"`{client.package}` {read_version(client)}" for client in CLIENTS}
    assert {cells[1] for cells in ROWS} == tested


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.folder)
def test_its_row_says_in_which_ways_it_remembers(client: Client) -> None:
    [ways] = [cells[2] for cells in ROWS if f"`{client.package}` " in cells[1]]
    said = [way.strip("`") for way in ways.removesuffix(" |").split(", ")]
    assert said == [way for way in client.ways if "," not in way]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.folder)
def test_its_lines_of_configuration_are_those_of_its_driver(client: Client) -> None:
    [snippet] = FENCE.findall(find_section(client))
    driver = (client.source / DRIVERS[client.language]).read_text("utf-8")
    known = {line.strip() for line in driver.splitlines()}
    assert {line.strip() for line in snippet.splitlines()} - known == set()


@pytest.mark.parametrize("package", ["openai", "openai-agents", "langchain-openai"])
def test_clients_with_tests_of_their_own_have_their_versions(package: str) -> None:
    version = read_pin(rf"^{package}==(\S+)", REPO_ROOT / "requirements-dev.txt")
    assert f"`{package}` {version}" in PAGE


def test_the_ai_sdk_has_its_version() -> None:
    version = read_npm_version(REPO_ROOT / "tests/clients/ai_sdk", "@ai-sdk/openai")
    assert f"`@ai-sdk/openai` {version}" in PAGE
