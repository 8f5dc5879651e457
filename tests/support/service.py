"""The whole service as tests use it: a replica, its database, and two owners with a key each."""

import atexit
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from redis import Redis

from prompts.adapters.redis import keys
from prompts.domain.ids import hash_key
from tests.support.processes import REPO_ROOT
from tests.support.servers import Replica, StandinServer, ValkeyServer
from tests.support.warm_python import Program, get_starter

ALICE_KEY = "eps-test-key-of-alice-0123456789"
BOB_KEY = "eps-test-key-of-bob-0123456789"
# One process, because most of a command is its start.
PREPARE = f"""
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("create_api_key", "alice", "--key", {ALICE_KEY!r})
call_command("create_api_key", "bob", "--key", {BOB_KEY!r})
"""
# A process remembers for a second whose a key is; the request after that may be slow on a busy machine.
MAX_REFUSED_S = 2.0
# Importing the project takes about a second on an idle machine.
MAX_COMMAND_S = 60


@dataclass(frozen=True)
class Service:
    """A running service. `environment` starts more replicas of it."""

    replica: Replica
    environment: Mapping[str, str]
    standin: StandinServer
    valkey: ValkeyServer
    alice_key: str = ALICE_KEY
    bob_key: str = BOB_KEY

    @property
    def url(self) -> str:
        return self.replica.url

    @property
    def api_url(self) -> str:
        """For the SDK."""
        return f"{self.url}/v1"

    def list_stored(self) -> set[str]:
        """The ids of uploaded files in its storage, and temporary files."""
        folder = self.replica.directory / "files"
        return {path.name for path in folder.rglob("*") if path.is_file()}


def service_environment(valkey: ValkeyServer, standin: StandinServer, directory: Path) -> dict[str, str]:
    """The environment of a replica, with short limits for the model, so that no test waits long.

    A Valkey serves one service: another one's database has other keys, and would take these back.
    """
    return {
        "REDIS_URL": valkey.url,
        "CACHE_URL": valkey.cache_url,
        "DATA_DIR": str(directory),  # of all replicas: uploaded files are in it
        "DATABASE_URL": f"sqlite:///{directory / 'db.sqlite3'}",
        "OPENAI_BASE_URL": standin.base_url,
        "OPENAI_API_KEY": "the key of the model's server",
        "DEFAULT_MODEL": "stand-in",
        "EMBEDDING_MODEL": "stand-in-embedding",
        "HTTPS": "false",
        "MEDIA_HOSTS": "*,127.0.0.1",  # a test watches such an address
        "TRUSTED_PROXY": "true",  # a test that signs in may say from which address
        "LOGIN_ATTEMPTS": "2",  # an attempt costs half a second
        "MODEL_FIRST_TOKEN_S": "3",
        "MODEL_SILENCE_S": "2",
        "REQUESTS_PER_MINUTE": "0",
        "MODEL_BREAKER_FAILURES": "0",  # tests that make the model fail must not stop those that come after
    }


def manage(environment: Mapping[str, str], *arguments: str, source: Path = REPO_ROOT) -> str:
    """Run `manage.py`, of the working tree or of a release, in a process of its own; return its output."""
    command = ["manage.py", *arguments]
    settings = {**os.environ, **environment}
    if source == REPO_ROOT:
        program = Program(command, directory=str(REPO_ROOT), environment=settings)
        done = get_starter().run(program, timeout=MAX_COMMAND_S)
    else:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=source,
            env=settings,
            capture_output=True,
            text=True,
            timeout=MAX_COMMAND_S,
            check=False,
        )
    assert done.returncode == 0, f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def prepare(environment: Mapping[str, str]) -> None:
    """Make the database of `service_environment`, with the two keys."""
    _copy_database(_prepare_once(), Path(environment["DATA_DIR"]) / "db.sqlite3")
    _publish_keys(environment["REDIS_URL"])


def _prepare(environment: Mapping[str, str]) -> None:
    manage(environment, "shell", "--command", PREPARE)


@cache
def _prepare_once() -> Path:
    """A database with the two keys, which services of this process copy: a command takes seconds to start."""
    directory = Path(tempfile.mkdtemp(prefix="eps-database-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    nowhere = {"REDIS_URL": "redis://127.0.0.1:1/0", "CACHE_URL": "redis://127.0.0.1:1/1", "DATA_DIR": str(directory)}
    database = directory / "db.sqlite3"
    _prepare({**nowhere, "DATABASE_URL": f"sqlite:///{database}"})
    return database


def _copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as template, closing(sqlite3.connect(target)) as copied:
        template.backup(copied)


def _publish_keys(redis_url: str) -> None:
    """As the commands do, and replicas every minute."""
    with Redis.from_url(redis_url) as redis:
        redis.hset(keys.API_KEYS, mapping={hash_key(ALICE_KEY): "alice", hash_key(BOB_KEY): "bob"})


@contextmanager
def start_service(
    valkey: ValkeyServer, standin: StandinServer, directory: Path, kind: type[Replica] = Replica, /, **settings: str
) -> Iterator[Service]:
    """Migrate, create the keys, start a replica with these settings; stop it at the end."""
    environment = {**service_environment(valkey, standin, directory), **settings}
    if "DATABASE_URL" in settings:
        _prepare(environment)
    else:
        prepare(environment)
    with kind(directory, environment) as replica:
        yield Service(replica=replica, environment=environment, standin=standin, valkey=valkey)
