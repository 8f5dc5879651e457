"""How a mistake of ours is logged."""

import logging

import pytest

from config.logs import logging_config


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
