"""Clients from npm: what a folder's lock file names is installed there, once."""

import shutil
import subprocess
from pathlib import Path

from tests.support.missing import give_up


def install_npm_packages(folder: Path, *, within_s: float) -> Path:
    """Install what the folder's lock file names, and return Node. When either is missing, CI fails and others skip."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        give_up(f"there is no Node: {folder.name} needs `node` (20 or newer) and `npm` on the PATH")
    if not _is_installed(folder):
        command = [npm, "ci", "--loglevel", "error"]
        try:
            subprocess.run(command, cwd=folder, check=True, timeout=within_s, stdin=subprocess.DEVNULL)
        except subprocess.SubprocessError as error:
            give_up(f"{folder.name} could not be installed: {error}")
    return Path(node)


def _is_installed(folder: Path) -> bool:
    """Whether the packages are there and the lock file has not changed since. npm writes its own list last."""
    installed = folder / "node_modules/.package-lock.json"
    return installed.exists() and installed.stat().st_mtime >= (folder / "package-lock.json").stat().st_mtime
