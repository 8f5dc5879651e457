"""What a worker does not import, and that it is still there for whoever wants it."""

import os
import subprocess
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import openai.lib
import openai.types
import openai.types.responses
import pytest
import uvicorn

from config.lean_imports import LateLoader, find_gathered, hidden
from tests.support.processes import INHERITED_VARIABLES, REPO_ROOT

LIST_MODULES = "import sys, config.gunicorn, config.asgi; print(*sys.modules)"
# Packages for what is not configured, not asked for yet, or done by another process.
UNUSED = {
    *(
        "boto3",
        "botocore",
        "click",
        "greenlet",
        "grpc",
        "numpy",
        "opentelemetry",
        "psycopg",
        "pygments",
        "rich",
        "weaviate",
    ),
    *("PIL", "docx", "lxml", "openpyxl", "pptx", "pypdf"),
    *("fastapi", "pytest", "requests", "yaml"),
}


def test_a_worker_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    environment = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    settings = {"SECRET_KEY": "a key for tests, which protects nothing", "DATA_DIR": str(tmp_path), "METRICS_PORT": "0"}
    command = [sys.executable, "-c", LIST_MODULES]
    told = subprocess.run(
        command, env=environment | settings, cwd=REPO_ROOT, check=True, capture_output=True, text=True
    )
    modules = told.stdout.split()

    assert "openai.types" in modules
    assert len([each for each in modules if each.startswith("openai.types.")]) < 30, "of more than 500"
    assert not {each.partition(".")[0] for each in modules} & UNUSED
    assert not {"httpcore2._models", "sqlparse.sql", "uvicorn.main"} & {*modules}
    assert len(modules) < 1_650


@pytest.mark.parametrize("package", [openai.lib, openai.types, openai.types.responses, uvicorn])
def test_every_name_of_a_gathering_package_is_there(package: ModuleType) -> None:
    assert package.__file__ is not None
    gathered = find_gathered(Path(package.__file__).read_text("utf-8"), package.__name__)

    assert gathered
    origins, told = gathered
    for name, value in told.items():
        assert getattr(package, name) == value
    for name, (below, original) in origins.items():
        if name == below:
            continue  # one word for a module and for what is in it: either may be there
        found = getattr(package, name)
        assert found is getattr(import_module(f"{package.__name__}.{below}"), original)


def test_a_gathering_package_has_its_modules_and_nothing_else() -> None:
    assert openai.types.vector_stores is sys.modules["openai.types.vector_stores"]
    assert not hasattr(openai.types, "nonsense")


def test_a_package_is_loaded_when_a_name_of_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "below.py").write_text("from late import VALUE\n")
    source = tmp_path / "__init__.py"
    source.write_text("VALUE = 1\nfrom late import below\nRUNS.append(VALUE)\n")
    spec = spec_from_file_location("late", source, submodule_search_locations=[str(tmp_path)])
    assert spec is not None
    spec.loader = LateLoader("late", str(source))
    module = module_from_spec(spec)
    runs: list[int] = []
    vars(module)["RUNS"] = runs
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "late", module)
        spec.loader.exec_module(module)

        assert import_module("late") is module
        assert runs == []
        assert module.below.VALUE == module.VALUE == 1
        assert not hasattr(module, "nonsense")
        assert runs == [1]
        del sys.modules["late.below"]  # a patch would bring it back


@pytest.mark.parametrize(
    "source",
    ["x = 1", "__path__ = find()", "import os", "from . import below", "from .below import *", "from ..above import A"],
)
def test_a_package_that_does_more_than_gathering_is_loaded_as_ever(source: str) -> None:
    assert find_gathered(f"from .below import A\n{source}", "package") is None


def test_what_a_package_gathers() -> None:
    source = "from __future__ import annotations\nfrom .one import A as A, B\nfrom package.two.three import C as D"
    told = '__version__ = "1.0"\n__all__ = ["A", "B", "D"]'

    assert find_gathered(f"{source}\n{told}", "package") == (
        {"A": ("one", "A"), "B": ("one", "B"), "D": ("two.three", "C")},
        {"__version__": "1.0", "__all__": ["A", "B", "D"]},
    )


def test_what_is_hidden_cannot_be_imported_and_then_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)  # a module of Python's own that nobody needs
    with hidden(["tabnanny", "json"]):
        with pytest.raises(ModuleNotFoundError):
            import_module("tabnanny")
        assert import_module("json") is not None, "it was imported before"

    assert import_module("tabnanny") is not None
