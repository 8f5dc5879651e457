"""Sends every example of the document to a real service, and tells what it answered."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import httpx

from prompts.api.openapi.ids import EXAMPLE_IDS
from tests.recording.plain import PlainText, make_plain, make_stream_plain
from tests.recording.world import HANDBOOK, World

METHODS = ("get", "post", "put", "delete")
FORMS: Mapping[str, dict[str, Any]] = {
    "uploadFile": {"files": {"file": ("handbook.md", HANDBOOK, "text/markdown")}, "data": {"purpose": "assistants"}}
}
"""The bodies that are forms, which the document cannot show."""
QUERIES: Mapping[str, dict[str, dict[str, str]]] = {
    "getResponse": {"as_it_stands": {}, "its_last_events": {"stream": "true", "starting_after": "3"}},
    "exportConversation": {"as_json": {}, "as_markdown": {"format": "markdown"}},
    "listConversations": {"the_last_one": {"limit": "1"}},
    "listFiles": {"the_last_one": {"limit": "1"}},
    "listVectorStores": {"the_last_one": {"limit": "1"}},
    "listPrompts": {"the_last_one": {"limit": "1"}},
}
"""Operations whose answers differ by their query: name of the example → query."""
PLAIN = "the_answer"
"""The name of the only example of an operation without a body."""
NEEDS: Mapping[str, str] = {
    "listConversations": "conversation_id",
    "listFiles": "file_id",
    "listVectorStores": "vector_store_id",
    "listPrompts": "prompt_id",
}
"""What an operation wants to be there, though neither its path nor its body names it."""
MAX_AT_ONCE = 8
Answers: TypeAlias = dict[str, dict[str, dict[str, Any]]]


def list_operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation."""
    for path, item in document["paths"].items():
        yield from ((method, path, item[method]) for method in METHODS if method in item)


def list_bodies(operation: dict[str, Any]) -> dict[str, Any]:
    """The examples of its body; without one, a nameless one."""
    shown = operation.get("requestBody", {"content": {}})["content"].get("application/json", {}).get("examples", {})
    return {name: example["value"] for name, example in shown.items()} or {PLAIN: None}


async def record_answers(http: httpx.AsyncClient, document: dict[str, Any]) -> Answers:
    """Operation → name of the example → the answer. Listings come first: they see nothing of the others."""
    room = asyncio.Semaphore(MAX_AT_ONCE)

    async def record(method: str, path: str, operation: dict[str, Any]) -> tuple[str, dict[str, dict[str, Any]]]:
        async with room:
            return operation["operationId"], await record_operation(http, method, path, operation)

    found = [*list_operations(document)]
    alone = [await record(*each) for each in found if each[2]["operationId"] in NEEDS]
    together = await asyncio.gather(*(record(*each) for each in found if each[2]["operationId"] not in NEEDS))
    return dict(sorted([*alone, *together]))


async def record_operation(
    http: httpx.AsyncClient, method: str, path: str, operation: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Name of the example → the answer, made plain. Each example has a world of its own."""
    operation_id = operation["operationId"]
    bodies = list_bodies(operation)
    variants: list[tuple[str, Any, dict[str, str]]] = [(name, body, {}) for name, body in bodies.items()]
    if operation_id in QUERIES:
        variants = [(name, None, query) for name, query in QUERIES[operation_id].items()]
    recorded = {}
    for name, body, query in variants:
        world = World(http, operation_id)
        if needed := NEEDS.get(operation_id):
            await world.get(needed)
        arguments: dict[str, Any] = dict(FORMS.get(operation_id, {}), params=query)
        if body is not None:
            arguments["content"] = await world.fill_in(json.dumps(body))
        answer = await http.request(method.upper(), await world.fill_path(path), **arguments)
        assert answer.status_code == 200, (operation_id, name, answer.text)
        recorded[name] = tell_answer(answer, world)
    return recorded


def tell_answer(answer: httpx.Response, world: World) -> dict[str, Any]:
    """Content type and body."""
    content_type = answer.headers["content-type"].partition(";")[0]
    text = PlainText().replace(world.forget_example_ids(answer.text), kept=frozenset(EXAMPLE_IDS.values()))
    body = make_plain(json.loads(text)) if content_type == "application/json" else make_stream_plain(text)
    return {"content_type": content_type, "body": body}
