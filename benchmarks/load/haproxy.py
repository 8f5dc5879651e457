"""HAProxy before the replicas; they come and go through its runtime socket, as endpoints do in Kubernetes."""

import csv
import shutil
import socket
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from typing_extensions import override

from tests.support.processes import ServerProcess
from tests.support.servers import eventually

MAX_REPLICAS = 16
# A ready replica passes its first check well within a second.
MAX_UP_S = 30
# The checks have the limits of a kubelet: a busy replica that answers late once is not taken out.
CONFIGURATION = """
global
    nbthread 1
    stats socket {control} level admin
defaults
    mode http
    option http-no-delay
    option http-server-close
    timeout connect 2s
    timeout check 1s
    timeout client 75s
    timeout server 75s
    retries 3
    option redispatch 1
frontend clients
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 1s fall 3 rise 1
    server-template replica {replicas} 127.0.0.1:1 disabled
"""


class HaProxy(ServerProcess):
    """One HAProxy with one thread, so that its CPU is at most one core."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        # The ports of the replicas by slot; slots are used once.
        self._slots: list[int] = []

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self.ports[0]

    @override
    def get_command(self) -> list[str]:
        program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise FileNotFoundError("haproxy is not installed: `apt-get install haproxy`, or your system's way")
        configuration = self.directory / "haproxy.cfg"
        text = CONFIGURATION.format(control=self._control, port=self.port, replicas=MAX_REPLICAS)
        configuration.write_text(text, "utf-8")
        return [program, "-f", str(configuration), "-db"]

    @override
    def is_ready(self) -> bool:
        try:
            with closing(socket.create_connection(("127.0.0.1", self.port), 1)):
                return True
        except OSError:
            return False

    async def add(self, port: int) -> None:
        """Send requests to this replica, which is ready. Returns when HAProxy has checked it."""
        self._slots.append(port)
        server = f"replicas/replica{len(self._slots)}"
        self._command(f"set server {server} addr 127.0.0.1 port {port}")
        self._command(f"set server {server} state ready")
        await eventually(lambda: port in self.list_up(), within_s=MAX_UP_S)

    def remove(self, port: int) -> None:
        """Send no more requests to this replica; open ones go on."""
        self._command(f"set server replicas/replica{self._slots.index(port) + 1} state drain")

    def list_up(self) -> Sequence[int]:
        """The ports of the replicas that get requests."""
        rows = csv.DictReader(self._command("show stat").removeprefix("# ").splitlines())
        return [
            self._slots[int(row["svname"].removeprefix("replica")) - 1]
            for row in rows
            if row["svname"].startswith("replica") and row["status"].startswith("UP")
        ]

    @property
    def _control(self) -> Path:
        return self.directory / "control.sock"

    def _command(self, line: str) -> str:
        with closing(socket.socket(socket.AF_UNIX)) as control:
            control.settimeout(MAX_UP_S)
            control.connect(str(self._control))
            control.sendall(f"{line}\n".encode())
            return b"".join(iter(lambda: control.recv(65536), b"")).decode()
