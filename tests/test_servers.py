"""The servers that tests start keep their address and data, and never outlive the tests."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.processes import REPO_ROOT, ServerProcessError
from tests.support.server_fixtures import StartValkey
from tests.support.servers import ValkeyServer, eventually
from tests.support.warm_python import Program, get_starter

START_AND_HANG = """
import sys, time
from pathlib import Path
from tests.support.servers import ValkeyServer
with ValkeyServer(Path(sys.argv[1])) as server:
    print(server.port, flush=True)
    time.sleep(600)
"""

SHOW_AND_END = """
import gc, json, os, sys, threading
told = {"arguments": sys.argv, "directory": os.getcwd(), "environment": dict(os.environ), "module": __name__}
told |= {"leads": os.getsid(0) == os.getpid(), "looks": gc.isenabled(), "input": sys.stdin.read()}
told |= {"has_settings": "config.settings" in sys.modules, "has_metrics": "prometheus_client" in sys.modules}
print(json.dumps(told))
print("This goes elsewhere.", file=sys.stderr)
sys.exit(3)
"""
HANG = "import time; print('Here.', flush=True); time.sleep(600)"


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


def test_a_warm_program_has_its_own_surroundings_and_no_settings_yet(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(SHOW_AND_END)
    program = Program([str(path), "one", "two"], directory=str(tmp_path), environment={"ONLY": "this"})
    done = get_starter().run(program, timeout=60)
    assert (done.returncode, done.stderr) == (3, "This goes elsewhere.\n")
    assert json.loads(done.stdout) == {
        "arguments": [str(path), "one", "two"],
        "directory": str(tmp_path),
        "environment": {"ONLY": "this"},
        "module": "__main__",
        "leads": True,
        "looks": True,
        "input": "",
        "has_settings": False,
        "has_metrics": False,
    }


def test_a_warm_program_is_waited_for_frozen_and_killed_as_any_other(tmp_path: Path) -> None:
    path, log = tmp_path / "program.py", tmp_path / "log"
    path.write_text(HANG)
    with log.open("wb") as output:
        program = Program([str(path)], directory=str(tmp_path), environment={})
        process = get_starter().start(program, output=output, errors=output)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    process.send_signal(signal.SIGSTOP)
    process.wait_stopped()
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    with ThreadPoolExecutor() as threads:  # a balancer and its test ask at once
        assert set(threads.map(lambda _: process.wait(60), range(8))) == {-signal.SIGKILL}
    process.send_signal(signal.SIGKILL)  # nobody is hit
