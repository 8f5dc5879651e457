"""`ApiKeys`: the owner of a key, and how many requests they may send. On Redis alone: there is no fake."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.adapters.redis.api_keys import RedisApiKeys
from prompts.adapters.redis.keys import RUNNING_PREFIX
from prompts.adapters.redis.user_proofs import RedisUserProofs
from prompts.domain.ids import hash_key, hash_narrowed_key
from prompts.errors import ClientSecretExpired, InvalidApiKey
from prompts.ports.api_keys import ApiKeys, Caller, NarrowedKey
from prompts.ports.client_secrets import ALL_SCOPES, ClientSecret, seal_secret
from tests.contract.port_turns import OWNER, STRANGER
from tests.support.sealer import SEALER

KEY, OTHER_KEY = "a key of Alice's", "a key of Bob's"
A_MINUTE_S = 60


@pytest.fixture
async def api_keys(redis: Redis) -> ApiKeys:
    """A key of Alice and one of Bob, without a limit."""
    return await open_keys(redis)


async def open_keys(redis: Redis, *, requests_per_minute: int = 0) -> ApiKeys:
    """The same with a limit."""
    opened = RedisApiKeys(redis, requests_per_minute=requests_per_minute, sealer=SEALER)
    await opened.publish(added={hash_key(KEY): OWNER, hash_key(OTHER_KEY): STRANGER}, removed=[])
    return opened


async def open_replica(redis: Redis, replica_id: str, *, lease_s: float = 60) -> ApiKeys:
    """The same of one of several replicas."""
    await open_keys(redis)
    return RedisApiKeys(redis, replica_id=replica_id, lease_s=lease_s)


async def find_owner(api_keys: ApiKeys, key: str) -> str | None:
    """The owner of a key."""
    caller = await api_keys.find_caller(key)
    return caller.owner if caller else None


async def ask(api_keys: ApiKeys, key: str = KEY) -> Caller:
    """One request with a valid key."""
    caller = await api_keys.find_caller(key)
    assert caller is not None
    return caller


async def test_a_key_is_its_owners(api_keys: ApiKeys) -> None:
    assert [await find_owner(api_keys, key) for key in (KEY, OTHER_KEY)] == [OWNER, STRANGER]


@pytest.mark.parametrize("key", ["", "wrong", hash_key(KEY), KEY.upper(), f"{KEY} ", "ключ", "\ud800"])
async def test_another_text_is_not_a_key(api_keys: ApiKeys, key: str) -> None:
    assert await api_keys.find_caller(key) is None


async def test_published_keys_can_be_listed(api_keys: ApiKeys) -> None:
    assert await api_keys.published() == {hash_key(KEY): OWNER, hash_key(OTHER_KEY): STRANGER}


async def test_a_removed_key_is_not_valid(api_keys: ApiKeys) -> None:
    await api_keys.publish(added={}, removed=[hash_key(KEY), hash_key("never published")])
    assert [await find_owner(api_keys, key) for key in (KEY, OTHER_KEY)] == [None, STRANGER]


async def test_keys_come_and_go_in_one_step(api_keys: ApiKeys) -> None:
    await api_keys.publish(added={hash_key("new"): "carol"}, removed=[hash_key(KEY)])
    assert await api_keys.published() == {hash_key("new"): "carol", hash_key(OTHER_KEY): STRANGER}


async def test_a_key_may_be_given_to_another_owner(api_keys: ApiKeys) -> None:
    await api_keys.publish(added={hash_key(KEY): STRANGER}, removed=[])
    assert await find_owner(api_keys, KEY) == STRANGER


async def test_publishing_nothing_changes_nothing(api_keys: ApiKeys) -> None:
    before = await api_keys.published()
    await api_keys.publish(added={}, removed=[])
    assert await api_keys.published() == before


# --- keys that open less, or for a time ---

READERS_KEY = "a key of Alice's, to read"


async def narrow(api_keys: ApiKeys, key: str = READERS_KEY, **narrowed: Any) -> None:
    """Publish a key that opens less than everything."""
    await api_keys.publish_narrowed(added={hash_narrowed_key(key): NarrowedKey(OWNER, **narrowed)}, removed=[])


async def test_a_narrowed_key_is_its_owners_and_says_what_it_may_do(api_keys: ApiKeys) -> None:
    await narrow(api_keys, scopes=("read", "write"))
    caller = await ask(api_keys, READERS_KEY)
    assert (caller.owner, caller.scopes, caller.expires_at) == (OWNER, frozenset({"read", "write"}), 0)
    assert (await ask(api_keys)).scopes == ALL_SCOPES


async def test_a_narrowed_key_ends_with_its_time(api_keys: ApiKeys) -> None:
    now_s = (await ask(api_keys)).now_s
    await narrow(api_keys, expires_at=now_s + 60)
    caller = await ask(api_keys, READERS_KEY)
    assert (caller.scopes, caller.expires_at) == (ALL_SCOPES, now_s + 60)
    for expires_at in (now_s, 1):
        await narrow(api_keys, expires_at=expires_at)
        with pytest.raises(InvalidApiKey, match="has expired"):
            await api_keys.find_caller(READERS_KEY)


async def test_narrowed_keys_come_and_go_in_one_step(api_keys: ApiKeys) -> None:
    await narrow(api_keys, scopes=("read",))
    published = await api_keys.published_narrowed()
    assert published == {hash_narrowed_key(READERS_KEY): NarrowedKey(OWNER, ("read",))}
    await api_keys.publish_narrowed(added={"another": NarrowedKey(STRANGER, expires_at=1)}, removed=list(published))
    assert await api_keys.published_narrowed() == {"another": NarrowedKey(STRANGER, expires_at=1)}
    assert await find_owner(api_keys, READERS_KEY) is None


@pytest.mark.parametrize("text", [hash_narrowed_key(READERS_KEY), f"narrowed:{hash_narrowed_key(READERS_KEY)}"])
async def test_the_hash_of_a_narrowed_key_is_no_key(api_keys: ApiKeys, text: str) -> None:
    await narrow(api_keys, scopes=("read",))
    # A release that knows no narrowed keys publishes each as one that opens everything.
    await api_keys.publish(added={hash_narrowed_key(READERS_KEY): OWNER}, removed=[])
    assert await find_owner(api_keys, text) is None
    assert (await ask(api_keys, READERS_KEY)).scopes == frozenset({"read"})


async def test_a_secret_has_no_more_than_the_narrowed_key_that_made_it(api_keys: ApiKeys) -> None:
    await narrow(api_keys, scopes=("admin", "read"), expires_at=2**40)
    maker = (await ask(api_keys, READERS_KEY)).maker or ""
    secret = seal(maker=maker, scopes=frozenset({"read", "write"}))
    assert (await ask(api_keys, secret)).scopes == frozenset({"read"})
    await narrow(api_keys, scopes=("admin", "read"), expires_at=1)
    with pytest.raises(InvalidApiKey):
        await api_keys.find_caller(secret)
    await api_keys.publish_narrowed(added={}, removed=[hash_narrowed_key(READERS_KEY)])
    await api_keys.publish(added={hash_narrowed_key(READERS_KEY): OWNER}, removed=[])
    assert await find_owner(api_keys, secret) is None


# --- when they were used ---


async def test_a_use_is_noted_until_it_was_written_down(api_keys: ApiKeys) -> None:
    await narrow(api_keys, scopes=("read",))
    assert await find_owner(api_keys, "wrong") is None
    now_s = (await ask(api_keys)).now_s
    await ask(api_keys, READERS_KEY)
    await ask(api_keys, seal(maker=hash_key(OTHER_KEY), owner=STRANGER))
    used = await api_keys.list_used()
    assert set(used) == {hash_key(KEY), hash_narrowed_key(READERS_KEY), hash_key(OTHER_KEY)}
    assert all(0 <= used_s - now_s < 60 for used_s in used.values())
    await api_keys.forget_used({**used, hash_key(KEY): now_s - 1})  # it was used again since
    assert set(await api_keys.list_used()) == {hash_key(KEY)}


async def test_what_opens_nothing_was_not_used(redis: Redis, api_keys: ApiKeys) -> None:
    proofs = RedisUserProofs(redis)
    await narrow(api_keys, expires_at=1)
    with pytest.raises(InvalidApiKey):
        await api_keys.find_caller(READERS_KEY)
    with pytest.raises(ClientSecretExpired):
        await api_keys.find_caller(seal(expires_at=0))
    await ask(api_keys, seal(owner="user:1", maker="user:1", user_proof=(await proofs.get_proof("user:1")).proof))
    assert await api_keys.list_used() == {}


# --- the limit ---


async def test_without_a_limit_everybody_may_ask(api_keys: ApiKeys) -> None:
    for _ in range(20):
        caller = replace(await ask(api_keys), maker=None, now_s=0)
        assert caller == Caller(OWNER, may_ask=True, limit=0, remaining=0, reset_s=0)


async def test_what_other_replicas_run_is_told_until_it_changes_or_they_die(redis: Redis) -> None:
    here, there = [await open_replica(redis, replica_id) for replica_id in ("rep_1", "rep_2")]
    dying = await open_replica(redis, "rep_3", lease_s=0.3)
    await there.tell_running({OWNER: 3, STRANGER: 1})
    await there.tell_running({OWNER: 2})
    await here.tell_running({OWNER: 7})
    assert [(await ask(here, key)).elsewhere for key in (KEY, OTHER_KEY)] == [2, 1]
    await dying.tell_running({OWNER: 100})
    assert (await ask(here)).elsewhere == 102
    await asyncio.sleep(0.35)
    assert (await ask(here)).elsewhere == 2
    await there.tell_running({OWNER: 0})
    await here.tell_running({OWNER: 0})
    assert [(await ask(each)).elsewhere for each in (here, there)] == [0, 0]
    assert not await redis.exists(f"{RUNNING_PREFIX}{OWNER}")


async def test_an_owner_may_ask_so_much_a_minute(redis: Redis) -> None:
    api_keys = await open_keys(redis, requests_per_minute=3)
    asked = [await ask(api_keys) for _ in range(5)]
    assert [caller.may_ask for caller in asked] == [True, True, True, False, False]
    assert [caller.remaining for caller in asked] == [2, 1, 0, 0, 0]
    for caller in asked:
        assert (caller.owner, caller.limit) == (OWNER, 3)
        assert 0 < caller.reset_s <= A_MINUTE_S


async def test_the_limit_is_the_owners_whichever_key_they_use(redis: Redis) -> None:
    api_keys = await open_keys(redis, requests_per_minute=2)
    await api_keys.publish(added={hash_key("another of Alice's"): OWNER}, removed=[])
    asked = [await ask(api_keys, key) for key in (KEY, "another of Alice's", KEY)]
    assert [caller.may_ask for caller in asked] == [True, True, False]
    assert (await ask(api_keys, OTHER_KEY)).may_ask


async def test_of_many_at_once_over_all_replicas_no_more_may_ask(redis: Redis) -> None:
    replicas = [await open_keys(redis, requests_per_minute=5) for _ in range(2)]
    asked = await asyncio.gather(*(ask(replica) for replica in replicas for _ in range(10)))
    assert [caller.may_ask for caller in asked].count(True) == 5


async def test_a_wrong_key_uses_up_nothing(redis: Redis) -> None:
    api_keys = await open_keys(redis, requests_per_minute=1)
    for _ in range(3):
        assert await api_keys.find_caller("wrong") is None
    assert (await ask(api_keys)).may_ask


# --- client secrets ---


def seal(
    *, owner: str = OWNER, maker: str = hash_key(KEY), expires_at: int = 2**40, user_proof: str = "", **limits: Any
) -> str:
    """A secret that Alice's key has made, or somebody else."""
    secret = ClientSecret(owner, maker, expires_at, user_proof=user_proof, **limits)
    return seal_secret(secret, SEALER)


async def test_a_secret_is_its_owners_and_says_what_it_may_do(api_keys: ApiKeys) -> None:
    caller = await ask(api_keys, seal(scopes=frozenset(["read"]), conversation="conv_1"))
    assert (caller.owner, caller.scopes, caller.conversation, caller.maker) == (
        OWNER,
        frozenset({"read"}),
        "conv_1",
        None,
    )
    by_key = await ask(api_keys)
    assert (by_key.scopes, by_key.conversation, by_key.maker) == (ALL_SCOPES, None, hash_key(KEY))
    assert caller.now_s >= by_key.now_s - 60 > 0


async def test_a_secret_ends_with_its_time(api_keys: ApiKeys) -> None:
    now_s = (await ask(api_keys)).now_s
    assert (await ask(api_keys, seal(expires_at=now_s + 60))).owner == OWNER
    for expires_at in (now_s, now_s - 1, 0, -1):
        with pytest.raises(ClientSecretExpired):
            await api_keys.find_caller(seal(expires_at=expires_at))


async def test_a_secret_ends_with_its_key_whatever_its_time(api_keys: ApiKeys) -> None:
    await api_keys.publish(added={}, removed=[hash_key(KEY)])
    for expires_at in (2**40, 0):
        assert await api_keys.find_caller(seal(expires_at=expires_at)) is None
    await api_keys.publish(added={hash_key(KEY): STRANGER}, removed=[])
    assert await api_keys.find_caller(seal()) is None  # the key is another owner's now


async def test_a_users_secret_ends_with_their_proof(redis: Redis, api_keys: ApiKeys) -> None:
    proofs = RedisUserProofs(redis)
    secret = seal(owner="user:1", maker="user:1", user_proof=(await proofs.get_proof("user:1")).proof)
    assert await find_owner(api_keys, secret) == "user:1"
    assert await api_keys.find_caller(seal(owner="user:1", maker="user:1")) is None
    assert await api_keys.find_caller("user:1") is None
    await proofs.withdraw(["user:1"])
    assert await api_keys.find_caller(secret) is None
    await proofs.get_proof("user:1")
    assert await api_keys.find_caller(secret) is None


async def test_secrets_use_up_what_their_owner_may_ask(redis: Redis) -> None:
    api_keys = await open_keys(redis, requests_per_minute=3)
    with pytest.raises(ClientSecretExpired):
        await api_keys.find_caller(seal(expires_at=0))  # uses up nothing
    asked = [await ask(api_keys, key) for key in (KEY, seal(), seal(), seal(), KEY)]
    assert [caller.may_ask for caller in asked] == [True, True, True, False, False]
    assert (await ask(api_keys, OTHER_KEY)).may_ask


async def test_without_a_sealer_no_secret_is_valid(redis: Redis) -> None:
    await open_keys(redis)
    assert await RedisApiKeys(redis).find_caller(seal()) is None
