"""What the examples of the document name: a conversation, a response, a file …, made anew for each operation."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import httpx

from prompts.api.openapi.ids import EXAMPLE_IDS
from tests.support.servers import eventually
from tests.support.turns import Stream

HELLO = "Count to 3"
QUESTION = "How many days of holiday are there?"
HANDBOOK = b"# Holiday\n\nThere are 30 days of holiday a year.\n\n# Sick leave\n\nTell your team on the first day.\n"


class World:
    """Makes each thing when it is first asked for, as Alice."""

    def __init__(self, http: httpx.AsyncClient, operation_id: str) -> None:
        self.http = http
        self.operation_id = operation_id
        self._made: dict[str, str] = {}

    async def get(self, name: str) -> str:
        """The id that a path calls so."""
        if name not in self._made:
            self._made[name] = await (OF_OPERATION.get((self.operation_id, name)) or MAKERS[name])(self)
        return self._made[name]

    async def fill_in(self, text: str) -> str:
        """The text with real ids in place of those of examples."""
        for name, example in EXAMPLE_IDS.items():
            if example in text:
                text = text.replace(example, await self.get(name))
        return text

    async def fill_path(self, path: str) -> str:
        """The path with real ids in place of the names in braces."""
        for name in re.findall(r"\{(\w+)\}", path):
            path = path.replace(f"{{{name}}}", await self.get(name))
        return path

    def forget_example_ids(self, text: str) -> str:
        """The text with the ids of examples in place of the real ones."""
        for name, made in self._made.items():
            if name in EXAMPLE_IDS:
                text = text.replace(made, EXAMPLE_IDS[name])
        return text

    async def ask(self, path: str, body: Any = None, *, method: str = "POST", **arguments: Any) -> dict[str, Any]:
        """One request that is answered."""
        if body is not None:
            arguments["json"] = body
        answer = await self.http.request(method, f"/v1/{path}", **arguments)
        assert answer.status_code == 200, (path, answer.text)
        found: dict[str, Any] = answer.json()
        return found


async def make_conversation(world: World) -> str:
    created = await world.ask("conversations", {"metadata": {"ticket": "4711"}})
    await world.ask("responses", {"input": HELLO, "conversation": created["id"]})
    return str(created["id"])


async def find_item(world: World) -> str:
    listed = await world.ask(f"conversations/{await world.get('conversation_id')}/items", method="GET")
    return str(listed["first_id"])


async def make_response(world: World) -> str:
    return str((await world.ask("responses", {"input": HELLO}))["id"])


async def make_active_response(world: World) -> str:
    body = {"input": "count to 500 [[standin token_s=1]]", "background": True}
    response_id = (await world.ask("responses", body))["id"]
    reader = Stream.of_response(world.http, response_id)
    await reader.see_words()
    await reader.leave()
    return str(response_id)


async def make_response_with_feedback(world: World) -> str:
    response_id = await make_response(world)
    feedback = {"score": 1, "comment": "Exactly what I needed."}
    await world.ask(f"responses/{response_id}/feedback", feedback, method="PUT")
    return response_id


async def make_response_with_passages(world: World) -> str:
    tool = {"type": "file_search", "vector_store_ids": [await world.get("vector_store_id")], "eps:when": "always"}
    return str((await world.ask("responses", {"input": QUESTION, "tools": [tool]}))["id"])


async def upload(world: World) -> str:
    file = ("handbook.md", HANDBOOK, "text/markdown")
    return str((await world.ask("files", files={"file": file}, data={"purpose": "assistants"}))["id"])


async def make_filled_store(world: World) -> str:
    file_id = await world.get("file_id")
    store = await world.ask("vector_stores", {"name": "Handbook"})
    body = {"file_id": file_id, "attributes": {"team": "support", "year": 2026}}
    await world.ask(f"vector_stores/{store['id']}/files", body)

    async def is_indexed() -> bool:
        counts = (await world.ask(f"vector_stores/{store['id']}", method="GET"))["file_counts"]
        return bool(counts["completed"] == counts["total"] == 1)

    await eventually(is_indexed)
    return str(store["id"])


async def make_empty_store(world: World) -> str:
    return str((await world.ask("vector_stores", {"name": "Handbook"}))["id"])


async def make_batch(world: World) -> str:
    store_id, file_id = await world.get("vector_store_id"), await world.get("file_id")
    made = await world.ask(f"vector_stores/{store_id}/file_batches", {"file_ids": [file_id]})
    path = f"vector_stores/{store_id}/file_batches/{made['id']}"

    async def is_done() -> bool:
        return bool((await world.ask(path, method="GET"))["status"] == "completed")

    await eventually(is_done)
    return str(made["id"])


async def make_prompt(world: World) -> str:
    made = await world.ask("prompts", {"prompt": "You speak with {{name}}.", "variables": ["name"], "name": "Greeter"})
    return str(made["prompt_id"])


async def name_model(_: World) -> str:
    return "stand-in"


Maker: TypeAlias = Callable[[World], Awaitable[str]]

MAKERS: dict[str, Maker] = {
    "conversation_id": make_conversation,
    "item_id": find_item,
    "response_id": make_response,
    "file_id": upload,
    "vector_store_id": make_filled_store,
    "batch_id": make_batch,
    "prompt_id": make_prompt,
    "model": name_model,
}
"""By the names of ids in paths. An operation with a new kind of id needs its maker here."""

OF_OPERATION: dict[tuple[str, str], Maker] = {
    ("cancelResponse", "response_id"): make_active_response,
    ("getFeedback", "response_id"): make_response_with_feedback,
    ("listPassages", "response_id"): make_response_with_passages,
    ("attachFile", "vector_store_id"): make_empty_store,
    ("createFileBatch", "vector_store_id"): make_empty_store,
}
"""Where an operation needs another one."""
