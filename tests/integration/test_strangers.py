"""Whoever has no key costs nothing: it is looked at before the body, and so is every size."""

import json

import httpx
import pytest

from tests.support.raw_http import MAX_S, compose, open_raw
from tests.support.server_fixtures import StartReplica
from tests.support.service import Service

MB = 1024 * 1024
RESPONSES = ("POST", "/v1/responses", "Content-Type: application/json")
CHUNKED = "Transfer-Encoding: chunked"
BODY = json.dumps({"input": "Hello"}).encode()
TOO_MANY = "&".join(["a=1"] * 1_001)


def key_of(service: Service) -> str:
    return f"Authorization: Bearer {service.alice_key}"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_who_has_a_key_is_served(service: Service) -> None:
    async with open_raw(service.url) as connection:
        await connection.send(compose(*RESPONSES, key_of(service), CHUNKED) + chunk(BODY) + chunk(b""))
        assert (await connection.read_answer()).status == 200


@pytest.mark.parametrize("said", [(), ("Expect: 100-continue",), ("Upgrade: websocket", "Connection: Upgrade")])
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/v1/conversations/x/items"])
async def test_a_stranger_is_refused_before_the_body(service: Service, path: str, said: tuple[str, ...]) -> None:
    async with open_raw(service.url) as connection:
        await connection.send(compose("POST", path, f"Content-Length: {10 * MB}", *said))
        answer = await connection.read_answer()
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/v1/nothing", 404), ("PATCH", "/v1/responses", 405)])
async def test_so_is_what_nobody_serves(service: Service, method: str, path: str, status: int) -> None:
    async with open_raw(service.url) as connection:
        await connection.send(compose(method, path, f"Content-Length: {10 * MB}"))
        assert (await connection.read_answer()).status == status


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(service: Service) -> None:
    async with open_raw(service.url) as connection:
        await connection.send(
            compose(*RESPONSES, key_of(service), f"Content-Length: {10 * MB + 1}", "Expect: 100-continue")
        )
        answer = await connection.read_answer()
        assert (answer.status, answer.error["code"]) == (413, "request_too_large")


async def test_a_key_in_the_trailer_is_none(service: Service) -> None:
    async with open_raw(service.url) as connection:
        trailer = f"0\r\n{key_of(service)}\r\nIdempotency-Key: x\r\n\r\n".encode()
        await connection.send(compose(*RESPONSES, CHUNKED) + chunk(BODY) + trailer)
        assert (await connection.read_answer()).status == 401
        await connection.send(compose("GET", "/v1/conversations"))  # nor is it one of the next request
        assert (await connection.read_answer()).status == 401


async def test_a_trailer_changes_no_request(service: Service) -> None:
    async with open_raw(service.url) as connection:
        trailer = b"0\r\nIdempotency-Key: not valid\r\nX-Request-Id: trailer\r\n\r\n"
        await connection.send(compose(*RESPONSES, key_of(service), CHUNKED) + chunk(BODY) + trailer)
        answer = await connection.read_answer()
        assert answer.status == 200
        assert "x-request-id: req_" in answer.headers


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/readyz", {400}),
        ("/readyz/redis", {200}),
        ("/healthz", {200}),
        ("/", {200, 302}),
        ("/admin/login/", {200, 400}),
        ("/v1/conversations", {400}),
        ("/v1/openapi.json", {200}),
    ],
)
async def test_a_query_of_a_thousand_parameters_is_no_mistake_of_the_server(
    http: httpx.AsyncClient, path: str, statuses: set[int]
) -> None:
    http.event_hooks = {}
    assert (await http.get(f"{path}?{TOO_MANY}")).status_code in statuses


async def test_nor_is_such_a_form(http: httpx.AsyncClient) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await http.post("/admin/login/", content=TOO_MANY, headers=form)).status_code in {400, 403}
    assert (await http.post("/v1/responses", content=TOO_MANY, headers=form)).status_code == 400


@pytest.mark.parametrize("path", ["/v1/models?\xff", "/v1/models/\xff", "/readyz?\xff=\xfe", "/\xff"])
async def test_nor_is_an_address_of_raw_bytes(service: Service, path: str) -> None:
    async with open_raw(service.url) as connection:
        await connection.send(compose("GET", path, key_of(service)))
        assert (await connection.read_answer()).status in {400, 404}


@pytest.mark.parametrize("path", ["/admin/login/", "/", "/v1/docs"])
async def test_a_page_takes_no_body_of_megabytes(service: Service, path: str) -> None:
    form = "Content-Type: multipart/form-data; boundary=x"
    async with open_raw(service.url) as connection:
        await connection.send(compose("POST", path, form, f"Content-Length: {300 * MB}"))
        assert (await connection.read_answer()).status == 413
    async with open_raw(service.url) as connection:
        await connection.send(compose("POST", path, form, CHUNKED) + chunk(bytes(MB)) * 3)
        assert (await connection.read_answer()).status == 413


async def test_all_bodies_of_a_process_have_their_room(service: Service, start_replica: StartReplica) -> None:
    replica = start_replica(dict(service.environment) | {"MAX_BODIES_MB": "16"})
    head = compose(*RESPONSES, key_of(service), f"Content-Length: {10 * MB}", "Expect: 100-continue")
    async with open_raw(replica.url) as one, open_raw(replica.url) as another:
        await one.send(head)
        assert await one.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await another.send(head)
        answer = await another.read_answer()
        assert (answer.status, answer.error["code"]) == (503, "overloaded")
        assert "retry-after: 1" in answer.headers
        await one.send(json.dumps({"input": "x"}).encode().ljust(10 * MB))
        assert (await one.read_answer()).status == 200
        async with httpx.AsyncClient(base_url=replica.url, timeout=MAX_S) as http:
            headers = {"Authorization": f"Bearer {service.alice_key}", "Content-Type": "application/json"}
            assert (await http.post("/v1/responses", content=BODY.ljust(10 * MB), headers=headers)).is_success
