"""The variables that each process gets: those it needs, and no other secret of the person's shell."""

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from launcher.child_process import PROJECT_DIR

# What any program may need: where things are, the language, the certificates. DATA_DIR says whose process it is.
FOR_ANY = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|DATA_DIR|VIRTUAL_ENV|(DY)?LD_LIBRARY_PATH|PYTHON\w+|SSL_CERT_(FILE|DIR)"
)
FOR_PROXIES = re.compile(r"(?i:https?_proxy|all_proxy|no_proxy)")
# Go's own settings, and the C compiler's.
FOR_BUILD = re.compile(r"GO\w*|CGO_\w+|CC|CXX")
FOR_MODEL = re.compile(r"STANDIN_\w+|OMP_\w+")
# Traces have variables of their own; docs/settings.md has the rest.
FOR_SERVICE = re.compile(r"OTEL_\w+|GUNICORN_CMD_ARGS")
SETTINGS = (PROJECT_DIR / "config" / "settings.py", PROJECT_DIR / "config" / "gunicorn.py")
READ = re.compile(r'\benv\.\w+\(\s*"(\w+)"')


def choose_for_any() -> Mapping[str, str]:
    """For a program that is told everything on its command line."""
    return _choose(FOR_ANY)


def choose_for_model() -> Mapping[str, str]:
    """For the stand-in, or the small model."""
    return _choose(FOR_ANY, FOR_MODEL)


def choose_for_build() -> Mapping[str, str]:
    """For a program that builds another one."""
    return _choose(FOR_ANY, FOR_PROXIES, FOR_BUILD)


def choose_for_service() -> Mapping[str, str]:
    """For what reads our settings."""
    names = "|".join(find_setting_names())
    return _choose(FOR_ANY, FOR_PROXIES, FOR_SERVICE, re.compile(rf"({names})(_FILE)?"))


@cache
def find_setting_names() -> tuple[str, ...]:
    """The variables of the settings. They are read from the source: to load the settings takes Django, and a key."""
    return tuple(name for path in SETTINGS for name in READ.findall(_read(path)))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _choose(*patterns: re.Pattern[str]) -> Mapping[str, str]:
    wanted = [pattern.fullmatch for pattern in patterns]
    return {name: value for name, value in os.environ.items() if any(matches(name) for matches in wanted)}
