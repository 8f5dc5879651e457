"""How a mistake of ours is logged."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from config.logs import logging_config


@pytest.fixture(autouse=True)
def _configured_as_before() -> Iterator[None]:
    """Loggers of other tests keep what they were configured with when they first wrote; that is what is captured."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_holds_no_values(log_format: str) -> None:
    config = logging_config(log_format, "INFO")["formatters"]["structured"]
    formatter = config.pop("()")(**config)
    prompt = "zanzibar"
    with pytest.raises(ValueError, match="invalid literal") as raised:
        int(prompt[:0])
    info = (raised.type, raised.value, raised.value.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "unexpected_error", (), info)
    line = formatter.format(record)
    assert "ValueError: invalid literal" in line
    assert "zanzibar" not in line.replace('prompt = "zanzibar"', "")


def test_a_line_of_ours_looks_like_one_of_a_library(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours goes out directly, a library's through the standard library's logging."""
    config = logging_config("json", "INFO")["formatters"]["structured"]
    formatter = config.pop("()")(**config)
    record = logging.LogRecord("access", logging.INFO, __file__, 1, "seen", (), None)
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger("access").info("seen")
        theirs = json.loads(formatter.format(record))
    [line] = capsys.readouterr().err.splitlines()
    ours = json.loads(line)
    assert theirs.pop("timestamp")[:10] == ours.pop("timestamp")[:10]
    assert ours == theirs == {"event": "seen", "level": "info", "logger": "access", "request_id": "r1"}


@pytest.mark.parametrize("value", ["half a surrogate \ud800", 2**80, object, b"\xff", {1: 2}])
def test_whatever_is_logged_becomes_a_line(capsys: pytest.CaptureFixture[str], value: object) -> None:
    logging_config("json", "INFO")
    structlog.get_logger("access").info("seen", value=value)
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "seen"


def test_a_line_is_as_json_writes_it(capsys: pytest.CaptureFixture[str]) -> None:
    logging_config("json", "INFO")
    values = [
        "",
        'a "quote" \\ \n',
        "ü\u2028\ud800",
        0,
        -1,
        2**70,
        True,
        False,
        None,
        0.1,
        1e300,
        float("nan"),
        -float("inf"),
    ]
    for value in [*values, [1, "two"], {"three": 3}]:
        structlog.get_logger("access").info("seen", value=value)
        [line] = capsys.readouterr().err.splitlines()
        assert line == json.dumps(json.loads(line))
        assert f'"value": {json.dumps(value)}, ' in line


def test_a_line_that_nobody_takes_ends_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    logging_config("json", "INFO")
    structlog.get_logger("access").info("seen")


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logging_config("json", "WARNING")
    structlog.get_logger("access").info("seen")
    logging_config("json", "INFO")
    assert not capsys.readouterr().err
