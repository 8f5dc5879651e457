"""The code of earlier releases, for tests that run two versions side by side."""

import io
import re
import subprocess
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import REPO_ROOT

RELEASES = REPO_ROOT / "docs" / "releases.toml"
# Reading one commit takes well under a second.
MAX_GIT_S = 60


class ReleaseMissing(Exception):
    """This clone does not have the commit of a release. The message says how to get it."""


@dataclass(frozen=True)
class Release:
    """An entry of docs/releases.toml."""

    version: str
    commit: str


def get_last_release(path: Path = RELEASES) -> Release:
    """The newest release, which is what a cluster runs while the working tree is rolled out."""
    return Release(**tomllib.loads(path.read_text("utf-8"))["releases"][-1])


def extract_release(release: Release, directory: Path, *, repository: Path = REPO_ROOT) -> Path:
    """Write the release's files into `directory`, as they were committed. Raises ReleaseMissing."""
    archive = ["git", "-C", str(repository), "archive", "--format=tar", release.commit]
    done = subprocess.run(archive, capture_output=True, timeout=MAX_GIT_S, check=False)
    if done.returncode != 0:
        raise ReleaseMissing(
            f"Release {release.version} is commit {release.commit}, which {repository} does not have "
            f"({done.stderr.decode().strip()}). Use a full clone: `git fetch --unshallow` completes a shallow one."
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
        files.extractall(directory, filter="data")
    return directory


# What the working tree adds to an event or an object. The last release leaves it out, whoever has written the response.
ADDED = (
    (re.compile(rb',"response_id":"resp_[0-9a-f]+"(?=,|})'), b""),  # of content_part events
    (re.compile(rb',"cache_write_tokens":\d+'), b""),  # of usage
    (re.compile(rb'("object":"response.compaction"),"status":"completed"'), rb"\1"),
)


def leave_out_added(shown: bytes) -> bytes:
    """What both versions show."""
    for pattern, rest in ADDED:
        shown = pattern.sub(rest, shown)
    return shown
