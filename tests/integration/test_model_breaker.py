"""A model's server that fails again and again is left alone for a moment, and asked again when it may be back."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.servers import Replica, StandinServer, ValkeyServer, eventually
from tests.support.service import ALICE_KEY, prepare, service_environment


@pytest.fixture
def replica(own_valkey: ValkeyServer, standin: StandinServer, tmp_path: Path) -> Iterator[Replica]:
    """A replica of one process, whose breaker opens after two failures."""
    environment = service_environment(own_valkey, standin, tmp_path)
    environment |= {"MODEL_BREAKER_FAILURES": "2", "WORKERS": "1"}
    prepare(environment)
    with Replica(tmp_path / "replica", environment) as running:
        yield running


async def test_a_failing_model_is_left_alone_and_asked_again(replica: Replica) -> None:
    headers = {"Authorization": f"Bearer {ALICE_KEY}"}
    async with httpx.AsyncClient(base_url=replica.url, headers=headers, timeout=30) as http:

        async def ask(text: str) -> httpx.Response:
            return await http.post("/v1/responses", json={"input": text})

        for _ in range(2):
            assert (await ask("Hello [[standin status=400 code=invalid_prompt]]")).status_code == 400
        assert (await ask("Hello")).status_code == 200  # a client's own error is nobody's failure
        for _ in range(2):
            assert (await ask("Hello [[standin status=500]]")).status_code == 502
        refused = await ask("Hello")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "upstream_unavailable"
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert (await http.get("/readyz")).status_code == 200  # another replica would fare no better

        async def is_back() -> bool:
            return (await ask("Hello")).status_code == 200

        await eventually(is_back, within_s=30)
