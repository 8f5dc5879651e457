"""Uploads that nobody expects: broken forms, sizes, paces, clients that leave, and many at once."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
from openai import APIStatusError, AsyncOpenAI
from redis.asyncio import Redis

from tests.support.raw_http import Answer, compose, open_raw
from tests.support.refusals import check_refusal
from tests.support.server_fixtures import StartValkey
from tests.support.servers import StandinServer, eventually
from tests.support.service import Service, start_service

MB = 1024 * 1024
BOUNDARY = "xYzZY"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
FILE = 'form-data; name="file"; filename="a.txt"'


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    head = "\r\n".join([f"--{BOUNDARY}", f"Content-Disposition: {disposition}", *headers, "", ""])
    return head.encode() + content + b"\r\n"


def field(name: str, value: str) -> bytes:
    return part(f'form-data; name="{name}"', value.encode())


END = f"--{BOUNDARY}--\r\n".encode()
PURPOSE = field("purpose", "assistants")
A_FILE = part(FILE, b"hello")

BROKEN: dict[str, tuple[str, bytes, str | None]] = {
    "nothing": (FORM, b"", "file"),
    "json": ("application/json", b'{"purpose": "assistants"}', "file"),
    "no content type": ("", A_FILE + PURPOSE + END, "file"),
    "urlencoded": ("application/x-www-form-urlencoded", b"purpose=assistants", "file"),
    "no boundary": ("multipart/form-data", A_FILE + PURPOSE + END, "file"),
    "an empty boundary": ("multipart/form-data; boundary=", A_FILE + PURPOSE + END, "file"),
    "a long boundary": (f"multipart/form-data; boundary={'x' * 300}", A_FILE + PURPOSE + END, "file"),
    "another boundary": ("multipart/form-data; boundary=other", A_FILE + PURPOSE + END, "file"),
    "no form": (FORM, b"hello", "file"),
    "no end": (FORM, A_FILE + PURPOSE, "file"),
    "an end in a header": (FORM, f"--{BOUNDARY}\r\nContent-Dispo".encode(), "file"),
    "no parts": (FORM, END, "file"),
    "no file": (FORM, PURPOSE + END, "file"),
    "a file that is a field": (FORM, field("file", "hello") + PURPOSE + END, "file"),
    "an empty file": (FORM, part(FILE, b"") + PURPOSE + END, "file"),
    "two files": (FORM, A_FILE + A_FILE + PURPOSE + END, "file"),
    "no purpose": (FORM, A_FILE + END, "purpose"),
    "an empty purpose": (FORM, A_FILE + field("purpose", "") + END, "purpose"),
    "an unknown purpose": (FORM, A_FILE + field("purpose", "assistants_output") + END, "purpose"),
    "two purposes": (FORM, A_FILE + PURPOSE + PURPOSE + END, "purpose"),
    "a long purpose": (FORM, A_FILE + field("purpose", "x" * 5_000) + END, "purpose"),
    "no UTF-8": (FORM, A_FILE + part('form-data; name="purpose"', b"\xff\xfe") + END, "purpose"),
    "a part without a name": (FORM, part("form-data", b"x") + A_FILE + PURPOSE + END, "file"),
    "a part without headers": (FORM, f"--{BOUNDARY}\r\n\r\nx\r\n".encode() + A_FILE + PURPOSE + END, "file"),
    "an attachment": (FORM, part('attachment; name="file"; filename="a"', b"x") + PURPOSE + END, "file"),
    "many headers": (FORM, part(FILE, b"x", *(f"X-{n}: y" for n in range(100))) + PURPOSE + END, "file"),
    "a header without end": (FORM, part(FILE, b"x", "X: " + "y" * 100_000) + PURPOSE + END, "file"),
    "many parts": (FORM, PURPOSE.replace(b"purpose", b"other") * 100 + A_FILE + END, None),
    "a header that is none": (FORM, part(FILE, b"x", "no colon") + PURPOSE + END, "file"),
    "half an expiry": (FORM, A_FILE + PURPOSE + field("expires_after[seconds]", "3600") + END, "expires_after[anchor]"),
}
EXPIRIES = {"3599": False, "3600": True, "2592000": True, "2592001": False, "-1": False, "1e5": False, "9" * 50: False}


async def post(http: httpx.AsyncClient, content_type: str, body: bytes) -> httpx.Response:
    headers = {"Content-Type": content_type} if content_type else {}
    return await http.post("/v1/files", content=body, headers=headers)


async def count_due(service: Service) -> int:
    async with Redis.from_url(service.valkey.url) as redis:
        return sum([int(await redis.zcard(key)) async for key in redis.scan_iter("eps:*:files:due")])


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_form_names_what_is_wrong_and_leaves_nothing(
    http: httpx.AsyncClient, service: Service, name: str
) -> None:
    content_type, body, param = BROKEN[name]
    kept, due = service.list_stored(), await count_due(service)
    check_refusal(await post(http, content_type, body), status=400, code="invalid_request_error", param=param)
    await eventually(lambda: service.list_stored() <= kept)
    assert await count_due(service) <= due


@pytest.mark.parametrize(("seconds", "is_fine"), EXPIRIES.items())
async def test_an_expiry_has_its_bounds(http: httpx.AsyncClient, seconds: str, is_fine: bool) -> None:
    expiry = field("expires_after[anchor]", "created_at") + field("expires_after[seconds]", seconds)
    answer = await post(http, FORM, A_FILE + PURPOSE + expiry + END)
    assert answer.status_code == (200 if is_fine else 400)
    if not is_fine:
        check_refusal(answer, status=400, code="invalid_request_error", param="expires_after[seconds]")


async def test_fields_come_in_any_order_and_unknown_ones_are_named(http: httpx.AsyncClient) -> None:
    for body in (PURPOSE + A_FILE + END, A_FILE + PURPOSE + END):
        assert (await post(http, FORM, body)).json()["bytes"] == 5
    answer = await post(http, FORM, field("color", "red") + A_FILE + PURPOSE + END + b"an epilogue")
    assert answer.json()["eps:ignored"] == ["color"]


@pytest.mark.parametrize(
    ("disposition", "kept"),
    [
        ('filename="a\x00b\x07.txt"', "ab.txt"),
        ("filename=\"x.txt\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.txt", "Größe.txt"),
        ("filename*=iso-8859-1'de'Gr%F6%DFe.txt", "Größe.txt"),
        ("filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("filename*=UTF-8''a%00%0D%0Ab", "ab"),
        ('filename=""', "file"),
        ('filename="/"', "file"),
        ('filename="\\\\host\\share\\"', "share"),
        ('filename="Größe.txt"', "Größe.txt"),
    ],
)
async def test_of_a_raw_name_the_last_part_is_kept(http: httpx.AsyncClient, disposition: str, kept: str) -> None:
    body = part(f'form-data; name="file"; {disposition}', b"x") + PURPOSE + END
    answer = await post(http, FORM, body)
    assert answer.json()["filename"] == kept
    download = await http.get(f"/v1/files/{answer.json()['id']}/content")
    assert "\n" not in download.headers["content-disposition"]


async def test_a_boundary_in_the_content_is_content(http: httpx.AsyncClient) -> None:
    content = f"\r\n--{BOUNDARY}x\r\n--{BOUNDARY[:-1]}\r\n\r\n--".encode() * 5_000
    answer = await post(http, FORM, part(FILE, content).replace(b"--xYzZYx", b"--xYzZQx") + PURPOSE + END)
    assert answer.status_code == 200


async def test_a_file_that_is_too_large_is_refused_by_its_length_and_on_the_way(
    http: httpx.AsyncClient, alice: AsyncOpenAI, service: Service
) -> None:
    kept = service.list_stored()
    content = bytes(64 * MB + 1)
    with pytest.raises(APIStatusError) as refusal:
        await alice.files.create(file=("a.bin", content), purpose="assistants")
    assert (refusal.value.status_code, refusal.value.code) == (413, "request_too_large")
    assert "64 MB" in refusal.value.message

    async def stream() -> AsyncIterator[bytes]:
        yield f"--{BOUNDARY}\r\nContent-Disposition: {FILE}\r\n\r\n".encode()
        for _ in range(66):
            yield bytes(MB)

    with contextlib.suppress(httpx.WriteError, httpx.RemoteProtocolError):  # it was still sending
        answer = await http.post("/v1/files", content=stream(), headers={"Content-Type": FORM})
        check_refusal(answer, status=413, code="request_too_large", param="file")
    await eventually(lambda: service.list_stored() <= kept)


async def test_the_largest_file_fits(alice: AsyncOpenAI) -> None:
    file = await alice.files.create(file=("a.bin", bytes(64 * MB)), purpose="assistants")
    assert file.bytes == 64 * MB
    await alice.files.delete(file.id)


async def ask(service: Service, head: bytes, body: bytes = b"") -> Answer:
    async with open_raw(service.url) as connection:
        await connection.send(head + body)
        return await connection.read_answer()


async def test_a_stranger_is_refused_before_the_upload(service: Service) -> None:
    head = compose("POST", "/v1/files", f"Content-Type: {FORM}", f"Content-Length: {60 * MB}", "Expect: 100-continue")
    answer = await ask(service, head)
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    key = f"Authorization: Bearer {service.alice_key}"
    head = compose("POST", "/v1/files", key, f"Content-Type: {FORM}", f"Content-Length: {500 * MB}")
    answer = await ask(service, head)
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(service: Service) -> None:
    kept = service.list_stored()
    key = f"Authorization: Bearer {service.alice_key}"
    head = compose("POST", "/v1/files", key, f"Content-Type: {FORM}", f"Content-Length: {10 * MB}")
    async with open_raw(service.url) as connection:
        await connection.send(head + A_FILE[:-2] + bytes(2 * MB))
        await eventually(lambda: service.list_stored() - kept)
    await eventually(lambda: not service.list_stored() - kept)


@pytest.mark.long
async def test_an_upload_that_hardly_comes_is_refused(service: Service) -> None:
    kept = service.list_stored()
    key = f"Authorization: Bearer {service.alice_key}"
    head = compose("POST", "/v1/files", key, f"Content-Type: {FORM}", "Content-Length: 1000")
    async with open_raw(service.url) as connection:
        await connection.send(head + A_FILE[:-2])
        await asyncio.sleep(20)
        answer = await connection.read_answer()
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")
    await eventually(lambda: not service.list_stored() - kept)


def measure_mb(service: Service) -> float:
    workers = psutil.Process(service.replica.pid).children()
    return max(float(worker.memory_info().rss) for worker in workers) / MB


async def upload_many(service: Service, *, count: int, size: int) -> float:
    """By how many MB the worker has grown at most."""
    before = most = measure_mb(service)
    piece = secrets.token_bytes(64 * 1024)

    async def send() -> int:
        async def stream() -> AsyncIterator[bytes]:
            yield f"--{BOUNDARY}\r\nContent-Disposition: {FILE}\r\n\r\n".encode()
            for _ in range(size // len(piece)):
                yield piece
            yield b"\r\n" + PURPOSE + END

        headers = {"Content-Type": FORM, "Authorization": f"Bearer {service.alice_key}"}
        async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=120) as client:
            answer = await client.post("/v1/files", content=stream())
            assert answer.json()["bytes"] == size
            await client.delete(f"/v1/files/{answer.json()['id']}")
            return answer.status_code

    sending = asyncio.gather(*(send() for _ in range(count)))
    while not sending.done():
        most = max(most, measure_mb(service))
        await asyncio.wait([sending], timeout=0.05)
    assert set(await sending) == {200}
    return most - before


@pytest.mark.long
async def test_twenty_large_uploads_at_once_take_little_memory(
    start_valkey: StartValkey, standin: StandinServer, tmp_path: Path
) -> None:
    with start_service(start_valkey(), standin, tmp_path) as own:
        await upload_many(own, count=1, size=MB)
        grown_mb = await upload_many(own, count=20, size=60 * MB)
        print(f"1,200 MB at once: the worker grew by {grown_mb:.0f} MB")  # noqa: T201 -- with pytest -s
        assert grown_mb < 60


async def test_uploads_at_once_take_less_memory_than_they_have_bytes(service: Service) -> None:
    await upload_many(service, count=1, size=MB)
    assert await upload_many(service, count=8, size=20 * MB) < 40
