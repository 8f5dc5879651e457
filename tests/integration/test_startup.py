"""Start-up: a missing dependency does not stop the process, and a wrong configuration is reported."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.processes import REPO_ROOT, ServerProcess, find_free_ports
from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import WeaviateAddress, eventually
from tests.support.service import MAX_COMMAND_S, Service, manage


def test_verify_startup_opens_everything(service: Service, weaviate: WeaviateAddress) -> None:
    weaviate_settings = {"WEAVIATE_URL": weaviate.url, "WEAVIATE_GRPC_PORT": str(weaviate.grpc_port)}
    table = manage({**service.environment, **weaviate_settings}, "verify_startup")
    assert [line.split()[0] for line in table.splitlines()] == ["redis", "weaviate", "cache", "database", "model"]
    assert all(line.endswith("ok") for line in table.splitlines()), table


def test_verify_startup_fails_when_one_is_missing_and_hides_passwords(service: Service) -> None:
    [port] = find_free_ports(1)
    broken = {"REDIS_URL": f"redis://someone:hunter2@127.0.0.1:{port}/0", "DATABASE_URL": "sqlite://:memory:"}
    done = subprocess.run(
        [sys.executable, "manage.py", "verify_startup"],
        cwd=REPO_ROOT,
        env={**os.environ, **service.environment, **broken},
        capture_output=True,
        text=True,
        timeout=MAX_COMMAND_S,
        check=False,
    )
    assert done.returncode != 0
    assert "redis" in done.stderr
    assert "database" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


async def test_a_redis_that_is_away_at_start_does_not_stop_the_process(
    service: Service, start_valkey: StartValkey, start_replica: StartReplica
) -> None:
    valkey = start_valkey()
    valkey.stop()
    replica = start_replica({**service.environment, "REDIS_URL": valkey.url})
    key = {"authorization": f"Bearer {service.alice_key}"}
    async with httpx.AsyncClient(base_url=replica.url, headers=key, timeout=30) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        refused = await client.post("/v1/responses", json={"input": "Hi"})
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "dependency_unavailable"
        assert int(refused.headers["retry-after"]) >= 1
        valkey.start()
        await eventually(lambda: _is_ready(client))


async def _is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


class NoLifespan(ServerProcess):
    """Our application under a server that does not run the lifespan."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        super().__init__(directory)
        self._environment = environment

    def get_command(self) -> list[str]:
        address = ["--port", str(self.ports[0]), "--lifespan", "off"]
        return [sys.executable, "-m", "uvicorn", "config.asgi:application", *address]

    def get_environment(self) -> dict[str, str]:
        return self._environment

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz").status_code == 503
        except httpx.HTTPError:
            return False


async def test_a_server_without_lifespan_gets_a_clear_503_and_no_traceback(service: Service, tmp_path: Path) -> None:
    environment = {**service.environment, "SECRET_KEY": "a key for this test, which protects nothing"}
    with NoLifespan(tmp_path, environment) as server:
        async with httpx.AsyncClient(base_url=server.url) as client:
            before = server.log.count("no_lifespan")
            refused = await client.post("/v1/responses", json={"input": "Hi"})
            assert refused.status_code == 503
            assert "lifespan" in refused.json()["error"]["message"]
        assert server.log.count("no_lifespan") == before + 1
        assert "Traceback" not in server.log
