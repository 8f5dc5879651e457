"""Signing in to the page: by form, over all replicas; and the client secret with which the page then asks the API."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from redis.asyncio import Redis

from tests.support.client_secrets import get_code, open_browser
from tests.support.server_fixtures import StartReplica
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
    assert made.json()["scopes"] == ["admin", "read", "write"]
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


# --- links ---


async def make_link(service: Service, name: str, url: str | None = None) -> str:
    """The link that the command prints."""
    return (
        await asyncio.to_thread(manage, service.environment, "sign_in_link", name, "--url", url or service.url)
    ).strip()


async def test_a_link_signs_in_once_at_any_replica(service: Service, other_replica: Replica, ada: str) -> None:
    link = await make_link(service, ada, other_replica.url)
    async with open_page(other_replica.url) as browser:
        opened = await browser.get(link)
        assert (opened.status_code, opened.headers["location"]) == (302, "/")
        assert "no-store" in opened.headers["cache-control"]
        assert (await browser.get("/")).status_code == 200
        assert (await browser.get(link)).headers["location"] == "/"  # whoever clicks it again is signed in already
    async with open_page(service.url) as another:
        refused = await another.get(link.replace(other_replica.url, service.url))
        assert refused.status_code == 403
        assert "This link is used up, or too old." in refused.text
        assert "manage.py sign_in_link" in refused.text
        assert (await another.get("/")).status_code == 302


async def test_of_many_at_once_one_uses_the_link(service: Service, other_replica: Replica, ada: str) -> None:
    link = (await make_link(service, ada)).removeprefix(service.url)

    async def open_it(url: str) -> int:
        async with open_page(url) as browser:
            return (await browser.get(link)).status_code

    opened = await asyncio.gather(*(open_it(url) for url in [service.url, other_replica.url] * 5))
    assert sorted(opened) == [302] + [403] * 9


async def test_a_link_that_was_made_up_or_is_too_old_opens_nothing(service: Service, ada: str) -> None:
    async with Redis.from_url(service.valkey.cache_url) as cache:
        if earlier := await cache.keys("*sign-in-link:*"):
            await cache.delete(*earlier)
        link = await make_link(service, ada)
        token = link.partition("token=")[2]
        [nonce] = await cache.keys("*sign-in-link:*")
        assert 0 < await cache.ttl(nonce) <= 15 * 60
        wrong = [
            "",
            "x",
            token[:-1],
            token + "A",
            token.replace("%3A", "%3Ax", 1),
            f"x{token}",
            str(nonce),
            "%00",
            "é",
        ]
        async with open_page(service.url) as browser:
            for each in wrong:
                assert (await browser.get(f"/sign-in/link/?token={each}")).status_code == 403, each
            assert (await browser.get("/sign-in/link/")).status_code == 403
            await cache.delete(nonce)  # as when its time is over
            assert (await browser.get(link)).status_code == 403


async def test_neither_another_site_nor_a_browser_on_its_own_uses_a_link(service: Service, ada: str) -> None:
    link = await make_link(service, ada)
    async with open_page(service.url) as browser:
        led = await browser.get(link, headers={"Sec-Fetch-Site": "cross-site"})
        assert led.status_code == 403
        assert "Another site has opened this link." in led.text
        assert (await browser.get(link, headers={"Sec-Purpose": "prefetch;prerender"})).status_code == 503
        assert (await browser.head(link)).status_code == 405
        assert (await browser.get(link, headers={"Sec-Fetch-Site": "none"})).status_code == 302


async def test_a_link_is_in_no_log(service: Service, start_replica: StartReplica, ada: str) -> None:
    replica = start_replica(service.environment)
    link = await make_link(service, ada, replica.url)
    async with open_page(replica.url) as browser:
        for _ in range(2):
            await browser.get(link)
            browser.cookies.clear()
    replica.stop()
    assert "/sign-in/link/" in replica.log
    assert "token" not in replica.log
    assert link.partition("token=")[2][:20] not in replica.log


@pytest.mark.parametrize("name", ["nobody", ""])
async def test_there_is_no_link_for_nobody(service: Service, name: str) -> None:
    with pytest.raises(AssertionError, match="There is no user"):
        await make_link(service, name)
