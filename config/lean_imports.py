"""Leaves out what packages import for features that this service does not use: 17 MB of each worker, and a quarter of
a second of each start.

    openai.types    500 modules, the whole of OpenAI's API as pydantic models and typed dictionaries, and openai.lib,
                    which fills them; this service reads and writes JSON by itself. Each is loaded when somebody asks
                    for it
    redis           OpenTelemetry, for metrics of the driver's own, which nobody turns on here
    structlog       rich and greenlet where something else has installed them; config/logs.py writes plain tracebacks

Nothing that a package can do is lost: what was left out at first can still be imported. A release of a package that
loads itself in another way is loaded as ever, and costs its memory; tests/unit/test_lean_imports.py says so.
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

from typing_extensions import override

GATHERING = ("openai.types.", "openai.lib.")
EXTRAS: Mapping[str, Sequence[str]] = {"redis": ("opentelemetry",), "structlog": ("rich", "greenlet")}

Origins = Mapping[str, tuple[str, str]]
"""Name → the module below the package that has it, and its name there."""


class LeanFinder(MetaPathFinder):
    """Finds these packages as Python does, and gives them another loader."""

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None for what is found and loaded as ever."""
        is_gathering = f"{fullname}.".startswith(GATHERING)
        if not is_gathering and fullname not in EXTRAS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.submodule_search_locations is None or not isinstance(spec.loader, SourceFileLoader):
            return spec
        if not is_gathering:
            spec.loader = PlainLoader(fullname, spec.loader.path)
        elif (origins := find_origins(spec.loader.get_source(fullname) or "")) is not None:
            spec.loader = GatheringLoader(fullname, spec.loader.path, origins)
        return spec


class PlainLoader(SourceFileLoader):
    """Loads a package as if its extras were not installed."""

    @override
    def exec_module(self, module: ModuleType) -> None:
        """Run the package's code, which has a way of its own without them."""
        with hidden(EXTRAS[module.__name__]):
            super().exec_module(module)


class GatheringLoader(SourceFileLoader):
    """Loads a package that only gathers names of its modules, without these modules (PEP 562)."""

    def __init__(self, fullname: str, path: str, origins: Origins) -> None:
        super().__init__(fullname, path)
        self._origins = origins

    @override
    def exec_module(self, module: ModuleType) -> None:
        """Instead of running the package's code: any name of it is found when it is asked for."""

        def find(name: str) -> object:
            if name in self._origins:
                below, original = self._origins[name]
                value: object = getattr(import_module(f"{module.__name__}.{below}"), original)
            else:
                value = _import_below(module.__name__, name)
            setattr(module, name, value)
            return value

        module.__getattr__ = find  # type: ignore[method-assign]  # the function PEP 562 speaks of, of this module alone


@contextmanager
def hidden(names: Sequence[str]) -> Iterator[None]:
    """Within it they cannot be imported, unless they were already. Only for a start: it is so in all threads."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None is Python's word for "is not there"
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def find_origins(source: str) -> Origins | None:
    """What a package gathers from its own modules; None when it does anything else."""
    origins: dict[str, tuple[str, str]] = {}
    for line in ast.parse(source).body:
        if not isinstance(line, ast.ImportFrom) or line.module is None:
            return None
        if line.module == "__future__":
            continue
        if line.level != 1 or any(each.name == "*" for each in line.names):
            return None
        origins |= {each.asname or each.name: (line.module, each.name) for each in line.names}
    return origins


def _import_below(package: str, name: str) -> ModuleType:
    wanted = f"{package}.{name}"
    if not name.startswith("__"):
        try:
            return import_module(wanted)
        except ModuleNotFoundError as exc:
            if exc.name != wanted:
                raise
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


def install() -> None:
    """Before the first import of these packages; once a process."""
    if not any(isinstance(finder, LeanFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, LeanFinder())
