"""`make examples`: asks a real service all that the document shows, and writes down what it answers."""

import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import httpx

from prompts.api.openapi.recorded import RECORDED
from tests.recording.answers import record_answers
from tests.recording.events import QUIET_SETTINGS, record_events
from tests.support.servers import Replica, StandinServer, ValkeyServer
from tests.support.service import ALICE_KEY, Service, start_service


async def record(service: Service, quiet: Replica) -> dict[str, Any]:
    """Answers and events."""
    headers = {"Authorization": f"Bearer {ALICE_KEY}"}
    async with (
        httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30) as http,
        httpx.AsyncClient(base_url=quiet.url, headers=headers, timeout=30) as quiet_http,
    ):
        document = (await http.get("/v1/openapi.json")).json()
        return {"answers": await record_answers(http, document), "events": await record_events(http, quiet_http)}


def main() -> None:
    os.environ.setdefault("SECRET_KEY", "a key for recording, which protects nothing")
    with tempfile.TemporaryDirectory() as name:
        places = [Path(name) / each for each in ("valkey", "standin", "service", "quiet")]
        for place in places:
            place.mkdir()
        valkey, standin, directory, quiet_directory = places
        with (
            ValkeyServer(valkey) as store,
            StandinServer(standin) as model,
            start_service(store, model, directory) as service,
            Replica(quiet_directory, {**service.environment, **QUIET_SETTINGS}) as quiet,
        ):
            recorded = asyncio.run(record(service, quiet))
    RECORDED.write_text(json.dumps(recorded, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
