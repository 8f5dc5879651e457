"""Programs that `go install` builds once, into a directory, under a name that contains their version."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class GoBuildError(Exception):
    """The program could not be built; the message says why."""


@dataclass(frozen=True)
class GoProgram:
    """What `go install PACKAGE@VERSION` builds. `max_build_s` allows for a cold build on a busy machine."""

    binary: str
    package: str
    version: str
    max_build_s: int
    needs_c: bool = False

    def path(self, bin_dir: Path) -> Path:
        """The binary's path in `bin_dir`. The name contains the version: a new version is built anew."""
        return bin_dir / f"{self.binary}-{self.version}"


def build_program(program: GoProgram, bin_dir: Path) -> Path:
    """Build it into `bin_dir` unless it is there. Concurrent builds wait for the first one.

    Raises `GoBuildError`.
    """
    built = program.path(bin_dir)
    if built.exists():
        return built
    bin_dir.mkdir(parents=True, exist_ok=True)
    with _lock(bin_dir / f"{program.binary}.lock"):
        if not built.exists():
            _build(program, built)
    return built


def _build(program: GoProgram, built: Path) -> None:
    if shutil.which("go") is None:
        raise GoBuildError(f"{program.binary} is built with Go, and there is no `go` here")
    with tempfile.TemporaryDirectory(dir=built.parent) as scratch:
        _go_install(program, Path(scratch).resolve())
        # Rename into place: an interrupted build leaves no partial binary.
        [binary] = Path(scratch).iterdir()
        binary.replace(built)


def _go_install(program: GoProgram, gobin: Path) -> None:
    environment = os.environ | {"CGO_ENABLED": "1" if program.needs_c else "0", "GOBIN": str(gobin)}
    command = ["go", "install", f"{program.package}@{program.version}"]
    try:
        subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=program.max_build_s, check=True
        )
    except subprocess.CalledProcessError as error:
        raise GoBuildError(f"`{' '.join(command)}` failed:\n{error.stderr[-2000:]}") from error
    except subprocess.TimeoutExpired as error:
        raise GoBuildError(f"`{' '.join(command)}` took more than {program.max_build_s} s") from error


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
