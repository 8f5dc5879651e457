"""`make run` as a person sees it: what it prints works, and when it ends no process is left."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

import psutil
import pytest
from redis import AuthenticationError, Redis

from config.codex import compose_settings
from tests.support.processes import INHERITED_VARIABLES, REPO_ROOT, find_free_ports
from tests.support.server_fixtures import StartValkey

# A start takes 3 s on an idle machine, and this one may be building something.
MAX_START_S = 60
# Longer than the launcher gives all its processes together after a crash.
MAX_STOP_S = 30
READY = "Ctrl-C stops everything."


class MakeRun:
    """One `python -m launcher`, and every line it has printed."""

    def __init__(self, data_dir: Path, **variables: str) -> None:
        self.data_dir = data_dir
        self.lines: list[str] = []
        inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "launcher"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=REPO_ROOT,
            # Its default port may be taken, by a Prometheus or by another test.
            env={**inherited, "DATA_DIR": str(data_dir), "METRICS_PORT": "0", **variables},
        )
        self._has_news = threading.Condition()
        self._has_ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for_line(self, text: str) -> str:
        """The first line that contains `text`."""
        with self._has_news:
            self._has_news.wait_for(lambda: self._has_ended or self._find(text), timeout=MAX_START_S)
        line = self._find(text)
        assert line is not None, f"never said {text!r}:\n{self.output}"
        return line

    def get_value(self, name: str) -> str:
        """The banner's value for `name`."""
        return self.wait_for_line(f"  {name} ").split(maxsplit=1)[1]

    def curl(self) -> list[str]:
        """The arguments of the banner's curl line."""
        return shlex.split(self.wait_for_line("curl "))

    def wait(self) -> int:
        """The exit code, after every line has been read."""
        status = self.process.wait(MAX_STOP_S)
        self._reader.join(MAX_STOP_S)
        return status

    def stop(self) -> int:
        self.process.terminate()
        return self.wait()

    def children(self) -> list[psutil.Process]:
        """Every process of this start.

        They have its DATA_DIR in their environment, or below it their working directory: Valkey's title overwrites its
        environment.
        """
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def find_child(self, word: str) -> psutil.Process:
        """The first process whose command contains the word: gunicorn's master starts before its workers."""
        found = [process for process in self.children() if any(word in argument for argument in process.cmdline())]
        return min(found, key=lambda process: (process.create_time(), process.pid))

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.pid == self.process.pid or process.status() == psutil.STATUS_ZOMBIE:
                return False
            is_valkey = Path(process.cwd()).is_relative_to(self.data_dir)
            return is_valkey or process.environ().get("DATA_DIR") == str(self.data_dir)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def _find(self, text: str) -> str | None:
        return next((line for line in self.lines if text in line), None)

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self._add(line.rstrip("\n"))
        self._add(None)

    def _add(self, line: str | None) -> None:
        with self._has_news:
            if line is None:
                self._has_ended = True
            else:
                self.lines.append(line)
            self._has_news.notify_all()


Start = Callable[..., MakeRun]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `make run` in the test's own directory; kill what the test leaves."""
    started: list[MakeRun] = []

    def start(**variables: str) -> MakeRun:
        run = MakeRun(tmp_path / "data", **({"PORT": str(find_free_ports(1)[0])} | variables))
        started.append(run)
        return run

    yield start
    for run in started:
        _kill(run)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRun]:
    """A `make run` shared by the tests that only look at it."""
    data_dir = tmp_path_factory.mktemp("running") / "data"
    data_dir.mkdir()
    (data_dir / "db.sqlite3").touch()
    for path, mode in ((data_dir, 0o755), (data_dir / "db.sqlite3", 0o644)):
        path.chmod(mode)  # as an earlier release left it
    run = MakeRun(data_dir, PORT=str(find_free_ports(1)[0]), SECRET_OF_THE_SHELL="hunter2")
    run.wait_for_line(READY)
    yield run
    _kill(run)


def _kill(run: MakeRun) -> None:
    for process in [*run.children(), run.process]:
        process.kill()
    run.wait()


def assert_nothing_is_left(run: MakeRun) -> None:
    _gone, alive = psutil.wait_procs(run.children(), timeout=MAX_STOP_S)
    assert not alive


def test_the_curl_line_of_the_banner_works_as_printed(running: MakeRun) -> None:
    answer = subprocess.run(running.curl(), capture_output=True, text=True, timeout=30, check=True).stdout

    assert "event: response.completed" in answer
    assert answer.endswith("data: [DONE]\n\n")


def test_the_codex_line_of_the_banner_points_codex_here(running: MakeRun) -> None:
    key, program, *arguments = shlex.split(running.wait_for_line("codex -c "))
    assert (key, program) == (f"EPS_API_KEY={running.get_value('Key')}", "codex")
    given = tomllib.loads("\n".join(arguments[1::2]))
    assert given == compose_settings(running.get_value("API"), "stand-in")


def test_the_banner_says_where_passages_are_found(running: MakeRun) -> None:
    path = running.data_dir / "knowledge.sqlite3"
    assert running.get_value("Knowledge").startswith(f"SQLite full-text search: {path}")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.long
def test_a_real_weaviate_takes_the_place_of_sqlite(start: Start, tmp_path: Path, weaviate_binary: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "weaviate-server").symlink_to(weaviate_binary)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    for _ in range(2):  # the second start finds the data of the first, on other ports
        run = start(WEAVIATE="1", PATH=path)
        run.wait_for_line(READY)
        assert run.get_value("Knowledge") == f"Weaviate: {run.data_dir / 'weaviate'}"
        server = run.find_child("weaviate-server")
        port = server.cmdline()[-1]
        with pytest.raises(HTTPError, match="401"):
            urlopen(f"http://127.0.0.1:{port}/v1/schema")
        assert not (run.data_dir / "knowledge.sqlite3").exists()
        assert run.stop() == 0
        assert_nothing_is_left(run)


def test_a_wrong_word_for_weaviate_is_refused(start: Start) -> None:
    run = start(WEAVIATE="perhaps")
    assert run.wait() == 1
    assert "WEAVIATE can be 1 or 0" in run.output


def test_the_first_line_of_the_banner_is_a_link_that_signs_in_once(running: MakeRun) -> None:
    link = running.get_value("Open")
    assert running.lines.index(f"  {'Open':<11}{link}") == running.lines.index("Ready.") + 2
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    with browser.open(link) as page:
        assert page.geturl() == link.partition("sign-in")[0]
        assert 'id="sign-out"' in page.read().decode()
    with pytest.raises(HTTPError, match="403"):
        urlopen(link)
    assert "sign_in_link" not in {path.name for path in running.data_dir.iterdir()}
    said = [line for line in running.lines if "token=" in line]
    assert len(said) == 1  # no process logs it


def test_the_docs_link_of_the_banner_opens(running: MakeRun) -> None:
    with urlopen(running.get_value("Docs")) as page:
        assert page.status == 200


def test_the_admin_login_of_the_banner_opens_the_admin_with_its_styles(running: MakeRun) -> None:
    url, name, _, password = running.get_value("Admin").split()
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    form = browser.open(f"{url}login/?next=/admin/").read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert token
    fields = {"username": name, "password": password, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
    page = browser.open(f"{url}login/", urlencode(fields).encode()).read().decode()

    assert "Log out" in page
    stylesheet = re.search(r'href="([^"]+base\.css)"', page)
    assert stylesheet
    assert browser.open(f"{url.removesuffix('/admin/')}{stylesheet[1]}").status == 200


def test_nothing_in_the_data_directory_is_open_to_other_users(running: MakeRun) -> None:
    everything = [running.data_dir, *running.data_dir.rglob("*")]
    names = {path.name for path in everything}
    assert {"api_key", "admin_password", "secret_key", "valkey_password", "db.sqlite3", "valkey.conf"} <= names
    assert [path for path in everything if path.stat().st_mode & 0o077] == []


def test_valkey_wants_a_password_and_listens_at_no_port(running: MakeRun) -> None:
    valkey = running.find_child("valkey-server")
    assert valkey.net_connections("inet") == []
    password = (running.data_dir / "valkey_password").read_text().strip()
    assert password not in " ".join([*valkey.cmdline(), running.output])
    path = running.get_value("State").removeprefix("Valkey: ")
    with Redis(unix_socket_path=path) as stranger, pytest.raises(AuthenticationError):
        stranger.ping()
    with Redis(unix_socket_path=path, password=password) as redis:
        assert redis.dbsize() > 0


def test_no_process_gets_what_it_does_not_need(running: MakeRun) -> None:
    environments = [process.environ() for process in running.children() if "valkey" not in " ".join(process.cmdline())]
    assert len(environments) >= 5  # the orphan reaper, the model, gunicorn and its two workers
    assert not any("SECRET_OF_THE_SHELL" in environment for environment in environments)
    with_key = [environment for environment in environments if "SECRET_KEY" in environment]
    assert all("PORT" in environment for environment in with_key)  # of the service alone
    assert len(with_key) == 3


def test_a_second_start_in_the_same_directory_is_refused(running: MakeRun) -> None:
    second = MakeRun(running.data_dir)

    assert second.wait() == 1
    assert f"in use by another `make run` (process {running.process.pid})" in second.output


def test_a_taken_port_that_was_asked_for_is_refused(start: Start) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        run = start(PORT=str(port))

        assert run.wait() == 1
        assert run.output == f"make run: Port {port} is taken: choose another with PORT=…, or leave PORT out."


@pytest.mark.long
def test_without_a_port_the_next_free_one_is_used_and_printed(start: Start) -> None:
    try:
        taken = socket.create_server(("127.0.0.1", 8000))
    except OSError:
        taken = socket.socket()  # another process has taken the port already
    with closing(taken):
        run = start(PORT="")
        said = run.wait_for_line("Port 8000 is taken")
        port = said.removesuffix(" instead.").rpartition(" ")[2]

        assert run.get_value("API") == f"http://127.0.0.1:{port}/v1"


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, *(pytest.param(number, marks=pytest.mark.long) for number in (signal.SIGTERM, signal.SIGHUP))],
    ids=lambda number: number.name,
)
def test_a_signal_stops_everything_and_valkey_last(start: Start, number: signal.Signals) -> None:
    run = start()
    run.wait_for_line(READY)
    run.process.send_signal(number)

    assert run.wait() == 0
    assert_nothing_is_left(run)
    assert run.lines[-1].startswith("valkey ")
    assert "bye bye" in run.lines[-1]
    assert "died" not in run.output


def test_a_signal_during_the_start_stops_what_was_started(start: Start) -> None:
    run = start()
    run.wait_for_line("Starting")
    run.process.send_signal(signal.SIGINT)

    assert run.wait() == 0
    assert_nothing_is_left(run)
    assert READY not in run.output


@pytest.mark.long
def test_a_killed_launcher_leaves_no_process_behind(start: Start) -> None:
    run = start()
    run.wait_for_line(READY)
    children = run.children()
    run.process.kill()
    _gone, alive = psutil.wait_procs(children, timeout=MAX_STOP_S)

    assert len(children) >= 6  # the orphan reaper, Valkey, the model, gunicorn and its two workers
    assert not alive
    again = start()
    again.wait_for_line(READY)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("valkey", "valkey-server"),
        pytest.param("model", "standin.app", marks=pytest.mark.long),
        pytest.param("web", "gunicorn", marks=pytest.mark.long),
    ],
)
def test_the_death_of_a_process_stops_everything_and_is_reported(start: Start, name: str, word: str) -> None:
    run = start()
    run.wait_for_line(READY)
    run.find_child(word).kill()

    assert run.wait() == 1
    assert f"make run: {name} died (killed by SIGKILL). The last it said:" in run.output
    assert_nothing_is_left(run)


def test_a_failed_setup_stops_everything_and_says_why(start: Start) -> None:
    run = start(DATABASE_URL="sqlite:////nonexistent/db.sqlite3")

    assert run.wait() == 1
    assert "make run: setup died (exit code 1). The last it said:" in run.output
    assert run.lines[-1].strip().endswith("unable to open database file")
    assert_nothing_is_left(run)


@pytest.mark.long
def test_a_second_start_keeps_the_key_the_login_and_the_conversation(start: Start) -> None:
    port = str(find_free_ports(1)[0])
    first = start(PORT=port)
    first_answer = subprocess.run(first.curl(), capture_output=True, text=True, timeout=30, check=True).stdout
    response_id = re.search(r"resp_\w+", first_answer)
    assert response_id
    first_values = [first.get_value(name) for name in ("Key", "Admin")]
    assert first.stop() == 0
    second = start(PORT=port)

    assert second.get_value("Open") != first.get_value("Open")
    assert [second.get_value(name) for name in ("Key", "Admin")] == first_values
    question = ["curl", "-sS", f"{second.get_value('API')}/responses/{response_id[0]}"]
    authorized = [*question, "-H", f"Authorization: Bearer {second.get_value('Key')}"]
    kept = subprocess.run(authorized, capture_output=True, text=True, timeout=30, check=True).stdout
    assert '"status":"completed"' in kept.replace(": ", ":")


@pytest.mark.long
def test_configured_servers_are_used_and_not_started(start: Start, start_valkey: StartValkey) -> None:
    valkey = start_valkey()  # a Valkey of its own: the service removes keys that it did not publish
    run = start(REDIS_URL=valkey.url, OPENAI_API_KEY="sk-unused")
    run.wait_for_line(READY)
    commands = [" ".join(process.cmdline()) for process in run.children()]

    assert run.get_value("State") == f"{valkey.url} (external)"
    assert run.get_value("Model") == "the default model at https://api.openai.com/v1 (external)"
    assert any("gunicorn" in command for command in commands)
    assert not any("valkey-server" in command or "standin" in command for command in commands)
