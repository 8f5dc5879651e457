"""Where the workers of a replica write their metrics, for its master to add up.

prometheus_client reads the variable when it is imported, so nothing here imports it.
https://prometheus.github.io/client_python/multiprocess/
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "eps-metrics-"
LOCK_NAME = "in-use"


def make_metrics_directory() -> None:
    """Make the directory of this replica and name it in the environment.

    It belongs to this process, the master. A second call keeps it: on SIGHUP gunicorn reads its file again. What an
    operator has named is not used, because replicas on one machine must not share it.
    """
    own_prefix = f"{PREFIX}{os.getpid()}-"
    if Path(os.environ.get(VARIABLE, "")).name.startswith(own_prefix):
        return
    _remove_leftovers()
    directory = Path(tempfile.mkdtemp(prefix=own_prefix))
    _hold(directory)
    os.environ[VARIABLE] = str(directory)


def _hold(directory: Path) -> None:
    """Lock the directory until this process and its children have ended, however they end."""
    path = directory / f"{LOCK_NAME}.new"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    path.rename(directory / LOCK_NAME)  # from now on others see it, locked; the descriptor stays open


def _remove_leftovers() -> None:
    """Remove the directories of masters that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK_NAME}"):
        with suppress(OSError):  # it is in use, another user's, or just being removed by somebody else
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent)
            finally:
                os.close(descriptor)
