"""API keys: created by a command or in the admin, stored as a hash, published to Redis, reconciled."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from openai import AsyncOpenAI, AuthenticationError
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from typing_extensions import override

from prompts.adapters.redis import keys
from prompts.adapters.redis.api_keys import RedisApiKeys
from prompts.domain.ids import hash_key, hash_narrowed_key
from prompts.errors import Unavailable
from prompts.models import ApiKey
from prompts.ports.api_keys import NarrowedKey
from prompts.publishing.api_keys import keep_used, new_key, reconcile
from tests.support.servers import Replica, ValkeyServer, eventually
from tests.support.service import MAX_REFUSED_S, Service, manage
from tests.support.staff import submit

# Keys of one round trip.
AT_ONCE = 500
# How a value of each type is read. One of another type is a KeyError: it is not searched.
READERS: Mapping[bytes, Callable[[Pipeline, bytes], object]] = {
    b"string": lambda asked, name: asked.get(name),
    b"hash": lambda asked, name: asked.hgetall(name),
    b"stream": lambda asked, name: asked.xrange(name),
    b"set": lambda asked, name: asked.smembers(name),
    b"zset": lambda asked, name: asked.zrange(name, 0, -1),
}


async def ask(service: Service, key: str | None) -> int:
    """The status of an ordinary request with this key."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers) as client:
        return (await client.get("/v1/models")).status_code


async def run_manage(service: Service, *arguments: str) -> str:
    """Run a command beside the running replica."""
    return (await asyncio.to_thread(manage, service.environment, *arguments)).strip()


async def read_everything(redis_url: str, *, only: Collection[bytes] | None = None) -> bytes:
    """All keys and values of a Redis database, or those of some keys, joined."""
    parts: list[Any] = []
    async with Redis.from_url(redis_url) as redis:
        names: list[Any] = list(await redis.keys() if only is None else only)
        for some in (names[first : first + AT_ONCE] for first in range(0, len(names), AT_ONCE)):
            async with redis.pipeline(transaction=False) as asked:
                for name in some:
                    asked.type(name)
                kinds = await asked.execute()
            async with redis.pipeline(transaction=False) as asked:
                # It may have expired, or was deleted, since it was listed.
                there = [(name, kind) for name, kind in zip(some, kinds, strict=True) if kind != b"none"]
                for name, kind in there:
                    READERS[kind](asked, name)
                values = await asked.execute()
            parts += zip(there, values, strict=True)
    return repr(parts).encode()


def read_database(service: Service) -> bytes:
    """The bytes of the SQL database's files."""
    path = Path(service.environment["DATABASE_URL"].removeprefix("sqlite:///"))
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


async def test_it_works(alice: AsyncOpenAI) -> None:
    assert [model.id async for model in alice.models.list()]


@pytest.mark.parametrize("key", ["wrong", "eps-" + "x" * 43, hash_key("wrong")])
async def test_a_wrong_key_is_refused(service: Service, key: str) -> None:
    async with AsyncOpenAI(base_url=service.api_url, api_key=key, max_retries=0) as client:
        with pytest.raises(AuthenticationError) as raised:
            await client.responses.create(input="Hi", model="stand-in")
    assert raised.value.code == "invalid_api_key"
    assert key not in str(raised.value)


async def test_no_key_is_refused_and_told_how_to_send_one(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url) as client:
        answer = await client.get("/v1/models")
    assert answer.status_code == 401
    assert "Authorization: Bearer <key>" in answer.json()["error"]["message"]


async def test_the_hash_of_a_key_is_no_key(service: Service) -> None:
    assert await ask(service, service.alice_key) == 200
    assert await ask(service, hash_key(service.alice_key)) == 401


async def test_a_made_key_works_at_once_and_only_its_hash_is_stored(service: Service) -> None:
    key = await run_manage(service, "create_api_key", "dora")
    assert await ask(service, key) == 200
    stored = await read_everything(service.valkey.url) + await asyncio.to_thread(read_database, service)
    assert hash_key(key).encode() in stored
    assert key.encode() not in stored


async def test_a_chosen_key_belongs_to_its_first_owner(service: Service) -> None:
    key = new_key()
    assert await run_manage(service, "create_api_key", "erin", "--key", key) == key
    assert await run_manage(service, "create_api_key", "erin", "--key", key) == key
    with pytest.raises(AssertionError, match="belongs to another owner"):
        await run_manage(service, "create_api_key", "frank", "--key", key)
    assert await ask(service, key) == 200
    async with Redis.from_url(service.valkey.url) as redis:
        assert await redis.hget(keys.API_KEYS, hash_key(key)) == b"erin"


@pytest.mark.parametrize("key", ["short", "a key with blanks in it", "ключ-" * 10])
def test_a_key_that_cannot_be_sent_or_could_be_guessed_is_not_made(key: str) -> None:
    with pytest.raises(CommandError, match="visible ASCII characters"):
        call_command("create_api_key", "gus", "--key", key)


# --- `reconcile` with a real Redis and a real SQL database --------------------------------------------------------


@pytest.fixture
async def published_keys(valkey: ValkeyServer) -> AsyncIterator[RedisApiKeys]:
    """Published keys in a database of their own."""
    async with Redis.from_url(f"redis://127.0.0.1:{valkey.port}/2") as redis:
        await redis.flushdb()
        yield RedisApiKeys(redis)
        await redis.flushdb()


async def make_key(owner: str) -> str:
    """Create a key in SQL without publishing it."""
    key = new_key()
    await ApiKey.objects.acreate(owner=owner, key_hash=hash_key(key), hint=key[-4:])
    return key


async def find_owner(published_keys: RedisApiKeys, key: str) -> str | None:
    """The owner of a key, as a request finds it."""
    caller = await published_keys.find_caller(key)
    return caller.owner if caller else None


class Unreachable(RedisApiKeys):
    """A Redis that goes away between reading and writing."""

    @override
    async def publish(self, *, added: Mapping[str, str], removed: Sequence[str]) -> None:
        raise Unavailable("away")


class Raced(RedisApiKeys):
    """Another process creates a key while this one reads."""

    raced_key = ""

    @override
    async def published(self) -> dict[str, str]:
        published = await super().published()
        self.raced_key = await make_key("hank")
        await self.publish(added={hash_key(self.raced_key): "hank"}, removed=[])
        return published


@pytest.mark.django_db(transaction=True)
async def test_flushed_keys_are_published_again(published_keys: RedisApiKeys) -> None:
    key, other = await make_key("alice"), await make_key("bob")
    for _ in range(2):
        await reconcile(published_keys)
        assert await find_owner(published_keys, key) == "alice"
        assert await find_owner(published_keys, other) == "bob"
        await published_keys._redis.flushdb()


@pytest.mark.django_db(transaction=True)
async def test_keys_that_could_not_be_published_are_published_later(published_keys: RedisApiKeys) -> None:
    key = await make_key("alice")
    with pytest.raises(Unavailable):
        await reconcile(Unreachable(published_keys._redis))
    assert await find_owner(published_keys, key) is None
    await reconcile(published_keys)
    assert await find_owner(published_keys, key) == "alice"


@pytest.mark.django_db(transaction=True)
async def test_a_revoked_key_that_is_still_published_is_withdrawn(published_keys: RedisApiKeys) -> None:
    key, kept = await make_key("alice"), await make_key("alice")
    await reconcile(published_keys)
    await ApiKey.objects.filter(key_hash=hash_key(key)).aupdate(revoked_at=timezone.now())
    assert await find_owner(published_keys, key) == "alice"
    await reconcile(published_keys)
    assert await find_owner(published_keys, key) is None
    assert await find_owner(published_keys, kept) == "alice"


@pytest.mark.django_db(transaction=True)
async def test_a_forged_published_key_is_corrected(
    published_keys: RedisApiKeys,
) -> None:
    key = await make_key("alice")
    await published_keys.publish(added={hash_key(key): "mallory", hash_key("smuggled"): "mallory"}, removed=[])
    await reconcile(published_keys)
    assert await published_keys.published() == {hash_key(key): "alice"}


@pytest.mark.django_db(transaction=True)
async def test_a_key_made_while_reconciling_is_not_removed(published_keys: RedisApiKeys) -> None:
    raced = Raced(published_keys._redis)
    await reconcile(raced)
    assert await find_owner(published_keys, raced.raced_key) == "hank"


class Overtaken(RedisApiKeys):
    """A key is revoked, and withdrawn by who revokes it, while this one is about to publish what it has read."""

    @override
    async def publish(self, *, added: Mapping[str, str], removed: Sequence[str]) -> None:
        await ApiKey.objects.filter(key_hash__in=added).aupdate(revoked_at=timezone.now())
        await super().publish(added=added, removed=removed)


@pytest.mark.django_db(transaction=True)
async def test_a_key_that_is_revoked_while_it_is_published_opens_nothing(published_keys: RedisApiKeys) -> None:
    key = await make_key("alice")
    await reconcile(Overtaken(published_keys._redis))
    assert await find_owner(published_keys, key) is None


@pytest.mark.django_db(transaction=True)
async def test_narrowed_keys_are_published_apart_and_heal(published_keys: RedisApiKeys) -> None:
    key, later = new_key(), timezone.now() + timedelta(hours=1)
    row = ApiKey(owner="alice", scopes="read", expires_at=later)
    row.take(key)
    await row.asave()
    expected = {hash_narrowed_key(key): NarrowedKey("alice", ("read",), int(later.timestamp()))}
    forged = NarrowedKey("alice", ("read", "write"))
    for _ in range(2):
        await reconcile(published_keys)
        assert (await published_keys.published(), await published_keys.published_narrowed()) == ({}, expected)
        # A release that knows no such keys publishes them as whole ones; and somebody has tried to widen it.
        await published_keys.publish(added={hash_narrowed_key(key): "alice"}, removed=[])
        await published_keys.publish_narrowed(added={hash_narrowed_key(key): forged, "x": forged}, removed=[])
    await ApiKey.objects.aupdate(revoked_at=timezone.now())
    await reconcile(published_keys)
    assert (await published_keys.published(), await published_keys.published_narrowed()) == ({}, {})


@pytest.mark.django_db(transaction=True)
async def test_when_keys_were_used_comes_to_sql_and_never_goes_back(published_keys: RedisApiKeys) -> None:
    key, unused = await make_key("alice"), await make_key("bob")
    await reconcile(published_keys)
    await published_keys.find_caller(key)
    [used_s] = (await published_keys.list_used()).values()
    await keep_used(published_keys)
    assert await published_keys.list_used() == {}
    row = await ApiKey.objects.aget(key_hash=hash_key(key))
    assert row.last_used_at is not None
    assert row.last_used_at.timestamp() == used_s
    assert (await ApiKey.objects.aget(key_hash=hash_key(unused))).last_used_at is None
    await published_keys._redis.hset(keys.USED_KEYS, mapping={hash_key(key): used_s - 100, "of no key": 1})
    await keep_used(published_keys)
    assert (await ApiKey.objects.aget(key_hash=hash_key(key))).last_used_at == row.last_used_at


# --- `create_api_key` with scopes and an expiry ---


async def test_a_key_may_be_made_with_scopes_and_for_a_time(service: Service) -> None:
    key = new_key()
    made = ("create_api_key", "nina", "--key", key, "--name", "Nina's job", "--scopes", "read", "--expires-in", "90d")
    assert await run_manage(service, *made) == key
    assert await run_manage(service, *made) == key
    async with httpx.AsyncClient(base_url=service.url, headers={"Authorization": f"Bearer {key}"}) as client:
        assert (await client.get("/v1/conversations")).status_code == 200
        refused = await client.post("/v1/conversations")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
        assert "'write', and this API key has 'read'" in refused.json()["error"]["message"]
    with pytest.raises(AssertionError, match="with other scopes"):
        await run_manage(service, "create_api_key", "nina", "--key", key)


async def test_an_expired_key_opens_nothing_and_says_so(service: Service) -> None:
    key = await run_manage(service, "create_api_key", "nora", "--expires-in", "1s")
    async with httpx.AsyncClient(base_url=service.url, headers={"Authorization": f"Bearer {key}"}) as client:

        async def has_expired() -> bool:
            answer = await client.get("/v1/conversations")
            return answer.status_code == 401 and "has expired" in answer.json()["error"]["message"]

        await eventually(has_expired)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--scopes", "read,delete"), "no scope 'delete'"),
        (("--expires-in", "soon"), "a number and a unit"),
        (("--expires-in", "0d"), "a number and a unit"),
        (("--expires-in", "9999999999d"), "at most"),
        (("--name", "x" * 101), "at most 100 characters"),
    ],
)
def test_a_key_with_wrong_wishes_is_not_made(arguments: Sequence[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("create_api_key", "olga", *arguments)


# --- The admin of the running service ----------------------------------------------------------------------------


async def test_a_key_issued_in_the_admin_is_shown_once_and_revoked(
    service: Service, browser: httpx.AsyncClient
) -> None:
    answer = await submit(browser, "/admin/prompts/apikey/add/", owner="ivan")
    assert answer.history == []  # no redirect that has to carry the key
    assert "no-store" in answer.headers["cache-control"]
    [key] = re.findall(r"eps-[\w-]{43}", answer.text)
    assert key not in f"{dict(browser.cookies)}{answer.headers}"
    assert await ask(service, key) == 200
    listing = (await browser.get("/admin/prompts/apikey/?owner=ivan")).text
    assert key not in listing
    assert f"…{key[-4:]}" in listing
    stored = await read_everything(service.valkey.url) + await read_everything(service.valkey.cache_url)
    assert key.encode() not in stored
    row = re.search(r'name="_selected_action" value="(\d+)"', listing)
    assert row is not None, listing
    page = await submit(browser, "/admin/prompts/apikey/?owner=ivan", action="revoke", _selected_action=row[1])
    assert "1 key(s) revoked." in page.text

    async def is_refused() -> bool:
        return await ask(service, key) == 401

    await eventually(is_refused, within_s=MAX_REFUSED_S)
    with pytest.raises(AssertionError, match="was revoked"):
        await run_manage(service, "create_api_key", "ivan", "--key", key)


@pytest.mark.usefixtures("browser")
async def test_sessions_live_in_the_cache(service: Service) -> None:
    async with Redis.from_url(service.valkey.cache_url) as cache:
        assert any(b"session" in key for key in await cache.keys())
    async with Redis.from_url(service.valkey.url) as redis:
        assert not any(b"session" in key for key in await redis.keys())


async def test_the_admin_is_closed_to_strangers_and_forged_forms(service: Service, browser: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient(base_url=service.url) as stranger:
        assert (await stranger.get("/admin/prompts/apikey/")).status_code == 302
        headers = {"Authorization": f"Bearer {service.alice_key}"}
        assert (await stranger.get("/admin/prompts/apikey/", headers=headers)).status_code == 302
    forged = await browser.post("/admin/prompts/apikey/add/", data={"owner": "mallory"})
    assert forged.status_code == 403


async def test_a_key_is_neither_changed_nor_deleted_in_the_admin(browser: httpx.AsyncClient) -> None:
    await submit(browser, "/admin/prompts/apikey/add/", owner="judy")
    listing = (await browser.get("/admin/prompts/apikey/?owner=judy")).text
    row = re.search(r'name="_selected_action" value="(\d+)"', listing)
    assert row is not None
    delete = f"/admin/prompts/apikey/{row[1]}/delete/"
    form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"], "post": "yes"}
    assert (await browser.post(delete, data=form)).status_code == 403
    change = f"/admin/prompts/apikey/{row[1]}/change/"
    wider = {"owner": "mallory", "scopes": "admin", "expires_at_0": "2099-01-01", "expires_at_1": "00:00", "hint": "x"}
    await submit(browser, change, name="Judy's <b>job</b>", **wider)
    page = (await browser.get(change)).text
    assert "Judy&#x27;s &lt;b&gt;job&lt;/b&gt;" in page
    assert "mallory" not in page
    assert "everything" in page


async def test_a_key_of_the_admin_has_scopes_and_an_end(
    service: Service, other_replica: Replica, browser: httpx.AsyncClient
) -> None:
    add = "/admin/prompts/apikey/add/"
    late = {"expires_at_0": "2099-01-01", "expires_at_1": "00:00"}
    answer = await submit(browser, add, owner="kate", name="Reader", scopes="read", **late)
    [key] = re.findall(r"eps-[\w-]{43}", answer.text)
    assert await ask(service, key) == 200
    async with httpx.AsyncClient(base_url=service.url, headers={"Authorization": f"Bearer {key}"}) as client:
        assert (await client.post("/v1/conversations")).status_code == 403
    for wrong in ({"scopes": "root"}, {"expires_at_0": "2001-01-01", "expires_at_1": "00:00"}):
        page = (await submit(browser, add, owner="kate", **wrong)).text
        assert "Please correct the error" in page
    for state, is_there in (("valid", True), ("expired", False), ("revoked", False)):
        listing = (await browser.get(f"/admin/prompts/apikey/?owner=kate&state={state}")).text
        assert (f"…{key[-4:]}" in listing) == is_there
    [row] = re.findall(
        r"/admin/prompts/apikey/(\d+)/change/", (await browser.get("/admin/prompts/apikey/?q=kate")).text
    )
    await submit(browser, "/admin/prompts/apikey/", action="revoke", _selected_action=row)
    async with httpx.AsyncClient(base_url=other_replica.url, headers={"Authorization": f"Bearer {key}"}) as client:
        assert (await client.get("/v1/conversations")).status_code == 401
