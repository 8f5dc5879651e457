"""Which models may be asked for, and under which names; and the catalogue that the Codex CLI reads."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.model_shapes.shape import GOOD
from tests.support.raw_model import JSON, RawModelServer, Reply, reply_json
from tests.support.server_fixtures import StartReplica
from tests.support.service import Service
from tests.support.turns import open_client, wait_until_known

# Every field that a release of Codex with a catalogue has needed, with its type there (codex-rs/protocol/src/
# openai_models.rs, from 0.90 to 0.171).
NULL = type(None)
NEEDED: dict[str, type | tuple[type, ...]] = {
    "slug": str,
    "display_name": str,
    "description": (str, NULL),
    "supported_reasoning_levels": list,
    "shell_type": str,
    "visibility": str,
    "supported_in_api": bool,
    "priority": int,
    "additional_speed_tiers": list,
    "service_tiers": list,
    "availability_nux": (dict, NULL),
    "upgrade": (dict, NULL),
    "base_instructions": str,
    "supports_reasoning_summaries": bool,
    "default_reasoning_summary": str,
    "support_verbosity": bool,
    "default_verbosity": (str, NULL),
    "apply_patch_tool_type": (str, NULL),
    "web_search_tool_type": str,
    "truncation_policy": dict,
    "supports_parallel_tool_calls": bool,
    "supports_image_detail_original": bool,
    "effective_context_window_percent": int,
    "experimental_supported_tools": list,
    "input_modalities": list,
    "supports_search_tool": bool,
    "use_responses_lite": bool,
}
LISTED = reply_json({"object": "list", "data": [{"id": "llama3.2:latest"}, {"id": "models/gemini"}, {"id": "qwen"}]})


async def test_codex_is_given_its_catalogue_beside_the_list(http: httpx.AsyncClient) -> None:
    plain = (await http.get("/v1/models")).json()
    answer = (await http.get("/v1/models", params={"client_version": "0.171.0"})).json()
    assert "models" not in plain
    assert {name: answer[name] for name in ("object", "data")} == plain
    assert [model["slug"] for model in answer["models"]] == ["stand-in", "stand-in-embedding"]  # the default first
    for model in answer["models"]:
        wrong = [name for name, kind in NEEDED.items() if not isinstance(model[name], kind)]
        assert wrong == []
        assert (model["visibility"], model["shell_type"]) == ("list", "shell_command")
        assert model["truncation_policy"] == {"mode": "bytes", "limit": 10_000}
        assert all(set(level) == {"effort", "description"} for level in model["supported_reasoning_levels"])


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (LISTED, ["llama3.2", "llama3.2:latest", "models/gemini", "gemini", "fast", "far"]),
        (reply_json({"object": "list", "data": []}), ["llama3.2", "fast"]),
        pytest.param(Reply([], 404), ["llama3.2"], marks=pytest.mark.long),
        pytest.param(Reply([b"<html>"], 200, {"content-type": "text/html"}), ["llama3.2"], marks=pytest.mark.long),
        (Reply([20.0], 200, JSON), ["llama3.2"]),
    ],
    ids=["names", "nothing", "no list", "a page", "slowly"],
)
async def test_a_model_may_be_asked_for_by_each_of_its_names(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, models: Reply, names: list[str]
) -> None:
    with RawModelServer() as raw_model:
        raw_model.models = models
        raw_model.play(GOOD)
        aliases = '{"fast": "llama3.2", "far": "elsewhere/unlisted"}'
        model = {"OPENAI_BASE_URL": raw_model.base_url, "MODEL_ALIASES": aliases, "MODEL_CONNECT_S": "1"}
        redis_url = service.environment["REDIS_URL"].removesuffix("/0") + "/4"
        environment = {**service.environment, **model, "DEFAULT_MODEL": "llama3.2", "REDIS_URL": redis_url}
        replica = await asyncio.to_thread(start_replica, environment)
        async with open_client(http, replica) as client:
            await wait_until_known(client)
            for asked in ({}, *({"model": name} for name in names)):
                answer = await client.post("/v1/responses", json={"input": "Hello", **asked})
                assert (answer.status_code, answer.json()["status"]) == (200, "completed")
            for name in names:
                assert (await client.get(f"/v1/models/{name}")).json()["id"] == name
            await check_the_unknown(client, is_listed=models is LISTED)
        sent: list[Any] = [body["model"] for body in raw_model.bodies]
        if models is LISTED:
            latest, gemini = "llama3.2:latest", "models/gemini"
            assert sent == [latest, latest, latest, gemini, gemini, latest, "elsewhere/unlisted"]


async def check_the_unknown(client: httpx.AsyncClient, *, is_listed: bool) -> None:
    """Only a server that says what it has refuses the rest, in each place alike."""
    expected = 404 if is_listed else 200
    assert (await client.get("/v1/models/nobody-serves-this")).status_code == expected
    body = {"input": "Hello", "model": "nobody-serves-this"}
    assert (await client.post("/v1/responses", json=body)).status_code == expected
