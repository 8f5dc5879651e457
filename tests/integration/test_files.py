"""Files as a user of the official SDK has them: upload, list, read, download, delete, and their end."""

import asyncio
import json
import secrets
from pathlib import Path

import httpx
import pytest
from openai import AsyncOpenAI, NotFoundError
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.domain import ids
from tests.support.s3 import S3Server
from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import StandinServer, eventually
from tests.support.service import Service, start_service

PURPOSE = {"purpose": "assistants"}
HTML = b"<!doctype html><script>alert(1)</script>"


async def test_a_file_is_kept_as_it_was_sent(alice: AsyncOpenAI, service: Service) -> None:
    content = secrets.token_bytes(3_000_000)
    file = await alice.files.create(file=("report.pdf", content), purpose="user_data")
    assert (file.bytes, file.filename, file.purpose, file.status) == (3_000_000, "report.pdf", "user_data", "processed")
    assert file.object == "file"
    assert file.expires_at is None
    assert await alice.files.retrieve(file.id) == file
    assert await alice.files.wait_for_processing(file.id) == file
    download = await alice.files.content(file.id)
    assert download.content == content
    assert download.response.headers["content-type"] == "application/pdf"
    assert download.response.headers["content-length"] == "3000000"
    assert file.id in service.list_stored()


async def test_curl_uploads_and_downloads(service: Service, tmp_path: Path) -> None:
    """It waits for `100 Continue` before a large body."""
    sent, got = tmp_path / "Größe, ä.bin", tmp_path / "got"
    content = secrets.token_bytes(5_000_000)
    await asyncio.to_thread(sent.write_bytes, content)
    key = ("-sS", "-H", f"Authorization: Bearer {service.alice_key}")
    form = ("-F", "purpose=assistants", "-F", f'file=@"{sent}"')
    uploading = await asyncio.create_subprocess_exec(
        *("curl", *key, *form, f"{service.api_url}/files"), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await uploading.communicate()
    file = json.loads(said)
    assert (file["bytes"], file["filename"]) == (5_000_000, sent.name)
    address = f"{service.api_url}/files/{file['id']}/content"
    downloading = await asyncio.create_subprocess_exec("curl", *key, "-o", str(got), address)
    assert await downloading.wait() == 0
    assert await asyncio.to_thread(got.read_bytes) == content


async def test_a_deleted_file_is_gone_at_once(alice: AsyncOpenAI, service: Service) -> None:
    file = await alice.files.create(file=("a.txt", b"hello"), purpose="assistants")
    deleted = await alice.files.delete(file.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (file.id, True, "file")
    for call in (alice.files.retrieve(file.id), alice.files.content(file.id), alice.files.delete(file.id)):
        with pytest.raises(NotFoundError) as refusal:
            await call
        assert refusal.value.code == "file_not_found"
        assert file.id in refusal.value.message
    assert file.id not in service.list_stored()
    async with Redis.from_url(service.valkey.url) as redis:
        assert [key async for key in redis.scan_iter(f"*{file.id}*")] == []


async def test_another_owner_has_no_files_of_alice(alice: AsyncOpenAI, bob: AsyncOpenAI) -> None:
    file = await alice.files.create(file=("a.txt", b"hello"), purpose="assistants")
    for call in (bob.files.retrieve(file.id), bob.files.content(file.id), bob.files.delete(file.id)):
        with pytest.raises(NotFoundError) as refusal:
            await call
        assert refusal.value.code == "file_not_found"
    assert file.id not in [each.id async for each in bob.files.list()]
    assert (await alice.files.content(file.id)).content == b"hello"


async def test_the_sdk_lists_page_by_page(alice: AsyncOpenAI) -> None:
    made = []
    for number in range(5):
        made.append((await alice.files.create(file=(f"{number}.txt", b"x"), purpose="evals")).id)
        await asyncio.sleep(0.002)  # ids of one millisecond are in no order
    mine = [each.id async for each in alice.files.list(purpose="evals", limit=2) if each.id in made]
    assert mine == made[::-1]
    mine = [each.id async for each in alice.files.list(purpose="evals", limit=2, order="asc") if each.id in made]
    assert mine == made
    assert not {each.id async for each in alice.files.list(purpose="batch")} & set(made)
    page = await alice.files.list(after=made[2], limit=2)
    assert [each.id for each in page.data] == [made[1], made[0]]


@pytest.mark.parametrize(
    ("sent", "kept", "disposition"),
    [
        ("report.txt", "report.txt", 'attachment; filename="report.txt"'),
        ("../../etc/passwd", "passwd", 'attachment; filename="passwd"'),
        ("..\\..\\boot.ini", "boot.ini", 'attachment; filename="boot.ini"'),
        ("C:\\temp\\x.txt", "x.txt", 'attachment; filename="x.txt"'),
        ("..", "file", 'attachment; filename="file"'),
        ("a;b=c.txt", "a;b=c.txt", 'attachment; filename="a;b=c.txt"'),
        ("Gro\u0308ße.md", "Größe.md", "attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.md"),
        ("日本語.pdf", "日本語.pdf", "attachment; filename*=utf-8''%E6%97%A5%E6%9C%AC%E8%AA%9E.pdf"),
        ("a\u202egpj.exe", "agpj.exe", 'attachment; filename="agpj.exe"'),
        ("x" * 1_000 + ".pdf", "x" * 251 + ".pdf", f'attachment; filename="{"x" * 251}.pdf"'),
    ],
)
async def test_of_a_name_what_is_no_path_is_kept(alice: AsyncOpenAI, sent: str, kept: str, disposition: str) -> None:
    file = await alice.files.create(file=(sent, b"x"), purpose="assistants")
    assert file.filename == kept
    assert (await alice.files.content(file.id)).response.headers["content-disposition"] == disposition


async def test_no_browser_shows_a_file(http: httpx.AsyncClient) -> None:
    file_id = (await http.post("/v1/files", files={"file": ("x.html", HTML, "text/html")}, data=PURPOSE)).json()["id"]
    answer = await http.get(f"/v1/files/{file_id}/content")
    assert answer.content == HTML
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_a_file_has_an_end_when_it_is_given_one(alice: AsyncOpenAI, service: Service) -> None:
    file = await alice.files.create(
        file=("a.txt", b"hello"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert file.expires_at == file.created_at + 3600
    async with Redis.from_url(service.valkey.url) as redis:
        await redis.hset(keys.file(file.id), "expires_ms", "1")
        with pytest.raises(NotFoundError):
            await alice.files.retrieve(file.id)
        await redis.zadd(keys.files_due(ids.get_partition(file.id)), {file.id: 1})
        await eventually(lambda: file.id not in service.list_stored(), within_s=20)
        await eventually(lambda: is_forgotten(redis, file.id), within_s=20)


async def is_forgotten(redis: Redis, file_id: str) -> bool:
    return not [key async for key in redis.scan_iter(f"*{file_id}*")]


async def test_what_a_killed_replica_was_writing_is_erased(service: Service, http: httpx.AsyncClient) -> None:
    """The bytes are in the storage, and the file was never added."""
    owner_files = (await http.post("/v1/files", files={"file": ("a", b"x")}, data={"purpose": "batch"})).json()["id"]
    file_id = ids.new_id(ids.FILE, ids.get_partition(owner_files))
    left = service.replica.directory / "files" / file_id[-2:] / file_id
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"left behind")
    async with Redis.from_url(service.valkey.url) as redis:
        await redis.zadd(keys.files_due(ids.get_partition(file_id)), {file_id: 1})
    await eventually(lambda: file_id not in service.list_stored(), within_s=20)


async def test_an_owner_keeps_as_many_bytes_as_they_may(
    start_valkey: StartValkey, standin: StandinServer, tmp_path: Path
) -> None:
    with start_service(start_valkey(), standin, tmp_path, MAX_OWNER_FILES_MB="1", MAX_FILE_MB="2") as own:
        headers = {"Authorization": f"Bearer {own.alice_key}"}
        async with httpx.AsyncClient(base_url=own.url, headers=headers) as client:

            async def send(size: int) -> httpx.Response:
                return await client.post("/v1/files", files={"file": ("a.bin", b"x" * size)}, data=PURPOSE)

            first = await send(1_000_000)
            assert first.status_code == 200
            refused = await send(100_000)
            assert refused.status_code == 429
            assert refused.json()["error"]["code"] == "quota_exceeded"
            assert refused.headers["x-should-retry"] == "false"
            await eventually(lambda: own.list_stored() == {first.json()["id"]})
            await client.delete(f"/v1/files/{first.json()['id']}")
            assert (await send(100_000)).status_code == 200
            refused = await send(2 * 1024 * 1024 + 1)
            assert refused.status_code == 413
            assert refused.json()["error"]["code"] == "request_too_large"
            assert "2 MB" in refused.json()["error"]["message"]


@pytest.mark.long
async def test_two_replicas_share_a_bucket(
    s3: S3Server, start_valkey: StartValkey, standin: StandinServer, tmp_path: Path, start_replica: StartReplica
) -> None:
    settings = {
        "FILES_S3_BUCKET": s3.bucket,
        "FILES_S3_ENDPOINT_URL": s3.url,
        "FILES_S3_REGION": "us-east-1",
        "FILES_S3_ACCESS_KEY": s3.key,
        "FILES_S3_SECRET_KEY": s3.secret,
    }
    content = secrets.token_bytes(20_000_000)
    with start_service(start_valkey(), standin, tmp_path, **settings) as own:
        other = start_replica(own.environment)
        headers = {"Authorization": f"Bearer {own.alice_key}"}
        async with httpx.AsyncClient(headers=headers, timeout=60) as client:
            file_id = (
                await client.post(f"{own.url}/v1/files", files={"file": ("a.bin", content)}, data=PURPOSE)
            ).json()["id"]
            assert (await client.get(f"{other.url}/v1/files/{file_id}/content")).content == content
            await client.delete(f"{other.url}/v1/files/{file_id}")
            assert (await client.get(f"{own.url}/v1/files/{file_id}/content")).status_code == 404
    assert not [path for path in s3.kept if path.name == file_id]
