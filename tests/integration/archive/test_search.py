"""Searches in what was said: the same on both databases."""

import time

from redis.asyncio import Redis

from prompts.archive.histories import list_history
from prompts.archive.said import choose_words, list_forms
from prompts.archive.search import find_said_ids, list_newest
from prompts.models import ArchivedConversation, ArchivedItem
from tests.contract.port_turns import OWNER, STRANGER, fork
from tests.support.archive import archive_all, read
from tests.support.builders import Stores, make_conversation, take_turn

SAID = "Das Café in Zürich: https://www.example.com/menu_card?page=3 — 東京都へようこそ, don't!"


async def search(query: str, owner: str | None = OWNER) -> list[str]:
    """The ids of what is found."""
    return sorted(await read(lambda: find_said_ids(query, owner=owner)))


WORDS = "café|CAFE|zürich das|zur|example|com|menu card|menu_card|東京|京都|don't|page 3".split("|")
NO_WORDS = ["", "'", '"', "' | '", '" OR "', "nothing & !café", "café bicycle", "%", "\0", "NEAR(", "text:café"]


async def test_what_was_said_is_found_by_its_words(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "Hello", SAID)
    await make_conversation(stores, "Something else entirely")
    await archive_all(redis)
    for query in WORDS:
        assert await search(query) == [conversation_id], query


async def test_nothing_in_a_query_is_syntax(redis: Redis, stores: Stores) -> None:
    await make_conversation(stores, SAID)
    await archive_all(redis)
    for query in NO_WORDS:
        assert await search(query) == [], query


def test_no_text_takes_long() -> None:
    for text in ("x" * 100_000, "x." * 50_000, "東" * 100_000, "é" * 100_000, "a b" * 33_000):
        began = time.process_time()
        list_forms(text)
        choose_words(text[:200])
        assert time.process_time() - began < 2


async def test_owners_are_walls(redis: Redis, stores: Stores) -> None:
    await make_conversation(stores, "A secret", owner=STRANGER)
    mine = await make_conversation(stores, "A secret of mine")
    await archive_all(redis)
    assert await search("secret") == [mine]
    assert len(await search("secret", None)) == 2


async def test_what_was_deleted_is_not_found(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "A secret", "Another thing")
    await archive_all(redis)
    page = await stores.conversations.list_items(conversation_id, owner=OWNER, limit=1, order="asc", after=None)
    await stores.conversations.delete_item(conversation_id, page.first_id or "", owner=OWNER)
    await archive_all(redis)
    assert await search("secret") == []
    assert await search("another") == [conversation_id]


async def test_a_history_is_read_with_what_it_shares(redis: Redis, stores: Stores) -> None:
    origin = await make_conversation(stores, "One", "Two")
    forked = await fork(stores, origin)
    await take_turn(stores, text="On the fork", conversation_id=forked)
    await take_turn(stores, text="On the origin", conversation_id=origin)
    again = await fork(stores, forked)
    await take_turn(stores, text="Again", conversation_id=again)
    await archive_all(redis)
    conversation = await read(lambda: ArchivedConversation.objects.get(id=again))
    whole = await read(lambda: list_history(conversation))
    texts = ["One", "Two", "On the fork", "Hi.", "Again", "Hi."]
    assert [item.text for item in whole] == texts
    newest = await read(lambda: list_history(conversation, limit=3))
    place = (newest[0].timeline, newest[0].position)
    older = await read(lambda: list_history(conversation, before=place, limit=100))
    assert [item.text for item in [*older, *newest]] == texts


async def test_the_newest_come_first_however_common_the_words_are(redis: Redis, stores: Stores) -> None:
    said = ["rare one", *(f"common {number}" for number in range(6)), "rare two"]
    conversation_id = await make_conversation(stores, *said)
    await make_conversation(stores, "common of a stranger", owner=STRANGER)
    await archive_all(redis)
    items = ArchivedItem.objects.filter(owner=OWNER)

    async def find(query: str, limit: int, walked: int) -> list[str]:
        return [text for (text,) in await read(lambda: list_newest(items, query, "text", limit=limit, walked=walked))]

    for walked in (1, 3, 7, 8, 100):
        assert await find("common", 3, walked) == ["common 5", "common 4", "common 3"]
        assert await find("common", 10, walked) == [f"common {number}" for number in range(5, -1, -1)]
        assert await find("rar", 10, walked) == ["rare two", "rare one"]
        assert await find("nothing", 10, walked) == []
        assert await find("", 10, walked) == []
    assert conversation_id in await search("common")
