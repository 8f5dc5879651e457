"""Client secrets and origins over a WebSocket: what is refused over HTTP is refused at the upgrade, or at a turn."""

import asyncio
import time

import httpx
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.domain.ids import hash_key
from tests.support.client_secrets import forge, make_secret
from tests.support.servers import Replica
from tests.support.service import Service, manage
from tests.support.turns import get_text, make_conversation
from tests.support.websockets import Frame, Talk, open_refused, open_talk

SITE = "https://sockets.example"


async def ask_until_refused(talk: Talk) -> Frame:
    """The first refusal of turns that ask no model."""
    async with asyncio.timeout(30):
        while True:
            await talk.create(generate=False, store=False)
            if (last := (await talk.read_events())[-1])["type"] == "error":
                return last


# --- at the upgrade ---


async def test_a_secret_opens_a_connection_for_what_it_may(http: httpx.AsyncClient, service: Service) -> None:
    for scopes in (["write"], ["read", "write"]):
        async with open_talk(service.url, await make_secret(http, scopes=scopes)) as talk:
            assert get_text(await talk.ask("count to 2")) == "1 2"
    readers = await make_secret(http, scopes=["read"])
    assert await open_refused(service.url, readers) == (403, "insufficient_scope")


async def test_an_expired_or_forged_secret_opens_none(service: Service) -> None:
    expired = forge(service, expires_at=int(time.time()) - 1)
    assert await open_refused(service.url, expired) == (401, "client_secret_expired")
    for wrong in (forge(service, owner="bob"), forge(service, maker=hash_key("never a key")), "ek_x", expired[:-2]):
        assert await open_refused(service.url, wrong) == (401, "invalid_api_key")


async def test_a_page_connects_where_the_secrets_own_project_allows_it(
    http: httpx.AsyncClient, service: Service, other_replica: Replica
) -> None:
    await asyncio.to_thread(manage, service.environment, "allow_origin", "bob", SITE)
    alices, bobs = await make_secret(http), forge(service, owner="bob", maker=hash_key(service.bob_key))
    assert await open_refused(service.url, alices, Origin=SITE) == (403, "origin_not_allowed")
    for wrong in (f"{SITE}.evil.example", f"{SITE}:444", SITE.replace("https", "http"), "null"):
        assert await open_refused(service.url, bobs, Origin=wrong) == (403, "origin_not_allowed")
    async with open_talk(other_replica.url, bobs, Origin=SITE) as talk:
        assert get_text(await talk.ask("count to 2")) == "1 2"
        await asyncio.to_thread(manage, service.environment, "allow_origin", "bob", SITE, "--remove")
        await talk.create("Hello")
        await talk.be_refused(status=403, code="origin_not_allowed")
    assert await open_refused(service.url, bobs, Origin=SITE) == (403, "origin_not_allowed")


# --- at a turn ---


async def test_a_secret_that_expires_ends_its_connection(service: Service) -> None:
    async with open_talk(service.url, forge(service, expires_at=int(time.time()) + 2)) as talk:
        refused = await ask_until_refused(talk)
        assert (refused["status"], refused["error"]["code"]) == (401, "client_secret_expired")
        assert await talk.read_close() == 1008


async def test_a_revoked_key_takes_the_connections_of_its_secrets_with_it(service: Service) -> None:
    key = (await asyncio.to_thread(manage, service.environment, "create_api_key", "dora")).strip()
    secret = forge(service, owner="dora", maker=hash_key(key))
    async with open_talk(service.url, secret) as talk, Redis.from_url(service.valkey.url) as redis:
        await talk.ask("Hello", generate=False)
        await redis.hdel(keys.API_KEYS, hash_key(key))  # what a revocation does everywhere, at once
        await talk.create("Hello")
        await talk.be_refused(status=401, code="invalid_api_key")
        assert await talk.read_close() == 1008


async def test_a_conversations_secret_has_turns_of_that_conversation_alone(
    http: httpx.AsyncClient, service: Service
) -> None:
    own, other = [await make_conversation(http) for _ in range(2)]
    async with open_talk(service.url, await make_secret(http, conversation=own)) as talk:
        first = await talk.ask("My name is Ada.", conversation=own)
        outside = [
            ({}, "conversation"),
            ({"conversation": other}, "conversation"),
            ({"previous_response_id": first["id"]}, "conversation"),
            ({"store": False}, "conversation"),
            ({"generate": False}, "conversation"),
            ({"conversation": other, "generate": False}, "conversation"),
            ({"conversation": own, "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, "tools"),
            ({"conversation": own, "prompt": {"id": "pmpt_1"}}, "prompt"),
        ]
        for body, param in outside:
            await talk.create("What is my name?", **body)
            await talk.be_refused(status=403, code="insufficient_scope", param=param)
        await talk.create([{"type": "item_reference", "id": first["output"][0]["id"]}], conversation=own)
        await talk.be_refused(status=403, code="insufficient_scope", param="input[0].id")
        assert get_text(await talk.ask("What is my name?", conversation=own)) == "Your name is Ada."
    assert (await http.get(f"/v1/conversations/{other}/items")).json()["data"] == []
