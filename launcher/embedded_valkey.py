"""The Valkey of `make run`: with a password, and behind a socket that only its user can open.

Other users of the machine reach a port on loopback, and what is on a command line everybody can read. So both are in a
file. Where no socket can be made (a path that is too long, a file system without sockets) it listens on loopback, with
the password.
"""

import asyncio
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from launcher.data_dir import DataDir
from launcher.readiness import ask_valkey
from launcher.valkey import get_valkey_server, valkey_options


@dataclass(frozen=True)
class EmbeddedValkey:
    """Its directory, its password, and where it listens: at `socket_path`, or at `port` where that is None."""

    directory: Path
    password: str
    socket_path: Path | None
    port: int

    @property
    def url(self) -> str:
        """For `REDIS_URL`: database 0."""
        if self.socket_path is not None:
            return f"unix://:{self.password}@{quote(str(self.socket_path))}?db=0"
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def compose_command(self) -> list[str]:
        """Write its configuration, readable by its user only; return the command that reads it."""
        path = self.directory / "valkey.conf"
        path.touch(mode=0o600)
        path.write_text(self._compose_configuration(), encoding="utf-8")
        return [str(get_valkey_server()), str(path)]

    async def is_ready(self) -> bool:
        """Whether it answers. It does not while it loads its data."""
        return await ask_valkey(self._connect, self.password)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.socket_path is not None:
            return await asyncio.open_unix_connection(self.socket_path)
        return await asyncio.open_connection("127.0.0.1", self.port)

    def _compose_configuration(self) -> str:
        options = {"requirepass": self.password, **valkey_options(self.directory), "loglevel": "warning"}
        if self.socket_path is not None:
            options |= {"port": "0", "unixsocket": str(self.socket_path), "unixsocketperm": "600"}
        else:
            options |= {"bind": "127.0.0.1", "port": str(self.port)}
        return "".join(f"{name} {_quote(value)}\n" for name, value in options.items())


def prepare_valkey(data: DataDir, *, password: str, port: int) -> EmbeddedValkey:
    """Choose where it listens; `port` is for a directory without sockets."""
    directory = data.subdirectory("valkey")
    path = directory / "valkey.sock"
    return EmbeddedValkey(directory, password, path if _can_have_socket(path) else None, port)


def _can_have_socket(path: Path) -> bool:
    path.unlink(missing_ok=True)  # of an earlier start; the directory is locked
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    except OSError:
        return False
    path.unlink()
    return True


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
