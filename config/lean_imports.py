"""Leaves out what packages import for features that this service does not use: 19 MB of each worker, and a quarter of
a second of each start.

    openai.types    500 modules, the whole of OpenAI's API as pydantic models and typed dictionaries, and openai.lib,
                    which fills them; this service reads and writes JSON by itself. Each is loaded when somebody asks
                    for it
    redis           OpenTelemetry, for metrics of the driver's own, which nobody turns on here
    structlog       rich and greenlet where something else has installed them; config/logs.py writes plain tracebacks
    uvicorn         its command line; gunicorn starts the workers
    httpcore2       the network below httpx2; the model's client has aiohttp there
    sqlparse        Django takes SQL apart with it in migrations, and nowhere else

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
from threading import RLock
from types import ModuleType

from typing_extensions import override

GATHERING = ("openai.types.", "openai.lib.")
GATHERING_TOP = "uvicorn"
EXTRAS: Mapping[str, Sequence[str]] = {"redis": ("opentelemetry",), "structlog": ("rich", "greenlet")}
# Whoever imports them touches them only when they are needed.
UNTOUCHED = ("httpcore2", "sqlparse")

Origins = Mapping[str, tuple[str, str]]
"""Name → the module below the package that has it, and its name there."""
Gathered = tuple[Origins, Mapping[str, object]]
"""Where its names come from, and its version and the like."""


class LeanFinder(MetaPathFinder):
    """Finds these packages as Python does, and gives them another loader."""

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None for what is found and loaded as ever."""
        is_gathering = fullname == GATHERING_TOP or f"{fullname}.".startswith(GATHERING)
        if not is_gathering and fullname not in (*EXTRAS, *UNTOUCHED):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.submodule_search_locations is None or not isinstance(spec.loader, SourceFileLoader):
            return spec
        if fullname in UNTOUCHED:
            spec.loader = LateLoader(fullname, spec.loader.path)
        elif not is_gathering:
            spec.loader = PlainLoader(fullname, spec.loader.path)
        elif (gathered := find_gathered(spec.loader.get_source(fullname) or "", fullname)) is not None:
            spec.loader = GatheringLoader(fullname, spec.loader.path, gathered)
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

    def __init__(self, fullname: str, path: str, gathered: Gathered) -> None:
        super().__init__(fullname, path)
        self._gathered = gathered

    @override
    def exec_module(self, module: ModuleType) -> None:
        """Instead of running the package's code: any name of it is found when it is asked for."""

        origins, told = self._gathered

        def find(name: str) -> object:
            if name in origins:
                below, original = origins[name]
                value: object = getattr(import_module(f"{module.__name__}.{below}"), original)
            else:
                value = _import_below(module.__name__, name)
            setattr(module, name, value)
            return value

        vars(module).update(told)
        module.__getattr__ = find  # type: ignore[method-assign]  # the function PEP 562 speaks of, of this module alone


class LateLoader(SourceFileLoader):
    """Loads a package when the first name of it is asked for. Python's own does so at its second import already."""

    @override
    def exec_module(self, module: ModuleType) -> None:
        """Run the package's code later, once; who asks meanwhile waits, but for the package itself."""
        run, lock, is_begun = super().exec_module, RLock(), False

        def find(name: str) -> object:
            nonlocal is_begun
            with lock:
                if not is_begun:
                    is_begun = True
                    run(module)
            if name not in vars(module):
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return vars(module)[name]

        module.__getattr__ = find  # type: ignore[method-assign]  # PEP 562's, of this module alone


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


def find_gathered(source: str, package: str) -> Gathered | None:
    """What a package gathers from its own modules, and says of itself; None when it does anything else."""
    origins: dict[str, tuple[str, str]] = {}
    told: dict[str, object] = {}
    for line in ast.parse(source).body:
        match line:
            case ast.ImportFrom(module="__future__"):
                continue
            case ast.Assign([ast.Name(name)], ast.Constant() | ast.List() as value) if _is_special(name):
                told[name] = ast.literal_eval(value)
                continue
            case ast.ImportFrom(module=str(below), level=1):
                pass
            case ast.ImportFrom(module=str(whole), level=0) if whole.startswith(f"{package}."):
                below = whole.removeprefix(f"{package}.")
            case _:
                return None
        if any(each.name == "*" for each in line.names):
            return None
        origins |= {each.asname or each.name: (below, each.name) for each in line.names}
    return origins, told


def _is_special(name: str) -> bool:
    return name.startswith("__")


def _import_below(package: str, name: str) -> ModuleType:
    wanted = f"{package}.{name}"
    if not _is_special(name):
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
