"""The programs that check manifests: built with Go, or unpacked from a Debian package, into `DATA_DIR/bin`."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from launcher.go_programs import GoBuildError, GoProgram, build_program
from tests.support.processes import REPO_ROOT

BIN_DIR = Path(os.environ.get("DATA_DIR") or REPO_ROOT / ".run") / "bin"
# Each takes less than a minute on two idle cores.
MAX_BUILD_S = 600
KUSTOMIZE = GoProgram("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", "v5.4.3", MAX_BUILD_S)
KUBE_SCORE = GoProgram("kube-score", "github.com/zegl/kube-score/cmd/kube-score", "v1.20.0", MAX_BUILD_S)
# The loader of Docker Compose itself, as a program that prints what it has read.
COMPOSE = GoProgram("compose-go", "github.com/compose-spec/compose-go/v2/cmd", "v2.10.1", MAX_BUILD_S)
MAX_DOWNLOAD_S = 300


class ToolError(Exception):
    """A tool is missing and cannot be had; the message says how to get it."""


def get_go_program(program: GoProgram) -> Path:
    """The program, built if needed. Raises `ToolError`."""
    try:
        return build_program(program, BIN_DIR)
    except GoBuildError as error:
        raise ToolError(str(error)) from error


def get_promtool() -> Path:
    """Prometheus' own checker: on the PATH, else from Debian's package, which is unpacked and not installed.

    Raises `ToolError`.
    """
    if on_path := shutil.which("promtool"):
        return Path(on_path)
    unpacked = BIN_DIR / "promtool"
    if not unpacked.exists():
        _unpack_promtool(unpacked)
    return unpacked


def _unpack_promtool(target: Path) -> None:
    if not shutil.which("apt-get"):
        raise ToolError("promtool is part of Prometheus: put it on the PATH")
    BIN_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BIN_DIR) as directory:
        scratch = Path(directory)
        scratch.chmod(0o755)  # apt downloads as a user of its own
        try:
            _run("apt-get", "download", "prometheus", cwd=scratch)
        except ToolError:
            _run("apt-get", "update", cwd=scratch)
            _run("apt-get", "download", "prometheus", cwd=scratch)
        [package] = scratch.glob("*.deb")
        _run("dpkg-deb", "--extract", str(package), "unpacked", cwd=scratch)
        (scratch / "unpacked/usr/bin/promtool").replace(target)


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=MAX_DOWNLOAD_S, check=False)
    if done.returncode != 0:
        raise ToolError(f"`{' '.join(command)}` failed:\n{done.stderr[-2000:]}")
