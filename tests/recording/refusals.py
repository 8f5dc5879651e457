"""Makes a real service refuse: code → a request that it refuses so. The others have tests of their own."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import httpx

from tests.recording.world import World
from tests.support.refusals import UNKNOWN_CONVERSATION, UNKNOWN_FILE, UNKNOWN_ITEM, UNKNOWN_RESPONSE
from tests.support.turns import Stream

Refuse: TypeAlias = Callable[[World], Awaitable[httpx.Response]]
_IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,%%%"}


def _turn(**body: Any) -> Refuse:
    return _post("responses", {"input": "Hello", **body})


def _post(path: str, body: Any) -> Refuse:
    return lambda world: world.http.post(f"/v1/{path}", json=body)


def _get(path: str) -> Refuse:
    return lambda world: world.http.get(f"/v1/{path}")


def _model(words: str) -> Refuse:
    return _turn(input=f"Hello [[standin {words}]]")


async def _without_key(world: World) -> httpx.Response:
    return await world.http.get("/v1/models", headers={"Authorization": ""})


async def _write_with_a_readers_secret(world: World) -> httpx.Response:
    secret = (await world.ask("client_secrets", {"scopes": ["read"]}))["value"]
    return await world.http.post("/v1/conversations", json={}, headers={"Authorization": f"Bearer {secret}"})


async def _come_from_elsewhere(world: World) -> httpx.Response:
    return await world.http.get("/v1/models", headers={"Origin": "https://elsewhere.example"})


async def _change_an_old_version(world: World) -> httpx.Response:
    path = f"prompts/{await world.get('prompt_id')}"
    change = {"version": 1, "prompt": "You are brief."}
    await world.ask(path, change, method="PUT")
    return await world.http.put(f"/v1/{path}", json=change)


async def _lock(world: World) -> httpx.Response:
    conversation_id = (await world.ask("conversations", {}))["id"]
    reader = Stream.of_turn(world.http, "count to 500 [[standin token_s=0.1]]", conversation=conversation_id)
    await reader.see_words()
    answer = await world.http.post("/v1/responses", json={"input": "Hello", "conversation": conversation_id})
    await reader.leave()
    return answer


async def _continue_too_early(world: World) -> httpx.Response:
    body = {"input": "count to 500 [[standin token_s=0.1]]", "background": True}
    active = (await world.ask("responses", body))["id"]
    answer = await world.http.post("/v1/responses", json={"input": "Hello", "previous_response_id": active})
    await world.ask(f"responses/{active}/cancel")
    return answer


async def _cancel_too_late(world: World) -> httpx.Response:
    return await world.http.post(f"/v1/responses/{await world.get('response_id')}/cancel")


async def _read_no_feedback(world: World) -> httpx.Response:
    return await world.http.get(f"/v1/responses/{await world.get('response_id')}/feedback")


async def _find_no_item(world: World) -> httpx.Response:
    return await world.http.get(f"/v1/conversations/{await world.get('conversation_id')}/items/{UNKNOWN_ITEM}")


async def _find_no_batch(world: World) -> httpx.Response:
    path = f"/v1/vector_stores/{await make_store(world)}/file_batches/vsfb_{'0' * 32}"
    return await world.http.get(path)


async def make_store(world: World) -> str:
    return str((await world.ask("vector_stores", {}))["id"])


async def _reuse_key(world: World) -> httpx.Response:
    key = {"Idempotency-Key": f"reuse-{await world.get('response_id')}"}
    await world.ask("responses", {"input": "Hello"}, headers=key)
    return await world.http.post("/v1/responses", json={"input": "Good-bye"}, headers=key)


async def _use_wrong_method(world: World) -> httpx.Response:
    return await world.http.patch("/v1/responses")


async def _send_too_much(world: World) -> httpx.Response:
    return await world.http.post("/v1/responses", content=b" " * (10 * 2**20 + 1))


async def _send_long_headers(world: World) -> httpx.Response:
    return await world.http.get("/v1/models", headers={"x-long": "x" * 70_000})


REFUSE: Mapping[str, Refuse] = {
    "invalid_request_error": _turn(input=[{"role": "boss", "content": "Hello"}]),
    "invalid_encrypted_content": _turn(input=[{"type": "compaction", "encrypted_content": "gAAAAA"}]),
    "invalid_prompt": _model("status=400"),
    "invalid_base64_image": _turn(input=[{"role": "user", "content": [_IMAGE]}]),
    "context_length_exceeded": _model("status=400 code=context_length_exceeded"),
    "invalid_api_key": _without_key,
    "insufficient_scope": _write_with_a_readers_secret,
    "origin_not_allowed": _come_from_elsewhere,
    "response_not_found": _get(f"responses/{UNKNOWN_RESPONSE}"),
    "previous_response_not_found": _turn(previous_response_id=UNKNOWN_RESPONSE),
    "conversation_not_found": _get(f"conversations/{UNKNOWN_CONVERSATION}"),
    "item_not_found": _find_no_item,
    "feedback_not_found": _read_no_feedback,
    "file_not_found": _get(f"files/{UNKNOWN_FILE}"),
    "vector_store_not_found": _get(f"vector_stores/vs_{'0' * 32}"),
    "file_batch_not_found": _find_no_batch,
    "prompt_not_found": _get(f"prompts/pmpt_{'0' * 32}"),
    "prompt_changed": _change_an_old_version,
    "model_not_found": _turn(model="gpt-nope"),
    "unknown_url": _get("respones"),
    "method_not_allowed": _use_wrong_method,
    "conversation_locked": _lock,
    "response_not_ended": _continue_too_early,
    "response_ended": _cancel_too_late,
    "request_too_large": _send_too_much,
    "headers_too_large": _send_long_headers,
    "idempotency_key_reused": _reuse_key,
    "rate_limit_exceeded": _model("status=429 retry_after=7"),
    "insufficient_quota": _model("status=429 code=insufficient_quota"),
    "upstream_error": _model("status=500"),
    "upstream_timeout": _model("headers_s=30"),
}

SHOWN_ELSEWHERE: Mapping[str, str] = {
    "unsupported_parameter": "tests/integration/test_websocket.py",
    "invalid_stream_id": "tests/integration/test_websocket.py",
    "websocket_stream_limit_reached": "tests/integration/test_websocket.py",
    "websocket_connection_limit_reached": "tests/integration/test_websocket_life.py",
    "too_many_websockets": "tests/integration/test_websocket_life.py",
    "websocket_queue_full": "tests/integration/test_websocket.py",
    "client_secret_expired": "tests/integration/test_client_secrets.py",
    "signed_out": "tests/integration/test_sign_in.py",
    "forged_request": "tests/integration/test_sign_in.py",
    "history_too_deep": "tests/integration/test_deep_histories.py",
    "vector_store_expired": "tests/contract/test_vector_stores.py",
    "request_timeout": "tests/integration/test_uploads.py",
    "stream_expired": "tests/integration/test_follow.py",
    "websockets_off": "tests/integration/test_websocket_life.py",
    "quota_exceeded": "tests/integration/test_quota.py",
    "internal_error": "tests/unit/test_run.py",
    "answer_too_large": "tests/integration/test_endless_answers.py",
    "replica_lost": "tests/integration/test_takeover.py",
    "dependency_unavailable": "tests/integration/test_redis_away.py",
    "storage_full": "tests/integration/test_storage_full.py",
    "draining": "tests/integration/test_drain.py",
    "overloaded": "tests/integration/test_replica_life.py",
    "upstream_unavailable": "tests/integration/test_model_breaker.py",
}
"""Those that take a loss, a full store or a long time: the test that sees each."""
