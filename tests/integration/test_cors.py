"""CORS: pages of other sites use the API where the key's own project allows it, and read errors and streams too."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.client_secrets import get_code, make_secret, open_browser
from tests.support.servers import Replica
from tests.support.service import Service, manage
from tests.support.staff import make_staff, open_admin, submit

APP, BOBS_APP, EVIL = "https://app.example.com", "https://bobs.example.com", "https://evil.example"
REFUSED = (403, "origin_not_allowed")
ALLOW, EXPOSE = "access-control-allow-origin", "access-control-expose-headers"


@pytest.fixture(scope="module", autouse=True)
def _projects(service: Service) -> None:
    """Alice allows one site, Bob another."""
    assert manage(service.environment, "allow_origin", "alice", f"{APP}/").strip() == APP
    manage(service.environment, "allow_origin", "bob", BOBS_APP)


@pytest.fixture
async def page(http: httpx.AsyncClient, service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A page of Alice's site, with a client secret."""
    async with open_browser(service.url, await make_secret(http), Origin=APP) as client:
        yield client


async def ask_before(url: str, origin: str, *, method: str = "POST", headers: str = "authorization") -> httpx.Response:
    """The question that a browser asks before the request."""
    async with httpx.AsyncClient(base_url=url) as browser:
        asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
        return await browser.options("/v1/responses", headers=asked)


def is_readable(answer: httpx.Response, origin: str = APP) -> bool:
    """Whether a browser lets the page read the answer."""
    assert answer.headers.get_list("vary")
    assert "access-control-allow-credentials" not in answer.headers
    return answer.headers.get_list(ALLOW) == [origin]


async def test_a_page_of_the_projects_site_may_ask_and_read(
    page: httpx.AsyncClient, service: Service, other_replica: Replica
) -> None:
    for url in (service.url, other_replica.url):
        allowed = await ask_before(url, APP, headers="authorization,content-type,x-stainless-lang")
        assert allowed.status_code == 204
        assert allowed.content == b""
        assert allowed.headers[ALLOW] == APP
        assert "POST" in allowed.headers["access-control-allow-methods"]
        assert allowed.headers["access-control-allow-headers"] == "authorization,content-type,x-stainless-lang"
        assert int(allowed.headers["access-control-max-age"]) > 0
    answer = await page.post("/v1/responses", json={"input": "Hello"})
    assert answer.status_code == 200
    assert is_readable(answer)
    assert {"x-request-id", "retry-after", "idempotency-replayed", "x-ratelimit-remaining-requests"} <= set(
        answer.headers[EXPOSE].split(", ")
    )


async def test_a_stream_can_be_read(page: httpx.AsyncClient) -> None:
    async with page.stream("POST", "/v1/responses", json={"input": "Hello", "stream": True}) as answer:
        assert is_readable(answer)
        assert (await answer.aread()).endswith(b"data: [DONE]\n\n")


async def test_errors_can_be_read(page: httpx.AsyncClient) -> None:
    errors = [
        await page.post("/v1/responses", json={"input": 5}),
        await page.post("/v1/responses", content=b"{"),
        await page.get("/v1/responses/resp_1"),
        await page.get("/v1/nothing"),
        await page.patch("/v1/responses"),
        await page.post("/v1/client_secrets"),
        await page.get("/v1/models", headers={"Authorization": "Bearer wrong"}),
    ]
    assert [answer.status_code for answer in errors] == [400, 400, 404, 404, 405, 403, 401]
    assert all(is_readable(answer) for answer in errors)


async def test_a_page_of_another_site_is_refused_before_anything_happens(
    http: httpx.AsyncClient, service: Service
) -> None:
    conversation = (await http.post("/v1/conversations")).json()["id"]
    secret = await make_secret(http)
    for origin in (EVIL, BOBS_APP, "null"):
        async with open_browser(service.url, secret, Origin=origin) as page:
            turn = {"input": "x", "conversation": conversation}
            for answer in (
                await page.post("/v1/responses", json=turn),
                await page.post("/v1/responses", content=b"{"),
                await page.delete(f"/v1/conversations/{conversation}"),
            ):
                assert get_code(answer) == REFUSED
                assert ALLOW not in answer.headers
    assert (await http.get(f"/v1/conversations/{conversation}/items")).json()["data"] == []


@pytest.mark.parametrize(
    "origin",
    [
        *(EVIL, "null", "", "*", APP.upper(), f"{APP}/", f"{APP}:443", f"{APP}:8443", f"{APP}.evil.example"),
        *("http://app.example.com", "https://evil-app.example.com", "https://app.example.com@evil.example"),
        *("https://app.example.comevil.example", f"{EVIL}, {APP}", f"{APP} {EVIL}", "https://app_example.com"),
        *("app.example.com", "x" * 5_000),
    ],
)
async def test_nobody_passes_for_an_allowed_site(http: httpx.AsyncClient, service: Service, origin: str) -> None:
    asked = await ask_before(service.url, origin)
    assert get_code(asked) == REFUSED
    assert ALLOW not in asked.headers
    answer = await http.get("/v1/models", headers={"Origin": origin})
    assert get_code(answer) == REFUSED
    assert ALLOW not in answer.headers


async def test_two_origins_are_none(http: httpx.AsyncClient) -> None:
    headers = [("Origin", APP), ("Origin", EVIL)]
    assert ALLOW not in (await http.get("/v1/models", headers=headers)).headers


@pytest.mark.parametrize("headers", ["x-a\ty", "x:y", "<script>", "a, ,b", "x" * 5_000])
async def test_names_of_headers_that_are_none_are_not_repeated(service: Service, headers: str) -> None:
    asked = await ask_before(service.url, APP, headers=headers)
    assert asked.status_code == 204
    assert "access-control-allow-headers" not in asked.headers


async def test_whoever_is_no_browser_and_our_own_page_are_not_asked(http: httpx.AsyncClient, service: Service) -> None:
    host = service.url.removeprefix("http://")
    for headers in ({}, {"Origin": service.url}, {"Origin": f"https://{host}"}):
        answer = await http.get("/v1/models", headers=headers)
        assert answer.status_code == 200
        assert ALLOW not in answer.headers
        assert answer.headers.get_list("vary") == ["origin"]  # a cache must not give this answer to a page
    behind_a_proxy = {"Origin": "https://eps.example", "Sec-Fetch-Site": "same-origin"}
    assert (await http.get("/v1/models", headers=behind_a_proxy)).status_code == 200


async def test_probes_look_at_no_origin(http: httpx.AsyncClient) -> None:
    answer = await http.get("/healthz", headers={"Origin": EVIL})
    assert answer.status_code == 200
    assert ALLOW not in answer.headers


async def test_a_site_that_is_taken_away_is_refused_at_once_everywhere(
    http: httpx.AsyncClient, service: Service, other_replica: Replica
) -> None:
    site = "https://soon-gone.example"
    said = await asyncio.to_thread(manage, service.environment, "allow_origin", "alice", site)
    assert said.split() == [APP, site]
    secret = await make_secret(http)
    async with open_browser(other_replica.url, secret, Origin=site) as page:
        assert is_readable(await page.get("/v1/models"), site)
        await asyncio.to_thread(manage, service.environment, "allow_origin", "alice", site, "--remove")
        assert get_code(await page.get("/v1/models")) == REFUSED
        assert (await ask_before(service.url, site)).status_code == 403


async def test_what_is_no_origin_cannot_be_allowed(service: Service) -> None:
    """Each kind of them is in tests/unit/test_origins.py."""
    with pytest.raises(AssertionError, match="is no origin"):
        await asyncio.to_thread(manage, service.environment, "allow_origin", "alice", "https://*.example.com")


async def test_staff_change_what_a_project_allows_in_the_admin(service: Service) -> None:
    staff = await asyncio.to_thread(make_staff, service.environment, "projects-staff")
    listing = "/admin/prompts/project/"
    async with open_admin(service.url, staff) as admin:
        added = await submit(admin, f"{listing}add/", owner="nina", allowed_origins=" https://Nina.example/ \n\n")
        assert "https://nina.example" in added.text
        assert (await ask_before(service.url, "https://nina.example")).status_code == 204
        wrong = await submit(admin, f"{listing}add/", owner="user:1", allowed_origins="https://a.example")
        assert "signed-in users" in wrong.text
        wrong = await submit(admin, f"{listing}add/", owner="olga", allowed_origins="https://a.example/<b>")
        assert "is no origin" in wrong.text
        row = re.search(r"/admin/prompts/project/(\d+)/change/[^>]*>nina", added.text)
        assert row
        await submit(admin, f"{listing}{row[1]}/delete/", post="yes")
    assert (await ask_before(service.url, "https://nina.example")).status_code == 403
