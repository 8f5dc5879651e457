"""The readers of the environment return a right value, or an error that names the variable."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env

NAME = "EPS_TEST_VALUE"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the developer's own variables."""
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delenv(f"{NAME}_FILE", raising=False)


READERS: list[tuple[Callable[[], object], object]] = [
    (lambda: env.find_text(NAME), None),
    (lambda: env.text(NAME, "default"), "default"),
    (lambda: env.secret(NAME, min_characters=32), ""),
    (lambda: env.words(NAME, ["default"]), ["default"]),
    (lambda: env.flag(NAME, True), True),
    (lambda: env.integer(NAME, 7), 7),
    (lambda: env.seconds(NAME, 0.5), 0.5),
    (lambda: env.choice(NAME, "a", ("a", "b")), "a"),
    (lambda: env.json_object(NAME), {}),
    (lambda: env.json_strings(NAME), {}),
]


@pytest.mark.parametrize(("read", "default"), READERS)
@pytest.mark.parametrize("value", [None, ""])
def test_unset_and_empty_mean_the_default(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[], object], default: object, value: str | None
) -> None:
    if value is not None:
        monkeypatch.setenv(NAME, value)
    assert read() == default


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (lambda: env.find_text(NAME), " as it is ", " as it is "),
        (lambda: env.text(NAME, "default"), "text", "text"),
        (lambda: env.words(NAME, []), " a, b ,,c,", ["a", "b", "c"]),
        (lambda: env.words(NAME, ["default"]), ",", []),
        *[(lambda: env.flag(NAME, False), value, True) for value in ("1", "true", "YES", "On")],
        *[(lambda: env.flag(NAME, True), value, False) for value in ("0", "False", "NO", "off")],
        (lambda: env.integer(NAME, 7), "42", 42),
        (lambda: env.integer(NAME, 7, minimum=1), "1", 1),
        (lambda: env.seconds(NAME, 7), "0.25", 0.25),
        (lambda: env.seconds(NAME, 7), "3", 3.0),
        (lambda: env.choice(NAME, "a", ("a", "b")), "b", "b"),
        (lambda: env.json_object(NAME), '{"top_k": 5, "a": {"b": null}}', {"top_k": 5, "a": {"b": None}}),
        (lambda: env.json_strings(NAME), '{"gpt": "llama3.2"}', {"gpt": "llama3.2"}),
    ],
)
def test_values(monkeypatch: pytest.MonkeyPatch, read: Callable[[], object], value: str, expected: object) -> None:
    monkeypatch.setenv(NAME, value)
    assert read() == expected


@pytest.mark.parametrize(
    ("read", "value"),
    [
        *[(lambda: env.flag(NAME, False), value) for value in ("maybe", "2", " ")],
        *[(lambda: env.integer(NAME, 7, minimum=2), value) for value in ("1", "-3", "1.5", "two", "1e3", "inf")],
        *[(lambda: env.seconds(NAME, 7), value) for value in ("0", "-1", "nan", "inf", "1e400", "soon", "1s")],
        (lambda: env.choice(NAME, "a", ("a", "b")), "c"),
        *[(lambda: env.json_object(NAME), value) for value in ("[]", "{", "7", "top_k=5")],
        *[(lambda: env.json_strings(NAME), value) for value in ('{"a": 7}', '{"a": ""}', '["a"]')],
    ],
)
def test_a_wrong_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[], object], value: str
) -> None:
    monkeypatch.setenv(NAME, value)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        read()


def test_a_value_from_a_file_loses_its_last_line_end_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    monkeypatch.setenv(f"{NAME}_FILE", str(secret))
    for content, value in ((" ünï\n", " ünï"), ("a\nb\r\n", "a\nb"), ("a", "a")):
        secret.write_bytes(content.encode())
        assert env.find_text(NAME) == value


def test_a_short_secret_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "k" * 31)
    with pytest.raises(ImproperlyConfigured, match="has 31 characters and must have at least 32") as raised:
        env.secret(NAME, min_characters=32)
    assert "kkk" not in str(raised.value)
    monkeypatch.setenv(NAME, "k" * 32)
    assert env.secret(NAME, min_characters=32) == "k" * 32


def test_the_variable_itself_wins_over_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "not there"))
    monkeypatch.setenv(NAME, "text")
    assert env.find_text(NAME) == "text"


@pytest.mark.parametrize("read", [read for read, _ in READERS])
def test_every_reader_reads_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, read: Callable[[], object]) -> None:
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "not there"))
    with pytest.raises(ImproperlyConfigured, match=f"{NAME}_FILE"):
        read()


def test_an_empty_file_means_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "secret"))
    assert env.find_text(NAME) is None
    assert env.text(NAME, "default") == "default"


def test_a_file_that_is_no_text_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xff\xfe")
    monkeypatch.setenv(f"{NAME}_FILE", str(secret))
    with pytest.raises(ImproperlyConfigured, match=f"{NAME}_FILE"):
        env.find_text(NAME)
