"""The Weaviate of `make run WEAVIATE=1`: with a key, its data below `DATA_DIR`.

It listens on every interface with two of its ports, whatever it is told (`launcher/weaviate.py`), so nobody may use it
without the key. The key is in its environment, which other users cannot read.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from launcher.child_environments import choose_for_any, choose_for_build
from launcher.child_process import ProcessSpec
from launcher.data_dir import DataDir
from launcher.ports import find_free_port
from launcher.readiness import is_http_ready
from launcher.weaviate import WeaviatePorts, find_weaviate_server, weaviate_command, weaviate_environment

USER = "eps"
# It replays its data first; a cold start on a busy machine.
MAX_START_S = 120.0


@dataclass(frozen=True)
class EmbeddedWeaviate:
    """Where it keeps its data, where it listens, and the key that opens it. `bin_dir` is where it is built."""

    directory: Path
    bin_dir: Path
    ports: WeaviatePorts
    key: str

    @property
    def settings(self) -> Mapping[str, str]:
        """The service's settings."""
        return {
            "WEAVIATE_URL": f"http://127.0.0.1:{self.ports.http}",
            "WEAVIATE_GRPC_PORT": str(self.ports.grpc),
            "WEAVIATE_API_KEY": self.key,
        }

    def has_server(self) -> bool:
        """Whether its program is there: on the PATH, or built earlier."""
        return find_weaviate_server(self.bin_dir) is not None

    def compose_build(self) -> ProcessSpec:
        """The task that builds it."""
        return ProcessSpec(
            name="weaviate",
            command=[sys.executable, "-m", "launcher.weaviate", "build"],
            environment={**choose_for_build(), "DATA_DIR": str(self.bin_dir.parent)},
            is_task=True,
        )

    def compose_server(self) -> ProcessSpec:
        """The server."""
        server = find_weaviate_server(self.bin_dir)
        assert server is not None
        return ProcessSpec(
            name="weaviate",
            command=weaviate_command(server, self.ports),
            environment={**choose_for_any(), **weaviate_environment(self.ports, self.directory), **self._access()},
            is_ready=partial(is_http_ready, "127.0.0.1", self.ports.http, "/v1/.well-known/ready"),
            max_start_s=MAX_START_S,
        )

    def _access(self) -> Mapping[str, str]:
        return {
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
            "AUTHENTICATION_APIKEY_ENABLED": "true",
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS": self.key,
            "AUTHENTICATION_APIKEY_USERS": USER,
            "AUTHORIZATION_ADMINLIST_ENABLED": "true",
            "AUTHORIZATION_ADMINLIST_USERS": USER,
            # A line a request otherwise.
            "LOG_LEVEL": "warning",
        }


def prepare_weaviate(data: DataDir, *, key: str) -> EmbeddedWeaviate:
    """Choose its ports, and make its directory."""
    ports: set[int] = set()
    while len(ports) < len(WeaviatePorts.__dataclass_fields__):
        ports.add(find_free_port())
    return EmbeddedWeaviate(data.subdirectory("weaviate"), data.path / "bin", WeaviatePorts(*ports), key)
