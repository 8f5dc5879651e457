"""One turn over plain HTTP, as several tests ask for it and look at what it left behind."""

from typing import Any

import httpx

from tests.oracle import check_error, check_events, read_frames

# The stand-in's own words, where our dependencies are, what only a log may say: none of it may reach a client.
FOREIGN = ("The stand-in was told", "127.0.0.1", "localhost", "the key of the model's server", "Traceback")


async def make_conversation(http: httpx.AsyncClient) -> str:
    """A conversation of Alice's, without items."""
    answer = await http.post("/v1/conversations", json={})
    conversation_id: str = answer.json()["id"]
    return conversation_id


async def ask(http: httpx.AsyncClient, text: str, **body: Any) -> httpx.Response:
    """One turn, with nothing foreign in its answer."""
    answer = await http.post("/v1/responses", json={"input": text, **body})
    assert not [word for word in FOREIGN if word in answer.text], answer.text
    if answer.status_code >= 400:
        check_error(answer.json())
    return answer


async def check_stored(http: httpx.AsyncClient, streamed: httpx.Response) -> dict[str, Any]:
    """The terminal event's response, which is also what GET gives, byte for byte."""
    assert streamed.status_code == 200
    assert b"event: error" not in streamed.content
    final = check_events(read_frames(streamed.content))
    stored = await http.get(f"/v1/responses/{final['id']}")
    assert stored.content in streamed.content
    return final


async def check_free_and_unmoved(http: httpx.AsyncClient, conversation_id: str) -> None:
    """A failed turn left the conversation as it was, and the next one is welcome."""
    conversation = (await http.get(f"/v1/conversations/{conversation_id}")).json()
    assert conversation["eps:active_response_id"] is None
    assert (await http.get(f"/v1/conversations/{conversation_id}/items")).json()["data"] == []
    assert (await ask(http, "Hello", conversation=conversation_id)).status_code == 200


def get_text(response: dict[str, Any]) -> str:
    """The words of a response's one message, empty when it has none."""
    return "".join(part["text"] for item in response["output"] for part in item["content"])
