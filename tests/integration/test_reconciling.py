"""What is published of projects and users agrees with SQL again, whatever happened to either."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from redis.asyncio import Redis

from prompts.adapters.redis.api_keys import RedisApiKeys
from prompts.adapters.redis.origins import RedisOrigins
from prompts.adapters.redis.project_limits import RedisProjectLimits
from prompts.adapters.redis.user_proofs import RedisUserProofs
from prompts.domain.owners import name_user
from prompts.models import ApiKey, Project
from prompts.ports.project_limits import Limits
from prompts.publishing.api_keys import reconcile
from prompts.publishing.limits import reconcile_limits
from prompts.publishing.origins import reconcile_origins
from prompts.publishing.reconciling import keep_reconciled
from prompts.publishing.users import reconcile_users
from tests.support.servers import ValkeyServer

APP, OTHER = "https://app.example.com", "https://other.example.com"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A database of its own."""
    async with Redis.from_url(f"redis://127.0.0.1:{valkey.port}/2") as client:
        await client.flushdb()
        yield client
        await client.flushdb()


async def test_origins_are_those_of_sql_after_a_flush_a_forgery_and_a_change(redis: Redis) -> None:
    origins = RedisOrigins(redis)
    await Project.objects.acreate(owner="alice", allowed_origins=f"{APP}\n{OTHER}")
    await Project.objects.acreate(owner="bob", allowed_origins=OTHER)
    await Project.objects.acreate(owner="carol")
    wanted = {APP: frozenset({"alice"}), OTHER: frozenset({"alice", "bob"})}
    await reconcile_origins(origins)
    assert await origins.published() == wanted
    await origins.publish({"https://evil.example": frozenset({"alice"}), APP: frozenset({"mallory"})})
    await reconcile_origins(origins)
    assert await origins.published() == wanted
    await redis.flushdb()
    await Project.objects.filter(owner="alice").adelete()
    await reconcile_origins(origins)
    assert await origins.published() == {OTHER: frozenset({"bob"})}


class Overtaken(RedisProjectLimits):
    """A limit is changed, and published by who changes it, while this one is about to publish what it has read."""

    async def publish(self, changed: Mapping[str, Limits]) -> None:
        """As the other does it."""
        await Project.objects.filter(owner__in=changed).aupdate(requests_per_minute=7)
        await super().publish(changed)


async def test_a_limit_that_is_changed_while_it_is_published_holds(redis: Redis) -> None:
    limits = Overtaken(redis)
    await Project.objects.acreate(owner="alice", requests_per_minute=900)
    await reconcile_limits(limits)
    assert await limits.published() == {"alice": Limits(7, None, None)}


async def test_limits_are_those_of_sql_after_a_flush_a_forgery_and_a_change(redis: Redis) -> None:
    limits = RedisProjectLimits(redis)
    await Project.objects.acreate(owner="alice", requests_per_minute=0, tokens_per_month=10**15)
    await Project.objects.acreate(owner="bob", tokens_per_minute=5)
    await Project.objects.acreate(owner="carol")
    wanted = {"alice": Limits(0, None, 10**15), "bob": Limits(None, 5, None)}
    await reconcile_limits(limits)
    assert await limits.published() == wanted
    await limits.publish({"alice": Limits(), "mallory": Limits(0, 0, 0), "bob": Limits(tokens_per_minute=0)})
    await reconcile_limits(limits)
    assert await limits.published() == wanted
    await redis.flushdb()
    await Project.objects.filter(owner="alice").adelete()
    await Project.objects.filter(owner="bob").aupdate(tokens_per_minute=None, requests_per_minute=7)
    await reconcile_limits(limits)
    assert await limits.published() == {"bob": Limits(requests_per_minute=7)}


@pytest.mark.parametrize("limit", [-1, 10**15 + 1, "many"])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    project = Project(owner="alice", tokens_per_minute=limit)
    with pytest.raises(ValidationError) as raised:
        project.full_clean()
    assert set(raised.value.message_dict) == {"tokens_per_minute"}


async def test_who_was_deactivated_or_deleted_in_sql_has_no_secrets(redis: Redis) -> None:
    proofs = RedisUserProofs(redis)
    users = [await User.objects.acreate(username=name) for name in ("ada", "bea", "cleo")]
    owners = [name_user(user.pk) for user in users]
    kept, *_ = [await proofs.get_proof(owner) for owner in (*owners, "user:x", "user:999999999")]
    await User.objects.filter(username="bea").aupdate(is_active=False)
    await User.objects.filter(username="cleo").adelete()
    await reconcile_users(proofs)
    assert await proofs.list_owners() == {owners[0]}
    assert (await proofs.get_proof(owners[0])).proof == kept.proof


async def test_a_key_with_a_users_name_from_an_earlier_release_is_not_published(redis: Redis) -> None:
    api_keys = RedisApiKeys(redis)
    for number, owner in enumerate(("user:1", "User:1", "alice")):
        await ApiKey.objects.acreate(owner=owner, key_hash=str(number), hint="")
    await api_keys.publish(added={"0": "user:1"}, removed=[])
    await reconcile(api_keys)
    assert await api_keys.published() == {"2": "alice"}


async def test_what_fails_keeps_nothing_else_from_being_reconciled() -> None:
    done = asyncio.Event()

    async def fail() -> None:
        raise RuntimeError("Redis is away")

    async def succeed() -> None:
        done.set()

    keeping = asyncio.create_task(keep_reconciled({"first": fail, "second": succeed}))
    async with asyncio.timeout(10):
        await done.wait()
    assert not keeping.done()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
