"""What a browser is shown: the front page, the API page, the admin; and nothing of it from anywhere else."""

import re

import httpx
import pytest

PAGES = ["/", "/v1/docs", "/admin/login/"]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_and_all_it_loads_come_from_this_server(http: httpx.AsyncClient, path: str) -> None:
    page = await http.get(path)
    assert page.status_code == 200
    loaded = re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="([^"]+)"', page.text)
    assert loaded
    assert all(address.startswith("/") and not address.startswith("//") for address in loaded), loaded
    for address in loaded:
        assert (await http.get(address)).status_code == 200, address


async def test_the_openapi_document_describes_every_endpoint(http: httpx.AsyncClient) -> None:
    document = (await http.get("/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/v1/responses",
        "/v1/responses/{response_id}",
        "/v1/responses/{response_id}/cancel",
        "/v1/conversations",
        "/v1/conversations/{conversation_id}",
        "/v1/conversations/{conversation_id}/items",
        "/v1/conversations/{conversation_id}/items/{item_id}",
        "/v1/conversations/{conversation_id}/fork",
        "/v1/models",
        "/v1/models/{model}",
    }
    for path, item in document["paths"].items():
        for method in ("get", "post", "delete"):
            if method in item:
                assert item[method]["security"] == [{"api_key": []}], (method, path)
                assert {"200", "400", "401", "404"} <= set(item[method]["responses"]), (method, path)


async def test_pages_need_no_key(http: httpx.AsyncClient) -> None:
    http.headers.pop("Authorization")
    for path in [*PAGES, "/v1/openapi.json"]:
        assert (await http.get(path)).status_code == 200
