"""`PublishedPrompts`: what turns read of templates."""

import asyncio

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.published_prompts import RedisPublishedPrompts
from prompts.domain import ids
from prompts.domain.prompts import EVERYBODY, Knowledge, Parameters, PromptContent, Variable
from prompts.domain.text import JsonObject, ReasoningConfig, TextConfig
from prompts.errors import NotFound
from prompts.ports.prompts import NO_PROMPTS, Publication, PublishedPrompts
from tests.contract.port_turns import OWNER, STRANGER
from tests.support.fakes.published_prompts import FakePublishedPrompts

ID, OTHER_ID = (ids.new_id(ids.PROMPT, "07") for _ in range(2))
FULL = PromptContent(
    text="Guten Tag, {{name}} – {{plan}} 👋",
    variables=[
        Variable(name="name"),
        Variable(name="plan", type="enum", values=["a", "b"], default="b", description="Which."),
    ],
    model="m",
    parameters=Parameters(temperature=0.0, reasoning=ReasoningConfig("low"), text=TextConfig(JsonObject(), "low")),
    knowledge=Knowledge(vector_store_ids=["vs_1"], when="auto", owner="team"),
    follow_ups=True,
    history_tokens=0,
)


@pytest.fixture(params=["memory", "redis"])
async def published(request: pytest.FixtureRequest, redis: Redis) -> PublishedPrompts:
    """Of each kind, empty."""
    # So few bytes that versions come in several slices.
    return FakePublishedPrompts() if request.param == "memory" else RedisPublishedPrompts(redis, max_bytes_at_once=300)


def say(text: str) -> PromptContent:
    """A version that says this."""
    return PromptContent(text=text)


def build(*texts: str, revision: int = 1, default: int = 1, owner: str = OWNER, prompt_id: str = ID) -> Publication:
    """A template with these versions, whole."""
    versions = {number: say(text) for number, text in enumerate(texts, 1)}
    return Publication(prompt_id, owner, revision, default, versions)


def build_change(number: int, text: str, *, revision: int) -> Publication:
    """Its newest version alone, which is the default."""
    return Publication(ID, OWNER, revision, number, {number: say(text)}, is_whole=False)


async def read(published: PublishedPrompts, number: int | None = None, *, owner: str = OWNER) -> str:
    """The text of a version."""
    return (await published.get(ID, owner=owner, number=number)).content.text


async def check_unknown(published: PublishedPrompts, number: int | None = None, *, owner: str = OWNER) -> None:
    """Check that the template, or its version, is not there for this owner."""
    with pytest.raises(NotFound) as raised:
        await published.get(ID, owner=owner, number=number)
    assert raised.value.code == "prompt_not_found"
    assert ID in raised.value.message


async def test_a_version_is_read_as_it_was_published(published: PublishedPrompts) -> None:
    await published.publish(Publication(ID, OWNER, 1, 1, {1: FULL}))
    found = await published.get(ID, owner=OWNER)
    assert (found.number, found.owner, found.content) == (1, OWNER, FULL)


async def test_without_a_number_the_default_is_read(published: PublishedPrompts) -> None:
    await published.publish(build("one", "two", "three", default=2))
    assert [await read(published, number) for number in (None, 1, 2, 3)] == ["two", "one", "two", "three"]


async def test_what_is_not_there_is_unknown(published: PublishedPrompts) -> None:
    await check_unknown(published)
    await published.publish(build("one"))
    for number in (0, 2, 10**8):
        await check_unknown(published, number)


async def test_a_template_is_its_owners_and_everybodys_is_for_all(published: PublishedPrompts) -> None:
    await published.publish(build("one"))
    await check_unknown(published, owner=STRANGER)
    await published.publish(build("for all", owner=EVERYBODY, revision=2))
    assert [await read(published, owner=owner) for owner in (OWNER, STRANGER)] == ["for all", "for all"]


async def test_a_new_version_is_published_alone(published: PublishedPrompts) -> None:
    await published.publish(build("one"))
    assert await published.publish(build_change(2, "two", revision=2))
    assert [await read(published, number) for number in (None, 1, 2)] == ["two", "one", "two"]


async def test_a_new_version_alone_is_not_enough_where_others_are_missing(published: PublishedPrompts) -> None:
    assert not await published.publish(build_change(2, "two", revision=2))
    await check_unknown(published)
    await published.publish(build("one"))
    assert not await published.publish(build_change(3, "three", revision=3))
    assert await read(published) == "one"
    await published.publish(build("one", "two", "three", revision=3, default=3))
    assert await read(published) == "three"


async def test_the_same_again_changes_nothing(published: PublishedPrompts) -> None:
    for _ in range(2):
        assert await published.publish(build("one", "two", revision=2, default=2))
    assert await published.publish(build_change(2, "two", revision=2))
    assert (await read(published), await published.list_revisions()) == ("two", {ID: 2})


async def test_an_older_state_that_comes_late_changes_nothing(published: PublishedPrompts) -> None:
    await published.publish(build("one", "two", revision=3, default=2))
    await published.publish(build("one", revision=1))
    assert (await read(published), await published.list_revisions()) == ("two", {ID: 3})


async def test_a_state_that_the_truth_has_not_is_replaced(published: PublishedPrompts) -> None:
    await published.publish(build("one", "lost", revision=5, default=2))
    await published.publish(build("one", revision=2), wrong_revision=4)
    assert await read(published) == "lost"
    await published.publish(build("one", revision=2), wrong_revision=5)
    assert (await read(published), await published.list_revisions()) == ("one", {ID: 2})
    await check_unknown(published, 2)


async def test_what_is_withdrawn_is_unknown_and_does_not_come_back(published: PublishedPrompts) -> None:
    await published.publish(build("one"))
    await published.publish(build("other", prompt_id=OTHER_ID))
    for _ in range(2):
        await published.withdraw(ID)
        await check_unknown(published)
        assert await published.publish(build("one", revision=2))
    assert await published.list_revisions() == {OTHER_ID: 1}


async def test_of_many_publications_at_once_the_newest_stays(published: PublishedPrompts) -> None:
    texts = [f"version {number} {'x' * 200}" for number in range(1, 11)]
    states = [build(*texts[:number], revision=number, default=number) for number in range(1, 11)]
    await asyncio.gather(*(published.publish(state) for state in [*states, *reversed(states)]))
    assert await read(published) == texts[-1]
    assert [await read(published, number) for number in range(1, 11)] == texts


async def test_where_nobody_has_any_all_are_unknown() -> None:
    await NO_PROMPTS.publish(build("one"))
    await NO_PROMPTS.withdraw(ID)
    await check_unknown(NO_PROMPTS)
    assert await NO_PROMPTS.list_revisions() == {}


async def test_reading_a_version_is_one_round_trip(redis: Redis) -> None:
    published = RedisPublishedPrompts(redis)
    await published.publish(build("one", "two"))
    await published.get(ID, owner=OWNER)  # the script is loaded with the first call
    before = (await redis.info("stats"))["total_commands_processed"]
    await published.get(ID, owner=OWNER, number=2)
    after = (await redis.info("stats"))["total_commands_processed"]
    # The script's own commands are counted, and this question: what is left is one command of ours.
    assert after - before <= 1 + 1 + 2
    assert keys.prompt(ID).startswith("eps:{prompts}:")
