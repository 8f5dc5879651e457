"""What `FileStorage` promises: on a folder, and on a server that speaks S3."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from django.core.files.storage import storages

from config.files import compose_storage, list_failures
from prompts.adapters.storage.file_storage import DjangoFileStorage
from prompts.domain import ids
from prompts.errors import NotFound, Overloaded, Unavailable
from tests.support.s3 import S3Server
from tests.support.servers import eventually

MAX_BYTES = 20_000_000
OTHER_PARTITION = "06"
WORDS = [b"one ", b"two ", b"x" * 300_000, b"three"]


async def give(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def break_off(pieces: list[bytes]) -> AsyncIterator[bytes]:
    async for piece in give(pieces):
        yield piece
    raise ValueError("the client left")


@asynccontextmanager
async def held_upload(storage: DjangoFileStorage, *, size: int) -> AsyncIterator[None]:
    """An upload of so many bytes that comes to its end after the block."""
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def wait() -> AsyncIterator[bytes]:
        yield bytes(size - 300_000)
        yield bytes(300_000)
        has_begun.set()
        await may_end.wait()

    writing = asyncio.create_task(storage.write(new_id(), wait()))
    await has_begun.wait()
    try:
        yield
    finally:
        may_end.set()
        assert await writing == size


async def read(storage: DjangoFileStorage, file_id: str) -> bytes:
    return b"".join([piece async for piece in storage.read(file_id)])


def new_id(partition: str = "05") -> str:
    return ids.new_id(ids.FILE, partition)


def open_folder(folder: Path) -> DjangoFileStorage:
    composed = compose_storage(folder=folder, bucket=None, endpoint_url=None, region=None, key=None, secret=None)
    spool = folder / ".incoming"
    return DjangoFileStorage(storages.create_storage(composed), spool=spool, max_spooled_bytes=MAX_BYTES)


def open_bucket(server: S3Server, spool: Path) -> DjangoFileStorage:
    composed = compose_storage(
        folder=spool, bucket="files", endpoint_url=server.url, region="us-east-1", key=server.key, secret=server.secret
    )
    return DjangoFileStorage(
        storages.create_storage(composed),
        spool=spool / ".incoming",
        max_spooled_bytes=MAX_BYTES,
        failures=list_failures("files"),
    )


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.long)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DjangoFileStorage]:
    if request.param == "folder":
        opened = open_folder(tmp_path / "files")
    else:
        opened = open_bucket(request.getfixturevalue("s3"), tmp_path)
    yield opened
    opened.close()


def list_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_what_was_written_is_read(storage: DjangoFileStorage, tmp_path: Path) -> None:
    file_id = new_id()
    assert await storage.write(file_id, give(WORDS)) == len(b"".join(WORDS))
    assert await read(storage, file_id) == b"".join(WORDS)
    await eventually(lambda: [path for path in list_files(tmp_path) if ".incoming" in path.parts] == [])


async def test_what_breaks_off_leaves_nothing(storage: DjangoFileStorage, tmp_path: Path) -> None:
    file_id = new_id()
    with pytest.raises(ValueError, match="left"):
        await storage.write(file_id, break_off(WORDS))
    with pytest.raises(NotFound, match=file_id):
        await read(storage, file_id)
    await eventually(lambda: list_files(tmp_path) == [])


async def test_who_is_cancelled_leaves_nothing(storage: DjangoFileStorage, tmp_path: Path) -> None:
    has_begun = asyncio.Event()

    async def hang() -> AsyncIterator[bytes]:
        yield b"x" * 300_000
        has_begun.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(storage.write(new_id(), hang()))
    await has_begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await eventually(lambda: list_files(tmp_path) == [])


async def test_what_is_deleted_is_gone_and_again_is_no_error(storage: DjangoFileStorage) -> None:
    file_id = new_id()
    await storage.write(file_id, give(WORDS))
    for _ in range(2):
        await storage.delete(file_id)
        with pytest.raises(NotFound):
            await read(storage, file_id)


async def test_many_at_once(storage: DjangoFileStorage) -> None:
    file_ids = [new_id() for _ in range(30)]
    await asyncio.gather(*(storage.write(file_id, give([file_id.encode(), *WORDS])) for file_id in file_ids))
    found = await asyncio.gather(*(read(storage, file_id) for file_id in file_ids))
    assert found == [b"".join([file_id.encode(), *WORDS]) for file_id in file_ids]


async def test_uploads_have_their_room_at_once(storage: DjangoFileStorage) -> None:
    async with held_upload(storage, size=MAX_BYTES):
        with pytest.raises(Overloaded):
            await storage.write(new_id(), give([bytes(300_000)]))
    assert await storage.write(new_id(), give([bytes(300_000)])) == 300_000


async def test_one_owners_uploads_leave_room_to_others(storage: DjangoFileStorage) -> None:
    async with held_upload(storage, size=MAX_BYTES * 3 // 4 + 300_000):
        with pytest.raises(Overloaded):
            await storage.write(new_id(), give([bytes(300_000)]))
        assert await storage.write(new_id(OTHER_PARTITION), give([bytes(300_000)])) == 300_000
    assert await storage.write(new_id(), give([bytes(300_000)])) == 300_000


async def test_a_folder_is_closed_to_other_users_and_holds_no_names(tmp_path: Path) -> None:
    storage = open_folder(tmp_path / "files")
    file_id = new_id()
    await storage.write(file_id, give(WORDS))
    [path] = list_files(tmp_path)
    assert path.name == file_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path.parent.parent)} == {0o700}
    storage.close()


async def test_what_a_killed_process_left_is_removed_later(tmp_path: Path) -> None:
    storage = open_folder(tmp_path / "files")
    await storage.tidy()
    spool = tmp_path / "files" / ".incoming"
    spool.mkdir(parents=True)
    (spool / "old").write_bytes(b"x")
    os.utime(spool / "old", (1, 1))
    (spool / "new").write_bytes(b"x")
    await storage.tidy()
    assert [path.name for path in list_files(tmp_path)] == ["new"]
    storage.close()


async def test_a_folder_that_is_none_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "files").write_bytes(b"no folder")
    storage = open_folder(tmp_path / "files")
    for call in (storage.write(new_id(), give(WORDS)), read(storage, new_id()), storage.delete(new_id())):
        with pytest.raises(Unavailable):
            await call
    storage.close()


@pytest.mark.long
async def test_a_bucket_that_is_away_is_unavailable(s3: S3Server, tmp_path: Path) -> None:
    storage = open_bucket(s3, tmp_path)
    s3.kill()
    try:
        for call in (storage.write(new_id(), give(WORDS)), read(storage, new_id()), storage.delete(new_id())):
            with pytest.raises(Unavailable):
                await call
    finally:
        s3.start()
    storage.close()
