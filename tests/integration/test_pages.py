"""The pages: front page, API page and admin load nothing from another server."""

import re

import httpx
import pytest

PAGES = ["/sign-in/", "/v1/docs", "/admin/login/"]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_and_all_it_loads_come_from_this_server(http: httpx.AsyncClient, path: str) -> None:
    page = await http.get(path)
    assert page.status_code == 200
    loaded = re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="([^"]+)"', page.text)
    assert loaded
    assert all(address.startswith("/") and not address.startswith("//") for address in loaded), loaded
    for address in loaded:
        assert (await http.get(address)).status_code == 200, address


async def test_pages_need_no_key(http: httpx.AsyncClient) -> None:
    http.headers.pop("Authorization")
    for path in [*PAGES, "/v1/openapi.json"]:
        assert (await http.get(path)).status_code == 200
