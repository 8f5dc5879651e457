"""The servers that tests start keep their address and data, and never outlive the tests."""

import asyncio
import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.processes import REPO_ROOT, ServerProcessError
from tests.support.server_fixtures import StartValkey
from tests.support.servers import ValkeyServer, eventually

START_AND_HANG = """
import sys, time
from pathlib import Path
from tests.support.servers import ValkeyServer
with ValkeyServer(Path(sys.argv[1])) as server:
    print(server.port, flush=True)
    time.sleep(600)
"""


def ask(server: ValkeyServer, command: str) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), 1) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(1024)


def is_listening(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_it_works(start_valkey: StartValkey) -> None:
    server = start_valkey()
    assert ask(server, "PING") == b"+PONG\r\n"


def test_restart_keeps_address_and_data(start_valkey: StartValkey) -> None:
    server = start_valkey()
    ask(server, "SET answer 42")
    url = server.url
    server.restart()
    assert server.url == url
    assert ask(server, "GET answer") == b"$2\r\n42\r\n"


def test_frozen_server_answers_nobody_until_thawed(start_valkey: StartValkey) -> None:
    server = start_valkey()
    server.freeze()
    with pytest.raises(TimeoutError):
        ask(server, "PING")
    server.thaw()
    assert ask(server, "PING") == b"+PONG\r\n"


def test_frozen_server_can_be_stopped(start_valkey: StartValkey) -> None:
    server = start_valkey()
    server.freeze()
    server.stop()
    assert not server.is_running


def test_server_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path, arguments=("--no-such-option", "1"))
    with pytest.raises(ServerProcessError, match="no-such-option"):
        server.start()


async def test_server_ends_when_pytest_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START_AND_HANG, str(tmp_path)]
    owner = await asyncio.create_subprocess_exec(*command, cwd=REPO_ROOT, stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    port = int(await owner.stdout.readline())
    assert is_listening(port)
    owner.kill()
    await owner.wait()
    await eventually(lambda: not is_listening(port))
