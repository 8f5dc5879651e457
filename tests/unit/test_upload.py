"""Forms with a file, cut anywhere; and what is left of the names of files."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.api.wire.unknown import Unknown
from prompts.api.wire.upload import Upload
from prompts.domain.file_names import MAX_CHARACTERS, clean_name
from prompts.errors import InvalidRequest
from prompts.usecases.files import FileToKeep

CONTENT = b"\r\n--x\r\n--boundar\r\n\r\n--boundary" + bytes(range(256))
FORM = (
    b'--boundary\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nvision\r\n'
    b'--boundary\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    + CONTENT
    + b'\r\n--boundary\r\nContent-Disposition: form-data; name="expires_after[anchor]"\r\n\r\ncreated_at\r\n'
    b'--boundary\r\nContent-Disposition: form-data; name="expires_after[seconds]"\r\n\r\n3600\r\n--boundary--\r\n'
)


async def give(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, size: int) -> tuple[bytes, FileToKeep]:
    kind = "multipart/form-data; boundary=boundary"
    upload = Upload(give(body, size), kind, max_file_bytes=1_000, unknown=Unknown())
    await upload.start()
    content = b"".join([piece async for piece in upload.content()])
    return content, upload.describe()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 50, 100, 1_000])
async def test_a_form_is_read_however_it_is_cut(size: int) -> None:
    assert await read(FORM, size) == (CONTENT, FileToKeep("a.png", "vision", 3600))


async def test_a_form_that_ends_anywhere_before_its_end_is_refused() -> None:
    for length in range(len(FORM) - len("\r\n")):
        with pytest.raises(InvalidRequest):
            await read(FORM[:length], 64)


@given(st.text(max_size=600))
def test_of_any_name_something_harmless_is_left(sent: str) -> None:
    kept = clean_name(sent)
    assert 0 < len(kept) <= MAX_CHARACTERS
    assert kept.strip(".") != ""
    assert not set("/\\\0\r\n") & set(kept)
    assert kept.encode()  # no half characters
    assert clean_name(kept) == kept
