"""`manage.py configure codex` writes Codex's file, and never loses what is in it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from config.codex import compose_settings
from tests.support.processes import REPO_ROOT
from tests.support.service import MAX_COMMAND_S

URL = "https://eps.example.com/v1"


def configure(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it with nothing else configured: it needs no server and no secret."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **variables}
    command = [sys.executable, "manage.py", "configure", "codex", *arguments]
    return subprocess.run(
        command, cwd=REPO_ROOT, env=environment, capture_output=True, text=True, timeout=MAX_COMMAND_S, check=False
    )


def test_it_writes_the_file_that_codex_reads(tmp_path: Path) -> None:
    done = configure(tmp_path, "--base-url", URL, "--model", "llama3.2")
    path = tmp_path / ".codex/config.toml"
    assert done.stdout == f"{path} points Codex to {URL}. Put the API key into EPS_API_KEY.\n", done.stderr
    assert tomllib.loads(path.read_text()) == compose_settings(URL, "llama3.2")
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.long
def test_defaults_are_those_of_the_service(tmp_path: Path) -> None:
    done = configure(tmp_path, "--print", PORT="8111", DEFAULT_MODEL="stand-in")
    assert tomllib.loads(done.stdout) == compose_settings("http://127.0.0.1:8111/v1", "stand-in")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("existing_mode", [None, 0o644])
def test_a_file_with_a_key_is_its_owners_only(tmp_path: Path, existing_mode: int | None) -> None:
    path = tmp_path / "codex home/config.toml"
    if existing_mode:
        path.parent.mkdir()
        path.touch(existing_mode)
    configure(tmp_path, "--key", "eps-secret", CODEX_HOME=str(path.parent))
    assert tomllib.loads(path.read_text())["model_providers"]["eps"]["experimental_bearer_token"] == "eps-secret"
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_providers_file_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text('model_provider = "other"\n')
    done = configure(tmp_path, "--path", str(path))
    assert done.returncode == 1
    assert "was not changed: it already has model_provider. Remove that" in done.stderr
    assert path.read_text() == 'model_provider = "other"\n'


@pytest.mark.long
def test_a_file_in_the_dotfiles_is_written_through_its_link(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles.toml", tmp_path / "config.toml"
    real.write_text("# mine\n")
    link.symlink_to(real)
    configure(tmp_path, "--path", str(link), "--key-variable", "MY_KEY")
    assert link.is_symlink()
    assert real.read_text().startswith("# mine\n")
    assert tomllib.loads(real.read_text())["model_providers"]["eps"]["env_key"] == "MY_KEY"
