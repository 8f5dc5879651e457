"""Every answer, errors included, forbids browsers to guess, to frame, and to run what is not ours."""

import asyncio
import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from typing_extensions import override

from tests.support.service import Service

NAMES = (
    "x-content-type-options",
    "x-frame-options",
    "permissions-policy",
    "referrer-policy",
    "content-security-policy",
)
DATA_ONLY = "default-src 'none'; frame-ancestors 'none'"
STREAM = {"json": {"input": "Hello", "stream": True, "store": False}}

API: list[tuple[str, str, int, dict[str, Any]]] = [
    *(("GET", path, 200, {}) for path in ("/healthz", "/health", "/readyz", "/readyz?verbose", "/v1/models")),
    *(("GET", path, 404, {}) for path in ("/v1/nothing", "/v1", "/readyz/nothing", "/v1/conversations/conv_1")),
    ("GET", "/v1/models", 401, {"headers": {"Authorization": "Bearer wrong"}}),
    ("PUT", "/healthz", 405, {}),
    ("POST", "/v1/responses", 400, {"content": b"{"}),
    ("POST", "/v1/responses", 413, {"content": b" " * (10 * 1024 * 1024 + 1)}),
    ("POST", "/v1/responses", 200, STREAM),
    ("POST", "/v1/chat/completions", 200, {"json": {"messages": [{"role": "user", "content": "Hi"}], "stream": True}}),
    ("GET", "/v1/responses", 400, {"headers": {"Connection": "Upgrade", "Upgrade": "websocket"}}),
]
PAGES: list[tuple[str, str, int, dict[str, Any]]] = [
    *(("GET", path, 200, {}) for path in ("/sign-in/", "/v1/docs", "/v1/openapi.json", "/admin/login/")),
    *(("GET", path, 200, {}) for path in ("/static/config/docs.js", "/static/admin/css/base.css")),
    ("GET", "/admin/", 302, {}),
    ("GET", "/", 302, {}),
    ("POST", "/page/client_secret", 403, {}),
    ("POST", "/sign-in/", 403, {}),
    ("GET", "/nothing", 404, {}),
    ("GET", "/", 400, {"headers": {"Host": "evil.example"}}),
    ("POST", "/admin/login/", 403, {}),
]
# As a person walks through the admin.
ADMIN_PAGES = (
    "/admin/",
    "/admin/prompts/apikey/",
    "/admin/prompts/apikey/add/",
    "/admin/auth/user/",
    "/admin/auth/user/add/",
    "/admin/auth/user/1/change/",
    "/admin/auth/user/1/delete/",
    "/admin/auth/group/add/?_popup=1",
    "/admin/password_change/",
)


def check_headers(answer: httpx.Response, policy: str | None = None) -> None:
    """Each header stands once."""
    for name in NAMES:
        assert len(answer.headers.get_list(name)) == 1, (name, answer.headers.get_list(name))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert policy is None or answer.headers["content-security-policy"] == policy


@pytest.mark.parametrize(("method", "path", "status", "request_"), API)
async def test_an_answer_of_the_api_is_data(
    http: httpx.AsyncClient, method: str, path: str, status: int, request_: dict[str, Any]
) -> None:
    answer = await http.request(method, path, **request_)
    assert answer.status_code == status
    check_headers(answer, DATA_ONLY)


@pytest.mark.parametrize(("method", "path", "status", "request_"), PAGES)
async def test_a_page_runs_only_what_is_ours(
    http: httpx.AsyncClient, method: str, path: str, status: int, request_: dict[str, Any]
) -> None:
    answer = await http.request(method, path, **request_)
    assert answer.status_code == status
    check_headers(answer)


async def test_the_metrics_have_them_too(service: Service) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(service.replica.metrics_url)
        assert answer.status_code == 200
        check_headers(answer, DATA_ONLY)


async def test_a_request_that_no_middleware_sees_is_answered_with_them(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.replica.port)
    writer.write(b"GET /admin/?\xff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = (await asyncio.wait_for(reader.read(), 30)).lower()
    writer.close()
    assert answer.startswith(b"http/1.1 400")
    assert all(answer.count(f"\r\n{name}:".encode()) == 1 for name in NAMES)


class InlineCode(HTMLParser):
    """Finds what the policy of a page would not run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_code = tag == "script" and given.get("type") != "application/json" and not given.get("src")
        has_code = any(name.startswith("on") or name == "style" for name in given)
        leads_away = any(re.match(r"(?:\w+:)?//|javascript:", given.get(name) or "") for name in ("src", "action"))
        if is_code or has_code or leads_away or tag in ("style", "base", "iframe", "object", "embed"):
            self.found.append(self.get_starttag_text() or tag)


async def test_the_pages_need_nothing_that_their_policy_forbids(browser: httpx.AsyncClient) -> None:
    for path in (*ADMIN_PAGES, "/", "/v1/docs"):
        page = await browser.get(path)
        assert page.status_code == 200, path
        check_headers(page)
        assert InlineCode(page.text).found == [], path


async def test_a_key_that_is_tried_out_is_not_stored_in_the_browser(http: httpx.AsyncClient) -> None:
    script = (await http.get("/static/config/docs.js")).text
    assert "persistAuthorization: false" in script
    assert 'localStorage.removeItem("authorized")' in script
