"""The settings that point Codex here, in a file that has other settings."""

import tomllib
from typing import Any

import pytest

from config.codex import CannotConfigureError, add_settings, compose_arguments, compose_settings
from tests.support.processes import REPO_ROOT

URL = "http://127.0.0.1:8000/v1"
OURS = compose_settings(URL, "stand-in")
# What Codex itself and people write into it.
OTHERS = """# mine
approval_policy = "never" # always

[model_providers.other]
name = "Other"

[projects."/work"]
trust_level = "trusted"
"""


def read(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def test_an_empty_file_holds_the_settings_and_no_more() -> None:
    assert read(add_settings("", OURS)) == OURS


def test_what_else_is_in_the_file_stays() -> None:
    written = add_settings(OTHERS, OURS)
    settings = read(written)
    assert settings["model_providers"].pop("eps") == OURS["model_providers"]["eps"]
    assert (settings.pop("model"), settings.pop("model_provider")) == ("stand-in", "eps")
    assert settings == read(OTHERS)
    assert all(line in written for line in OTHERS.splitlines())


def test_our_own_settings_are_written_again() -> None:
    first = add_settings(OTHERS, compose_settings("http://old/v1/", "old", key="secret"))
    assert read(first)["model_providers"]["eps"]["experimental_bearer_token"] == "secret"
    assert read(add_settings(first, OURS)) == read(add_settings(OTHERS, OURS))


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ('model = "gpt-5"', "model"),
        ('model_provider = "other"', "model_provider"),
        ('[model_providers.eps]\nname = "Somebody\'s"', "model_providers.eps"),
        ("model = ", "TOML"),
    ],
)
def test_a_file_that_would_lose_something_is_refused(text: str, taken: str) -> None:
    with pytest.raises(CannotConfigureError, match=taken):
        add_settings(text, OURS)


def test_arguments_say_the_same_as_the_file() -> None:
    arguments = compose_arguments(OURS)
    assert arguments[::2] == ["-c"] * 3
    assert read("\n".join(arguments[1::2])) == OURS


def test_without_a_model_codex_keeps_its_own() -> None:
    assert "model" not in read(add_settings("", compose_settings(URL, None)))


def test_the_guide_shows_what_is_written() -> None:
    page = (REPO_ROOT / "docs/works-with.md").read_text()
    _, _, section = page.partition("## Codex CLI\n")
    shown = section.partition("```toml\n")[2].partition("```")[0]
    assert shown == add_settings("", compose_settings(URL, "llama3.2"))
