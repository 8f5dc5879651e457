"""The tokens of owners by month, as the archive has them, on both databases."""

from datetime import UTC, datetime, timedelta
from functools import partial

from redis.asyncio import Redis

from prompts.admin.tokens import MonthLine, find_busiest, list_months
from prompts.models import ArchivedResponse
from tests.contract.port_turns import OWNER, STRANGER
from tests.support.archive import archive_all, read
from tests.support.builders import Stores, take_turn


async def test_months_are_counted_for_each_owner(redis: Redis, stores: Stores) -> None:
    now = datetime.now(UTC)
    begun = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last = begun - timedelta(microseconds=1)
    used = [
        (OWNER, now, 100, 10),
        (OWNER, begun, 200, 20),
        (OWNER, last, 300, None),
        (OWNER, begun - timedelta(days=500), 400, 40),
        (STRANGER, now, 5_000, 500),
    ]
    for owner, at, given, said in used:
        response_id = await take_turn(stores)
        await archive_all(redis)
        rows = ArchivedResponse.objects.filter(id=response_id)
        await read(partial(rows.update, owner=owner, created_at=at, input_tokens=given, output_tokens=said))
    months = await read(lambda: list_months(OWNER))
    assert len(months) == 13
    assert months[0] == MonthLine(begun.date(), 2, 300, 30)
    assert (months[0].tokens, months[1].turns, months[1].tokens) == (330, 1, 300)
    assert [month.turns for month in months[2:]] == [0] * 11
    assert sorted({month.month for month in months}, reverse=True) == [month.month for month in months]
    assert await read(lambda: find_busiest(begun)) == [(STRANGER, 1, 5_000, 500), (OWNER, 2, 300, 30)]
    assert [month.turns for month in await read(lambda: list_months("nobody"))] == [0] * 13
