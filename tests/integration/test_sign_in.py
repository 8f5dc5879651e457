"""Signing in to the page: by form, over all replicas; and the client secret with which the page then asks the API."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from redis.asyncio import Redis

from tests.support.client_secrets import get_code, open_browser
from tests.support.servers import Replica
from tests.support.service import Service, manage
from tests.support.staff import PASSWORD, make_staff, open_admin, submit

SIGN_IN, SECRET = "/sign-in/", "/page/client_secret"
ATTEMPTS = 2  # LOGIN_ATTEMPTS of the shared service


@pytest.fixture(scope="module")
def ada(service: Service) -> str:
    """Somebody who may sign in, to the admin too."""
    return make_staff(service.environment, "ada")


@pytest.fixture(autouse=True)
async def _without_counts(service: Service) -> None:
    async with Redis.from_url(service.valkey.cache_url) as cache:
        if counts := await cache.keys("*sign-in:*"):
            await cache.delete(*counts)


@asynccontextmanager
async def open_page(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A fresh browser."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as browser:
        yield browser


async def send_form(browser: httpx.AsyncClient, name: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
    """Fill in the form and send it; redirects are not followed."""
    if "csrftoken" not in browser.cookies:
        await browser.get(SIGN_IN)
    sent = {"username": name, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"], **fields}
    return await browser.post(SIGN_IN, data=sent)


async def get_secret(browser: httpx.AsyncClient) -> httpx.Response:
    """What the page asks for before it asks the API."""
    return await browser.post(SECRET, headers={"X-CSRFToken": browser.cookies["csrftoken"]})


async def sign_out(browser: httpx.AsyncClient) -> httpx.Response:
    """Press the button."""
    return await browser.post("/sign-out/", data={"csrfmiddlewaretoken": browser.cookies["csrftoken"]})


@pytest.fixture
async def browser(service: Service, ada: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which Ada is signed in."""
    async with open_page(service.url) as page:
        assert (await send_form(page, ada)).status_code == 302
        yield page


async def test_whoever_is_not_signed_in_is_asked_to_and_then_sees_the_page(service: Service, ada: str) -> None:
    async with open_page(service.url) as browser:
        led = await browser.get("/?c=1")
        assert (led.status_code, led.headers["location"]) == (302, "/sign-in/?next=/%3Fc%3D1")
        form = await browser.get(led.headers["location"])
        assert 'name="next" value="/?c=1"' in form.text
        assert "no-store" in form.headers["cache-control"]
        assert "sessionid" not in browser.cookies
        signed_in = await send_form(browser, ada, next="/?c=1")
        assert (signed_in.status_code, signed_in.headers["location"]) == (302, "/?c=1")
        page = await browser.get("/")
        assert page.status_code == 200
        assert "no-store" in page.headers["cache-control"]
        assert ada in page.text
        assert (await browser.get(SIGN_IN)).headers["location"] == "/"


async def test_the_page_asks_the_api_with_a_secret_of_its_user_at_every_replica(
    browser: httpx.AsyncClient, service: Service, other_replica: Replica
) -> None:
    made = await get_secret(browser)
    assert (made.status_code, made.headers["content-type"]) == (200, "application/json")
    assert "no-store" in made.headers["cache-control"]
    assert made.json()["scopes"] == ["read", "write"]
    async with open_browser(other_replica.url, made.json()["value"]) as api:
        conversation = (await api.post("/v1/conversations")).json()["id"]
        assert [entry["id"] for entry in (await api.get("/v1/conversations")).json()["data"]][:1] == [conversation]
        assert get_code(await api.post("/v1/client_secrets")) == (403, "insufficient_scope")
    async with open_browser(service.url, service.alice_key) as alice:
        assert (await alice.get(f"/v1/conversations/{conversation}")).status_code == 404


async def test_a_session_holds_at_every_replica(browser: httpx.AsyncClient, other_replica: Replica) -> None:
    browser.base_url = other_replica.url  # the balancer's other choice
    assert (await browser.get("/")).status_code == 200
    assert (await get_secret(browser)).status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "http:evil.example",
        "https:///evil.example",
        "/%0d%0aSet-Cookie:a=b\r\nX: y",
    ],
)
async def test_next_leads_nowhere_else(service: Service, ada: str, target: str) -> None:
    async with open_page(service.url) as browser:
        await browser.get(SIGN_IN, params={"next": target})
        answer = await send_form(browser, ada, next=target)
        assert answer.status_code == 302
        to = answer.headers["location"]
        assert to.startswith("/")
        assert not to.startswith(("//", "/\\"))
        assert "\n" not in to


async def test_a_wrong_password_says_so_and_not_whether_there_is_such_a_name(service: Service, ada: str) -> None:
    async with open_page(service.url) as browser:
        said = [(await send_form(browser, name, "a guess")).text for name in (ada, "nobody")]
    assert all("do not belong together" in text and 'role="alert"' in text for text in said)
    assert len({re.sub(r'value="[^"]*"', "", text) for text in said}) == 1


async def test_guesses_are_slowed_in_the_pages_own_words(service: Service, other_replica: Replica, ada: str) -> None:
    for replica in (service.url, other_replica.url):
        async with open_page(replica) as browser:
            assert (await send_form(browser, ada, "a guess")).status_code == 200
    async with open_page(service.url) as browser:
        refused = await send_form(browser, ada, PASSWORD)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "300"
        assert "Too many attempts." in refused.text
        assert "Try again in\n          5 minutes" in refused.text
        assert "Django" not in refused.text
        assert (await browser.get("/")).status_code == 302


async def test_strangers_do_not_lock_out_a_browser_that_signed_in_before(
    browser: httpx.AsyncClient, service: Service, ada: str
) -> None:
    await sign_out(browser)
    for _ in range(ATTEMPTS + 1):
        async with open_page(service.url) as stranger:
            await send_form(stranger, ada, "a guess")
    assert (await send_form(browser, ada)).status_code == 302


async def test_a_name_shown_again_is_only_text(service: Service) -> None:
    async with open_page(service.url) as browser:
        text = (await send_form(browser, '"><script>alert(1)</script>', "a guess", next='"><b>')).text
    assert "<script" not in text
    assert "<b>" not in text


async def test_signing_in_makes_another_session(service: Service, ada: str) -> None:
    async with open_page(service.url) as browser:
        browser.cookies.set("sessionid", "chosen-by-an-attacker-0123456789", domain="127.0.0.1")
        await send_form(browser, ada)
        held = [cookie.value for cookie in browser.cookies.jar if cookie.name == "sessionid"]
    assert "chosen-by-an-attacker-0123456789" not in held
    async with open_page(service.url) as attacker:
        attacker.cookies.set("sessionid", "chosen-by-an-attacker-0123456789", domain="127.0.0.1")
        assert (await attacker.get("/")).status_code == 302


async def test_a_form_of_another_site_signs_nobody_in(service: Service, ada: str) -> None:
    async with open_page(service.url) as browser:
        fields = {"username": ada, "password": PASSWORD}
        refused = await browser.post(SIGN_IN, data=fields, headers={"Origin": "https://evil.example"})
        assert refused.status_code == 403
        assert "This form was open too long" in refused.text
        assert "sessionid" not in browser.cookies


async def test_only_the_page_itself_gets_a_secret(browser: httpx.AsyncClient) -> None:
    assert get_code(await browser.post(SECRET)) == (403, "forged_request")
    token = {"X-CSRFToken": browser.cookies["csrftoken"]}
    for origin in ("https://evil.example", "null"):
        refused = await browser.post(SECRET, headers={**token, "Origin": origin})
        assert get_code(refused) == (403, "forged_request")
    assert (await browser.get(SECRET)).status_code == 405


async def test_when_the_session_is_over_the_page_is_told_so(browser: httpx.AsyncClient, service: Service) -> None:
    assert (await browser.get("/sign-out/")).status_code == 405  # a link of another site signs nobody out
    secret = (await get_secret(browser)).json()["value"]
    left = await sign_out(browser)
    assert (left.status_code, left.headers["location"]) == (302, "/sign-in/")
    over = await get_secret(browser)
    assert get_code(over) == (401, "signed_out")
    assert "location" not in over.headers
    async with open_browser(service.url, secret) as api:
        assert get_code(await api.get("/v1/conversations")) == (401, "invalid_api_key")


async def change(service: Service, user: str, **fields: str) -> None:
    """Change a user in the admin, as staff do."""
    boss = await asyncio.to_thread(make_staff, service.environment, f"boss-of-{user}")
    async with open_admin(service.url, boss) as admin:
        listing = (await admin.get(f"/admin/auth/user/?q={user}")).text
        row = next(
            each for each in re.findall(r"/admin/auth/user/(\d+)/change/[^>]*>([^<]+)", listing) if each[1] == user
        )
        form = {"username": user, "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", **fields}
        await submit(admin, f"/admin/auth/user/{row[0]}/change/", **form)


async def test_a_renamed_user_keeps_what_they_have(service: Service) -> None:
    before = await asyncio.to_thread(make_staff, service.environment, "carol")
    async with open_page(service.url) as browser:
        await send_form(browser, before)
        async with open_browser(service.url, (await get_secret(browser)).json()["value"]) as api:
            conversation = (await api.post("/v1/conversations")).json()["id"]
        await change(service, before, username="caroline", is_active="on")
        async with open_browser(service.url, (await get_secret(browser)).json()["value"]) as api:
            assert (await api.get(f"/v1/conversations/{conversation}")).status_code == 200


async def test_who_may_not_sign_in_any_more_has_no_secrets_either(service: Service, other_replica: Replica) -> None:
    user = await asyncio.to_thread(make_staff, service.environment, "mallory")
    async with open_page(service.url) as browser:
        await send_form(browser, user)
        secret = (await get_secret(browser)).json()["value"]
        await change(service, user)  # no longer active
        async with open_browser(other_replica.url, secret) as api:
            assert get_code(await api.get("/v1/conversations")) == (401, "invalid_api_key")
        assert get_code(await get_secret(browser)) == (401, "signed_out")
        assert (await browser.get("/")).status_code == 302


@pytest.mark.parametrize("owner", ["user:1", " USER:1"])
async def test_no_key_can_be_a_users(service: Service, owner: str) -> None:
    with pytest.raises(AssertionError, match="signed-in users"):
        await asyncio.to_thread(manage, service.environment, "create_api_key", owner)
