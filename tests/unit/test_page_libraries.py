"""The libraries that the page serves are those of the lock file, and carry their licences."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.npm import install_npm_packages
from tests.support.processes import REPO_ROOT

PACKAGE = REPO_ROOT / "vendor"
SERVED = REPO_ROOT / "prompts/static/page/vendor"
# Five packages: 3 s with a warm cache, once. Writing them takes a second.
MAX_INSTALL_S = 90
MAX_BUILD_S = 60


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The libraries, written anew from what the lock file names."""
    node = install_npm_packages(PACKAGE, within_s=MAX_INSTALL_S)
    folder = tmp_path_factory.mktemp("libraries")
    subprocess.run([node, "build.js", str(folder)], cwd=PACKAGE, check=True, timeout=MAX_BUILD_S)
    return folder


def test_the_served_files_are_what_the_lock_file_gives(written: Path) -> None:
    made = {path.name: path.read_bytes() for path in written.iterdir()}
    served = {path.name: path.read_bytes() for path in SERVED.iterdir()}
    assert made.keys() == served.keys()
    assert [name for name, content in made.items() if served[name] != content] == []


def test_every_package_is_pinned_by_version_and_hash() -> None:
    asked = json.loads((PACKAGE / "package.json").read_text("utf-8"))
    assert all(version[0].isdigit() for kind in ("dependencies", "devDependencies") for version in asked[kind].values())
    locked = json.loads((PACKAGE / "package-lock.json").read_text("utf-8"))["packages"]
    assert all(entry["integrity"].startswith("sha512-") for name, entry in locked.items() if name)


def test_every_library_says_what_it_is_and_has_its_licence() -> None:
    locked = json.loads((PACKAGE / "package-lock.json").read_text("utf-8"))["packages"]
    versions = {name.removeprefix("node_modules/"): entry.get("version") for name, entry in locked.items()}
    for library in SERVED.glob("*.js"):
        name, version = library.read_text("utf-8").splitlines()[0].removeprefix("/*! ").split(",")[0].split()
        assert versions[name] == version
        assert "opyright" in (SERVED / f"{library.stem}.LICENSE.txt").read_text("utf-8")
