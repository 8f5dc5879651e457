"""The first page of the admin shows what was answered, by day and model, to those who may see conversations."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from redis import Redis

from tests.support.archived import answer, new_conversation_id, say, write_archive
from tests.support.service import Service

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="session")
def busy(service: Service) -> str:
    """A model with turns of the last days, one of which failed; and one with a hostile name."""
    now = datetime.now(UTC).replace(hour=0, minute=0, second=1)
    told = [(0, "busy", "completed"), (2, "busy", "failed"), (40, "busy", "completed"), (1, HOSTILE, "completed")]
    conversations = []
    for days, model, status in told:
        at = (now - timedelta(days=days)).isoformat()
        columns = {"model": model, "status": status, "created_at": at, "completed_at": at}
        said = [say("user", "Hi"), answer([say("assistant", "Hi")], **columns)]
        conversations.append({"id": new_conversation_id(), "owner": "busy", "said": said})
    write_archive(service.environment, *conversations)
    with Redis.from_url(service.valkey.cache_url) as redis:
        for key in redis.scan_iter("*usage:*"):
            redis.delete(key)  # others may have looked within the last minute
    return "busy"


def find_line(page: str, model: str) -> list[str]:
    """The numbers of a model in the table."""
    found = re.search(rf">{model}</a></th>(.*?)</tr>", page, re.DOTALL)
    return re.findall(r"<td[^>]*>(.*?)</td>", found[1]) if found else []


async def test_pictures_and_numbers_of_a_period(sue: httpx.AsyncClient, busy: str) -> None:
    month = (await sue.get("/admin/", params={"days": "30"})).text
    assert find_line(month, busy)[:4] == ["2", "1", "240", "80"]
    assert month.count("<svg viewBox") == 4
    assert 'aria-label="Turns: ' in month
    assert find_line((await sue.get("/admin/", params={"days": "90"})).text, busy)[0] == "3"
    assert find_line((await sue.get("/admin/", params={"days": "0 OR 1"})).text, busy)[0] == "2"
    assert HOSTILE not in month
    assert " style=" not in month
