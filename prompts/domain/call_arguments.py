"""Pure: the arguments of calls, as a model writes them (JSON, mostly) and as an item holds them (an object)."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from prompts.domain.items import ShellAction
from prompts.domain.nesting import is_too_deep

encode = msgspec.json.Encoder().encode
# Reads all of it, and makes nothing of it.
_check_json = msgspec.json.Decoder(msgspec.Raw).decode

# An object that a model means is far below.
MAX_OBJECT_CHARACTERS = 1_000_000
MAX_NESTED = 10_000
# Names that models know from other shells, the one of the item first.
_DIRECTORIES = ("working_directory", "workdir", "cwd")
_TIMEOUTS = ("timeout_ms", "timeout")
# A command that is one string needs a shell to read it.
_SHELL = ("bash", "-lc")


def is_json(text: str) -> bool:
    """Whether it is a whole JSON document; one that is nested too deeply is none."""
    if is_too_deep(text):
        return False
    try:
        _check_json(text)
    except (msgspec.DecodeError, UnicodeError):
        return False
    return True


def read_arguments(text: str) -> Any:
    """The object that a model wrote; its text when it is none, or none that anybody means, so that nothing is lost."""
    if len(text) > MAX_OBJECT_CHARACTERS or text.count("{") + text.count("[") > MAX_NESTED or is_too_deep(text):
        return text
    try:
        value = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, UnicodeError):
        return text
    return value if isinstance(value, dict) else text


def write_arguments(arguments: Any) -> str:
    """What `read_arguments` was given, in its shortest form."""
    return arguments if isinstance(arguments, str) else encode(arguments).decode()


def read_action(text: str) -> ShellAction:
    """The command that a model wrote. What cannot be read as one is no command: the client's answer tells the model."""
    given = read_arguments(text)
    if not isinstance(given, dict):
        return ShellAction([])
    env = given.get("env")
    return ShellAction(
        _read_command(given.get("command")),
        env={name: str(value) for name, value in env.items()} if isinstance(env, dict) else {},
        timeout_ms=_read_timeout(given),
        user=_read_text(given, ("user",)),
        working_directory=_read_text(given, _DIRECTORIES),
    )


def write_action(action: ShellAction) -> str:
    """The action as a model would write it."""
    given = {name: value for name, value in msgspec.to_builtins(action).items() if name != "type" and value != {}}
    return encode(given).decode()


def _read_command(given: Any) -> list[str]:
    if isinstance(given, str):
        return [*_SHELL, given] if given else []
    return (
        [word if isinstance(word, str) else encode(word).decode() for word in given] if isinstance(given, list) else []
    )


def _read_timeout(given: dict[str, Any]) -> int | UnsetType:
    value = next((given[name] for name in _TIMEOUTS if given.get(name) is not None), None)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if is_number and value is not None and 0 <= value < 2**53 else UNSET


def _read_text(given: dict[str, Any], names: tuple[str, ...]) -> str | UnsetType:
    return next((value for name in names if isinstance(value := given.get(name), str) and value), UNSET)
