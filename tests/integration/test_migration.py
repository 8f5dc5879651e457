"""The migration's Job: its command, run as its manifest says, on a real PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.manifests.sources import BASE, find_object, get_pod, read_objects
from tests.support.postgres import PostgresServer
from tests.support.processes import REPO_ROOT
from tests.support.service import MAX_COMMAND_S

JOB = find_object(read_objects(BASE / "migration.yaml"), "Job")
[CONTAINER] = get_pod(JOB)["containers"]
MAX_TRIES: int = 1 + JOB["spec"]["backoffLimit"]
OPTIONS = {variable["name"]: variable["value"] for variable in CONTAINER["env"]}


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """An empty database, and the Job's own variables."""
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield {"DATABASE_URL": server.url, "SECRET_KEY": "a key for tests, which protects nothing", **OPTIONS}


def migrate(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The Job's command, once."""
    _, *arguments = CONTAINER["command"]
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=REPO_ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=MAX_COMMAND_S,
        check=False,
    )


def migrate_until_done(environment: Mapping[str, str]) -> int:
    """As the Job's controller does: again when it failed, so many times; how often it was tried."""
    for tries in range(1, MAX_TRIES + 1):
        if migrate(environment).returncode == 0:
            return tries
    pytest.fail(f"failed {MAX_TRIES} times")


@pytest.mark.long
def test_a_second_run_changes_nothing(environment: Mapping[str, str]) -> None:
    assert migrate(environment).returncode == 0
    again = migrate(environment)
    assert again.returncode == 0
    assert "No migrations to apply" in again.stdout


@pytest.mark.long
def test_two_at_once_leave_one_complete_schema(environment: Mapping[str, str]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(migrate_until_done, [environment, environment]))
    assert "No migrations to apply" in migrate(environment).stdout


@pytest.mark.long
def test_it_does_not_wait_behind_the_old_versions_locks(environment: Mapping[str, str]) -> None:
    """Else the old version's own statements would queue up behind it."""
    assert migrate(environment).returncode == 0
    with psycopg.connect(environment["DATABASE_URL"]) as old_version:
        old_version.execute("DELETE FROM django_migrations WHERE app = 'prompts'")
        old_version.execute("DROP TABLE IF EXISTS prompts_apikey CASCADE")
        old_version.commit()
        old_version.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        refused = migrate(environment)
        assert refused.returncode != 0
        assert "lock timeout" in refused.stderr
        old_version.rollback()
    assert migrate(environment).returncode == 0
