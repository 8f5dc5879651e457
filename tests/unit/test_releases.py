"""The list of releases, and their code as files."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.processes import REPO_ROOT
from tests.support.releases import RELEASES, Release, ReleaseMissing, extract_release, get_last_release

FULL_HASH = re.compile(r"[0-9a-f]{40}")


def test_the_last_release_is_extracted_as_it_was_committed(tmp_path: Path) -> None:
    release = get_last_release()
    source = extract_release(release, tmp_path)
    committed = subprocess.check_output(["git", "-C", str(REPO_ROOT), "show", f"{release.commit}:config/gunicorn.py"])
    assert (source / "config/gunicorn.py").read_bytes() == committed
    assert not (source / ".git").exists()


def test_every_release_has_a_version_of_its_own_and_a_full_hash() -> None:
    releases = [Release(**entry) for entry in tomllib.loads(RELEASES.read_text("utf-8"))["releases"]]
    assert len({release.version for release in releases}) == len(releases)
    assert all(FULL_HASH.fullmatch(release.commit) for release in releases)


def test_a_release_that_is_not_in_the_clone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseMissing, match=r"Release 9\.9\.9 is commit 0{40}.*git fetch --unshallow"):
        extract_release(Release("9.9.9", "0" * 40), tmp_path)
