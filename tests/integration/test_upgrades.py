"""An upgrade that the server below does not take for a WebSocket: clients go on over HTTP."""

import httpx
import pytest

from tests.support.refusals import check_refusal

# Without `Connection: Upgrade`, as behind a proxy that takes it away.
UPGRADE = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


async def test_a_good_key_is_told_to_use_http(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/responses", headers=UPGRADE)
    assert "over HTTP" in check_refusal(answer, status=426, code="websockets_off")["message"]


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer wrong"}, {"Authorization": ""}])
async def test_a_wrong_key_is_a_wrong_key(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await http.get("/v1/responses", headers=UPGRADE | headers)
    check_refusal(answer, status=401, code="invalid_api_key")


async def test_without_an_upgrade_it_is_a_method_that_is_not_allowed(http: httpx.AsyncClient) -> None:
    check_refusal(await http.get("/v1/responses"), status=405, code="method_not_allowed")
