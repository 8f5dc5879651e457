"""Typed readers for the environment. A wrong value stops the process with the variable's name.

`NAME` may also be given as `NAME_FILE`, the path of a file that holds the value (Kubernetes secrets); its last newline
is cut. An empty variable counts as unset: `NAME= make run` uses the default.
"""

import json
import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config.redis_address import InvalidAddressError, parse_address


def find_text(name: str) -> str | None:
    """The variable's value; None when neither `NAME` nor `NAME_FILE` has one."""
    value = os.environ.get(name)
    if value:
        return value
    path = os.environ.get(f"{name}_FILE")
    return (_read(name, path) or None) if path else None


def text(name: str, default: str) -> str:
    """The variable's value, unchanged."""
    value = find_text(name)
    return default if value is None else value


def secret(name: str, *, min_characters: int) -> str:
    """A secret; empty when it is not set, for commands that need none. Its value is in no message."""
    value = text(name, "")
    if 0 < len(value) < min_characters:
        raise ImproperlyConfigured(
            f"{name} has {len(value)} characters and must have at least {min_characters}. A random one: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(64))'"
        )
    return value


def words(name: str, default: list[str]) -> list[str]:
    """A comma-separated list, without blanks around the words."""
    value = find_text(name)
    return default if value is None else [word.strip() for word in value.split(",") if word.strip()]


def flag(name: str, default: bool) -> bool:
    """`1 true yes on` or `0 false no off`, in any case."""
    value = find_text(name)
    if value is None:
        return default
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def integer(name: str, default: int, *, minimum: int = 0) -> int:
    """A whole number, at least `minimum`."""
    value = find_text(name)
    if value is None:
        return default
    return int(_number(name, value, minimum, whole=True))


def seconds(name: str, default: float, *, minimum: float = 0.05) -> float:
    """A duration in seconds, at least `minimum`."""
    value = find_text(name)
    return default if value is None else _number(name, value, minimum, whole=False)


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of `allowed`."""
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def json_object(name: str) -> dict[str, Any]:
    """A JSON object; empty by default."""
    value = text(name, "{}")
    try:
        decoded = json.loads(value)
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name} must be a JSON object: {exc}.") from None
    if not isinstance(decoded, dict):
        raise ImproperlyConfigured(f"{name} must be a JSON object, not {value!r}.")
    return decoded


def json_strings(name: str) -> dict[str, str]:
    """A JSON object whose values are strings that are not empty; empty by default."""
    decoded = json_object(name)
    if not all(isinstance(value, str) and value for value in decoded.values()):
        raise ImproperlyConfigured(f"{name} must be a JSON object of strings, not {text(name, '')!r}.")
    return decoded


def redis_url(name: str, default: str) -> str:
    """An address in a form of `redis_address`: of a server or of Sentinels."""
    value = text(name, default)
    try:
        parse_address(value)
    except InvalidAddressError as exc:
        raise ImproperlyConfigured(f"{name} {exc}") from None
    return value


def _number(name: str, value: str, minimum: float, *, whole: bool) -> float:
    try:
        number = int(value) if whole else float(value)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise ImproperlyConfigured(f"{name} must be {kind}, not {value!r}.") from None
    if not minimum <= number < float("inf"):
        raise ImproperlyConfigured(f"{name} must be at least {minimum}, not {value!r}.")
    return number


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as exc:
        raise ImproperlyConfigured(f"{name}_FILE names {path!r}, which cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise ImproperlyConfigured(f"{name}_FILE names {path!r}, which is not text in UTF-8.") from exc
