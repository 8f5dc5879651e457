"""Guesses at staff passwords are slowed by name and address, over all replicas, and do not lock staff out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from redis.asyncio import Redis

from tests.support.servers import Replica
from tests.support.service import Service
from tests.support.staff import PASSWORD, make_staff, try_to_sign_in

ATTEMPTS = 2  # LOGIN_ATTEMPTS of the shared service
AN_ADDRESS = 4 * ATTEMPTS
WRONG = "Please enter the correct username and password"
COOKIE = "known-browser"


@pytest.fixture
def replicas(service: Service, other_replica: Replica) -> list[Replica]:
    """Two replicas behind a proxy that tells the addresses of clients."""
    return [service.replica, other_replica]


@pytest.fixture(scope="module")
def staff(service: Service) -> str:
    """Somebody who may sign in."""
    return make_staff(service.environment, "slowed-staff")


@pytest.fixture(autouse=True)
async def cache(service: Service) -> AsyncIterator[Redis]:
    """The cache, without counts of other tests."""
    async with Redis.from_url(service.valkey.cache_url) as client:
        if counts := await client.keys("*sign-in:*"):
            await client.delete(*counts)
        yield client


@asynccontextmanager
async def open_browser(replica: Replica, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A fresh browser at this address. What it claims to have come through is before what the proxy adds."""
    headers = {"X-Forwarded-For": f"203.0.113.9, {address}"}
    async with httpx.AsyncClient(base_url=replica.url, headers=headers, follow_redirects=True, timeout=60) as browser:
        yield browser


async def guess(replica: Replica, address: str, name: str, password: str = "a guess") -> int:
    """One attempt from a fresh browser; its status."""
    async with open_browser(replica, address) as browser:
        answer = await try_to_sign_in(browser, name, password)
        assert answer.status_code == 429 or WRONG in answer.text or "Log out" in answer.text
        return answer.status_code


async def test_attempts_at_a_name_are_slowed_over_all_replicas_and_addresses(
    replicas: list[Replica], staff: str
) -> None:
    one, two = replicas
    assert [await guess(one, "198.51.100.1", staff), await guess(two, "198.51.100.2", staff)] == [200, 200]
    # The right password does not help: who guesses must not learn that it is.
    assert [await guess(at, "198.51.100.3", staff, PASSWORD) for at in replicas] == [429, 429]


async def test_a_hundred_attempts_at_once_are_a_hundred_attempts(replicas: list[Replica]) -> None:
    async with open_browser(replicas[0], "198.51.100.1") as browser:
        await browser.get("/admin/login/")  # one form for all
        answers = await asyncio.gather(*(try_to_sign_in(browser, "nobody", f"guess {each}") for each in range(100)))
    assert sorted(answer.status_code for answer in answers) == [200] * ATTEMPTS + [429] * (100 - ATTEMPTS)


async def test_attempts_from_an_address_are_slowed_whatever_the_name(replicas: list[Replica]) -> None:
    async with open_browser(replicas[0], "2001:db8:1:2::1") as browser:
        tried = [await try_to_sign_in(browser, f"name {each}", "a guess") for each in range(AN_ADDRESS)]
        assert {answer.status_code for answer in tried} == {200}
    # A customer has a whole network of addresses.
    assert await guess(replicas[1], "2001:db8:1:2:ffff::2", "another name") == 429
    assert await guess(replicas[1], "2001:db8:1:3::1", "another name") == 200


async def test_a_refusal_says_when_to_come_back_and_prolongs_nothing(
    replicas: list[Replica], staff: str, cache: Redis
) -> None:
    for _ in range(ATTEMPTS):
        await guess(replicas[0], "198.51.100.1", staff)
    [name] = await cache.keys("*sign-in:name:*")
    await cache.pexpire(name, 60_000)
    async with open_browser(replicas[0], "198.51.100.1") as browser:
        answer = await try_to_sign_in(browser, staff, "a guess")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "300"
    assert "Try again in 5 minutes" in answer.text
    assert await cache.pttl(name) <= 60_000
    await cache.delete(name)  # as when the pause is over
    assert await guess(replicas[0], "198.51.100.1", staff, PASSWORD) == 200


async def test_strangers_do_not_lock_out_a_browser_that_signed_in_before(replicas: list[Replica], staff: str) -> None:
    one, two = replicas
    async with open_browser(one, "198.51.100.1") as browser:
        assert "Log out" in (await try_to_sign_in(browser, staff, PASSWORD)).text
        cookie = browser.cookies[COOKIE]
        by_strangers = [await guess(two, "198.51.100.1", staff) for _ in range(ATTEMPTS + 1)]
        assert by_strangers[-1] == 429
        del browser.cookies["sessionid"]
        assert "Log out" in (await try_to_sign_in(browser, staff, PASSWORD)).text
        assert browser.cookies[COOKIE].partition(":")[0] == cookie.partition(":")[0]
        # A stolen cookie is no way to guess: it has its own count.
        del browser.cookies["sessionid"]
        guessed = [(await try_to_sign_in(browser, staff, "a guess")).status_code for _ in range(ATTEMPTS + 1)]
        assert guessed == [200] * ATTEMPTS + [429]


async def test_a_cookie_counts_for_its_own_name_and_cannot_be_made_up(replicas: list[Replica], staff: str) -> None:
    async with open_browser(replicas[0], "198.51.100.1") as browser:
        assert "Log out" in (await try_to_sign_in(browser, staff, PASSWORD)).text
        del browser.cookies["sessionid"]
        for _ in range(ATTEMPTS):
            await guess(replicas[0], "198.51.100.7", "another")
        assert (await try_to_sign_in(browser, "another", "a guess")).status_code == 429
        forged = browser.cookies[COOKIE][:-1] + "x"
    for _ in range(ATTEMPTS):
        await guess(replicas[0], "198.51.100.7", staff)
    async with open_browser(replicas[0], "198.51.100.8") as browser:
        browser.cookies.set(COOKIE, forged, domain="127.0.0.1", path="/admin/")
        assert (await try_to_sign_in(browser, staff, PASSWORD)).status_code == 429


async def test_who_signs_in_takes_back_only_that_attempt_at_the_address(
    replicas: list[Replica], staff: str, cache: Redis
) -> None:
    await guess(replicas[0], "198.51.100.1", "somebody")
    await guess(replicas[0], "198.51.100.1", staff)
    assert await guess(replicas[0], "198.51.100.1", staff, PASSWORD) == 200
    keys = [key for key in await cache.keys("*sign-in:*") if isinstance(key, bytes)]
    counts = {key.rpartition(b"sign-in:")[2]: int(await cache.get(key) or 0) for key in keys}
    assert sorted(counts.values()) == [1, 2]  # of the other name, and of the address
    assert counts[b"address:198.51.100.1"] == 2
