"""`ReaderMarks`: who reads a response is known at every replica."""

import asyncio

from prompts.ports.reader_marks import Reader
from tests.contract.backends import Backend
from tests.contract.port_turns import LEASE_S, begin
from tests.support.builders import Stores, write

# Messages take milliseconds; this is the limit on a very busy machine.
HEARD_S = 20.0


async def test_it_works(stores: Stores) -> None:
    draft, _ = await begin(stores)
    response_id = draft.response.id
    readers = [Reader(response_id, draft.reader_id), Reader(response_id, "second")]
    await stores.reader_marks.mark(readers)
    for reader in readers:
        assert await stores.reader_marks.has_any(response_id)
        await stores.reader_marks.unmark(reader)
    assert not await stores.reader_marks.has_any(response_id)


async def test_a_mark_is_removed_once_however_often_it_was_made(stores: Stores) -> None:
    draft, _ = await begin(stores)
    reader = Reader(draft.response.id, draft.reader_id)
    for _ in range(3):
        await stores.reader_marks.mark([reader, reader])
    for _ in range(2):
        await stores.reader_marks.unmark(reader)
    assert not await stores.reader_marks.has_any(draft.response.id)


async def test_nobody_may_be_marked(stores: Stores) -> None:
    await stores.reader_marks.mark([])
    assert not await stores.reader_marks.has_any("resp_" + "0" * 32)


async def test_a_reader_that_leaves_is_news_for_those_who_watch(backend: Backend) -> None:
    stores = backend.stores
    draft, admitted = await begin(stores)
    async with stores.event_log.watch(draft.response.id) as watch:
        while await watch.wait_news(0.2):
            pass  # a new subscription is news, too
        await write(stores, admitted, "word", lease_s=LEASE_S)
        assert await watch.wait(HEARD_S)
        assert not await watch.wait_news(0)
        asking = asyncio.ensure_future(watch.wait_news(HEARD_S))
        await stores.reader_marks.unmark(Reader(draft.response.id, draft.reader_id))
        assert await asking
