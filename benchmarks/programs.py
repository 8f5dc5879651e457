"""Builds what is compiled, the instant model and the load generator, when their sources are newer."""

import shutil
import subprocess
from pathlib import Path

from launcher.weaviate import get_bin_dir

SOURCES = Path(__file__).parent / "go"
# A cold build, of Go's standard library too, takes half a minute on one core.
MAX_BUILD_S = 300


class BuildError(Exception):
    """A program could not be built; the message says why."""


def build(name: str) -> Path:
    """The path of `bench-<name>`, which is built from `go/<name>`. Raises BuildError."""
    built = get_bin_dir().resolve() / f"bench-{name}"
    newest = max(path.stat().st_mtime for path in SOURCES.rglob("*") if path.is_file())
    if built.exists() and built.stat().st_mtime > newest:
        return built
    if shutil.which("go") is None:
        raise BuildError(
            "The load generator and the model of the benchmark are built with Go, and there is no `go` here."
        )
    command = ["go", "build", "-o", str(built), f"./{name}"]
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, timeout=MAX_BUILD_S, check=False)
    if done.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` failed:\n{done.stderr}")
    return built
