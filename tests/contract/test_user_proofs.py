"""`UserProofs`: a user's proof stays until it is withdrawn, and never comes back. On Redis alone: there is no fake."""

import time

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis.user_proofs import RedisUserProofs
from prompts.ports.user_proofs import UserProofs


@pytest.fixture
async def proofs(redis: Redis) -> UserProofs:
    return RedisUserProofs(redis)


async def test_it_works(proofs: UserProofs) -> None:
    first = await proofs.get_proof("user:1")
    assert (await proofs.get_proof("user:1")).proof == first.proof
    assert (await proofs.get_proof("user:2")).proof != first.proof
    assert await proofs.list_owners() == {"user:1", "user:2"}
    assert abs(first.now_s - time.time()) < 5


async def test_what_is_withdrawn_does_not_come_back(proofs: UserProofs) -> None:
    first = await proofs.get_proof("user:1")
    other = await proofs.get_proof("user:2")
    await proofs.withdraw(["user:1", "user:3"])
    assert await proofs.list_owners() == {"user:2"}
    assert (await proofs.get_proof("user:1")).proof != first.proof
    assert (await proofs.get_proof("user:2")).proof == other.proof


async def test_nobody_may_be_withdrawn(proofs: UserProofs) -> None:
    await proofs.withdraw([])
    assert await proofs.list_owners() == set()
