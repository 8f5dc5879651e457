"""The page's modules: the pure ones by themselves, and that all of them reach the browser, under hashed names too."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.missing import give_up
from tests.support.processes import REPO_ROOT

STATIC = REPO_ROOT / "prompts/static"
MODULES = STATIC / "page"
PRELOADED = REPO_ROOT / "prompts/templates/page/modules.html"
IMPORT = re.compile(r"""(?:^(?:import|export)\b[^;]*?from\s*|^import\s*)["'](\.[^"']+)["']""", re.MULTILINE)
LAZY_IMPORT = re.compile(r"""\bimport\(["'](\.[^"']+)["']\)""")
# Of the longest suite: a million hostile characters in twenty ways take 12 s on an idle machine.
MAX_S = 100


def list_imports(module: Path) -> Iterator[Path]:
    """What a module imports at once."""
    for name in IMPORT.findall(module.read_text("utf-8")):
        yield (module.parent / name).resolve()


def list_needed(module: Path, found: set[Path] | None = None) -> set[Path]:
    """The module, and all that it needs before it can run."""
    found = set() if found is None else found
    if module not in found:
        found.add(module)
        for each in list_imports(module):
            list_needed(each, found)
    return found


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The static files as the image has them. Those of other packages are left out: it is about the page's."""
    root = tmp_path_factory.mktemp("static")
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    others = [f"--ignore={name}" for name in ("admin", "dmr", "swagger", "redoc", "scalar", "stoplight")]
    subprocess.run(
        [*command, *others], cwd=REPO_ROOT, env={**os.environ, "STATIC_ROOT": str(root)}, check=True, timeout=MAX_S
    )
    return root


@pytest.mark.parametrize("test", sorted((REPO_ROOT / "tests/unit/page").glob("*.test.mjs")), ids=lambda path: path.stem)
def test_the_pure_modules_do_what_they_promise(test: Path) -> None:
    node = shutil.which("node")
    if node is None:
        give_up("there is no Node: the page's modules need `node` (20.19 or newer) on the PATH")
    done = subprocess.run([node, "--test", str(test)], capture_output=True, text=True, timeout=MAX_S, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_page_names_each_module_that_it_needs_so_that_they_come_at_once() -> None:
    named = re.findall(r'modulepreload" href="{% static \'(page/[^\']+)\' %}', PRELOADED.read_text("utf-8"))
    assert set(named) == {str(path.relative_to(STATIC)) for path in list_needed(MODULES / "main.js")}
    assert len(named) == len(set(named))


def test_every_import_of_a_module_is_a_file() -> None:
    for module in MODULES.rglob("*.js"):
        for name in [*IMPORT.findall(module.read_text("utf-8")), *LAZY_IMPORT.findall(module.read_text("utf-8"))]:
            assert (module.parent / name).is_file(), (module, name)


def test_modules_import_each_other_under_hashed_names(collected: Path) -> None:
    hashed = re.compile(r"\.[0-9a-f]{12}\.js$")
    modules = [path for path in (collected / "page").rglob("*.js") if "vendor" not in path.parts]
    assert len(modules) == len([path for path in MODULES.rglob("*.js") if "vendor" not in path.parts])
    for module in modules:
        text = module.read_text("utf-8")
        for name in [*IMPORT.findall(text), *LAZY_IMPORT.findall(text)]:
            assert hashed.search(name), (module, name)
            assert (module.parent / name).is_file(), (module, name)


def test_hashed_files_have_compressed_twins(collected: Path) -> None:
    manifest = json.loads((collected / "staticfiles.json").read_text("utf-8"))
    main = collected / manifest["paths"]["page/main.js"]
    assert main.with_name(f"{main.name}.gz").is_file()
