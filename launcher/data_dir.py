"""The data directory: used by one `make run` at a time; keeps secrets and data between starts."""

import fcntl
import os
import stat
from pathlib import Path
from typing import IO

from launcher.errors import CannotRunError

FOR_OTHERS = 0o077
ROOT = 0


class DataDir:
    """A directory that one `make run` has locked."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        # The lock lasts as long as a process has this file open. The orphan reaper inherits it, so the directory
        # stays locked until the last process has stopped, however `make run` itself ended.
        self.lock = lock

    def keep_secret(self, name: str, new: str) -> str:
        """The secret of that name from an earlier start; else `new`, which is stored readable by its owner only."""
        path = self.path / name
        if not path.exists():
            _write_private(path, new)
        return path.read_text(encoding="utf-8").strip()

    def take(self, name: str) -> str | None:
        """What another process has left under this name, which is then gone; None when there is nothing."""
        path = self.path / name
        if not path.exists():
            return None
        text = path.read_text(encoding="utf-8").strip()
        path.unlink()
        return text

    def subdirectory(self, name: str) -> Path:
        """A directory below this one; created when missing."""
        path = self.path / name
        path.mkdir(exist_ok=True, mode=0o700)
        for directory in (path, *(each for each in path.rglob("*") if each.is_dir() and not each.is_symlink())):
            close_to_others(directory)
        return path


def open_data_dir(path: Path) -> DataDir:
    """Lock the directory for this process, and close it and what is in it to other users.

    Raises `CannotRunError` when another `make run` has it, or when it is not ours alone.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_owner(path)
        close_to_others(path)
        (path / "lock").touch(mode=0o600)
        lock = (path / "lock").open("a+", encoding="utf-8")
    except OSError as exc:
        raise CannotRunError(f"DATA_DIR={path} cannot be used: {exc.strerror}.") from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise CannotRunError(_in_use(path, lock)) from exc
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return DataDir(path, lock)


def close_to_others(directory: Path) -> None:
    """Take every right of other users away: of the directory, and of each file and directory in it."""
    for path in (directory, *directory.iterdir()):
        status = path.lstat()
        # A link's own rights mean nothing, and what it leads to may be somebody else's.
        is_ours = os.geteuid() in (status.st_uid, ROOT)
        if is_ours and not stat.S_ISLNK(status.st_mode) and status.st_mode & FOR_OTHERS:
            path.chmod(stat.S_IMODE(status.st_mode) & ~FOR_OTHERS)


def _check_owner(path: Path) -> None:
    status = path.stat()
    if os.geteuid() not in (status.st_uid, ROOT) or status.st_mode & stat.S_ISVTX:
        raise CannotRunError(f"DATA_DIR={path} is shared or another user's: name a directory of your own.")


def _in_use(path: Path, lock: IO[str]) -> str:
    lock.seek(0)
    holder = lock.read().strip() or "unknown"
    return (
        f"{path} is in use by another `make run` (process {holder}), or by parts of it that are still stopping: "
        "stop that one, or give this one a directory of its own with DATA_DIR=…."
    )


def _write_private(path: Path, text: str) -> None:
    """Write to another name first, then rename: an interrupted start leaves no partial secret."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    draft.replace(path)
