"""A real Weaviate without Docker: built once from its Go module, started on loopback.

`python -m launcher.weaviate build` builds it into `DATA_DIR/bin` (about five minutes on two cores; seconds when Go's
cache has it). It does nothing when the binary is there already.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from launcher.go_programs import GoBuildError, GoProgram, build_program

WEAVIATE = GoProgram(
    binary="weaviate-server",
    package="github.com/weaviate/weaviate/cmd/weaviate-server",
    version="v1.38.11",
    # A cold build takes about five minutes on two idle cores; the rest is for a slow network and busy neighbours.
    max_build_s=1800,
    needs_c=True,
)
HOW_TO_GET_IT = (
    "run `make weaviate` (needs Go 1.26 or newer and a C compiler), put weaviate-server on the PATH, "
    "or name a running one with WEAVIATE_URL and WEAVIATE_GRPC_PORT"
)


class WeaviateBuildError(Exception):
    """weaviate-server could not be built; the message says what to do."""


@dataclass(frozen=True)
class WeaviatePorts:
    """The six ports of one node. Clients use `http` and `grpc`; the others belong to its cluster of one."""

    http: int
    grpc: int
    gossip: int
    data: int
    raft: int
    raft_rpc: int


def get_bin_dir() -> Path:
    """The directory of built servers: `DATA_DIR/bin`."""
    return Path(os.environ.get("DATA_DIR") or ".run") / "bin"


def find_weaviate_server(bin_dir: Path | None = None) -> Path | None:
    """The server on the PATH, else the one built into `bin_dir` (default `DATA_DIR/bin`)."""
    on_path = shutil.which(WEAVIATE.binary)
    if on_path:
        return Path(on_path)
    built = WEAVIATE.path(bin_dir or get_bin_dir())
    return built if built.exists() else None


def build_weaviate_server(bin_dir: Path) -> Path:
    """Build the server into `bin_dir` unless it is there. Concurrent builds wait for the first one.

    Raises `WeaviateBuildError`.
    """
    try:
        return build_program(WEAVIATE, bin_dir)
    except GoBuildError as error:
        raise WeaviateBuildError(f"{error}\nTo have a server: {HOW_TO_GET_IT}") from error


def weaviate_command(server: Path, ports: WeaviatePorts) -> list[str]:
    """The command line of one node on loopback. Use it with `weaviate_environment`."""
    return [str(server), "--scheme", "http", "--host", "127.0.0.1", "--port", str(ports.http)]


def weaviate_environment(ports: WeaviatePorts, data_dir: Path) -> dict[str, str]:
    """The settings of one node on loopback, alone in its cluster, without telemetry.

    Weaviate binds `grpc` and `data` on every interface, whatever it is told: not for hosts that others can reach.
    """
    return {
        "PERSISTENCE_DATA_PATH": str(data_dir),
        "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
        "DEFAULT_VECTORIZER_MODULE": "none",
        # Every property is declared: what a client makes up must be refused, not become a part of the schema.
        "AUTOSCHEMA_ENABLED": "false",
        "GRPC_PORT": str(ports.grpc),
        # The stored cluster state contains this name, so it must stay the same on another host.
        "CLUSTER_HOSTNAME": "node1",
        "CLUSTER_BIND_ADDR": "127.0.0.1",
        "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
        "CLUSTER_GOSSIP_BIND_PORT": str(ports.gossip),
        "CLUSTER_DATA_BIND_PORT": str(ports.data),
        "RAFT_PORT": str(ports.raft),
        "RAFT_INTERNAL_RPC_PORT": str(ports.raft_rpc),
        "RAFT_BOOTSTRAP_EXPECT": "1",
        # The default, 5, is for a slow network: alone on loopback the first election then takes 10 s, not 3 s.
        "RAFT_TIMEOUTS_MULTIPLIER": "1",
        # By default Weaviate goes read-only when the disk is 90 % full, as developers' disks often are.
        "DISK_USE_READONLY_PERCENTAGE": "99",
        "DISABLE_TELEMETRY": "true",
        "PROMETHEUS_MONITORING_ENABLED": "false",
        "GO_PROFILING_DISABLE": "true",
        "LOG_FORMAT": "text",
        "LOG_LEVEL": "info",
    }


def main(arguments: list[str]) -> int:
    """`build`: build the server into `DATA_DIR/bin` if needed, and print its path."""
    if arguments != ["build"]:
        print("usage: python -m launcher.weaviate build", file=sys.stderr)
        return 2
    try:
        print(build_weaviate_server(get_bin_dir()))
    except WeaviateBuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
