"""`PromptStore` on SQL: bounds that many requests would be needed for, and what is published of a template."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from prompts.adapters.sql.prompt_store import SqlPrompts
from prompts.domain import ids
from prompts.domain.prompts import EVERYBODY, Knowledge, Parameters, PromptContent, Variable
from prompts.domain.text import JsonSchema, ReasoningConfig, TextConfig
from prompts.errors import NotFound, PromptChanged, QuotaExceeded, Unavailable
from prompts.models import Prompt
from prompts.models import PromptVersion as VersionRow
from prompts.ports.prompts import MAX_PROMPT_BYTES, MAX_PROMPTS, MAX_VERSIONS, Publication
from tests.contract.port_turns import OWNER, STRANGER

pytestmark = pytest.mark.django_db(transaction=True)

FULL = PromptContent(
    text="Guten Tag, {{name}} 👋\n",
    variables=[Variable(name="name", type="enum", values=["ä", "b"], default="b", description="Wer?")],
    model="m",
    parameters=Parameters(
        temperature=1.0,
        top_p=0.1,
        max_output_tokens=2**31,
        reasoning=ReasoningConfig(None, "auto"),
        text=TextConfig(JsonSchema(name="x", schema={"type": "object", "n": 1.5}), "low"),
    ),
    knowledge=Knowledge(vector_store_ids=["vs_1"], owner="team"),
    follow_ups=True,
    history_tokens=0,
)


@pytest.fixture
def store() -> Iterator[SqlPrompts]:
    """The store of an empty database."""
    with closing(SqlPrompts()) as opened:
        yield opened


@pytest.fixture
async def prompt_id(store: SqlPrompts) -> str:
    """A template of Alice's with two versions, the second one the default."""
    made = await make(store, "one")
    await add(store, made, 1, "two")
    return made


async def make(store: SqlPrompts, text: str = "x", *, owner: str = OWNER) -> str:
    """A template that says this. Returns its id."""
    made = ids.new_id(ids.PROMPT, "07")
    await store.create(made, PromptContent(text=text), owner=owner, name=None)
    return made


async def add(store: SqlPrompts, prompt_id: str, after: int, text: str, *, becomes_default: bool = True) -> None:
    """Its next version."""
    content = PromptContent(text=text)
    await store.add_version(prompt_id, content, owner=OWNER, after=after, name=None, becomes_default=becomes_default)


async def test_a_version_comes_back_as_it_was_kept(store: SqlPrompts) -> None:
    prompt_id = ids.new_id(ids.PROMPT, "07")
    made = await store.create(prompt_id, FULL, owner=OWNER, name="Näme")
    found = await store.get(prompt_id, owner=OWNER)
    assert (found, found.content, found.name) == (made, FULL, "Näme")


async def test_what_is_published_is_the_template_as_it_is_now(store: SqlPrompts, prompt_id: str) -> None:
    content = {1: PromptContent(text="one"), 2: PromptContent(text="two")}
    whole = Publication(prompt_id, OWNER, 2, 2, content)
    assert await store.find_publication(prompt_id) == whole
    newest = Publication(prompt_id, OWNER, 2, 2, {2: content[2]}, is_whole=False)
    assert await store.find_publication(prompt_id, above=1) == newest
    assert await store.find_publication(ids.new_id(ids.PROMPT, "07")) is None


async def test_a_revision_rises_with_each_change_and_with_nothing_else(store: SqlPrompts, prompt_id: str) -> None:
    assert await store.list_revisions() == {prompt_id: 2}
    await store.set_default(prompt_id, 1, owner=OWNER)
    await store.set_default(prompt_id, 1, owner=OWNER)
    for refused, error in ((9, NotFound), (0, NotFound)):
        with pytest.raises(error):
            await store.set_default(prompt_id, refused, owner=OWNER)
    with pytest.raises(PromptChanged):
        await add(store, prompt_id, 1, "late")
    assert await store.list_revisions() == {prompt_id: 3}
    await store.delete(prompt_id, owner=OWNER)
    assert await store.list_revisions() == {}


async def test_everybodys_are_read_by_all_and_changed_by_no_owner(store: SqlPrompts) -> None:
    prompt_id = await make(store, owner=EVERYBODY)
    for owner in (OWNER, STRANGER):
        assert (await store.get(prompt_id, owner=owner)).owner == EVERYBODY
        page = await store.list_prompts(owner=owner, limit=10, order="asc", after=None)
        assert [version.prompt_id for version in page.versions] == [prompt_id]
    for change in (
        add(store, prompt_id, 1, "mine"),
        store.set_default(prompt_id, 1, owner=OWNER),
        store.delete(prompt_id, owner=OWNER),
    ):
        with pytest.raises(NotFound, match="only staff change it"):
            await change


async def test_an_owner_has_so_many_templates(store: SqlPrompts) -> None:
    rows = [Prompt(id=f"pmpt_{number}", owner=OWNER) for number in range(MAX_PROMPTS - 1)]
    await Prompt.objects.abulk_create(rows)
    await make(store)
    with pytest.raises(QuotaExceeded, match="1,000"):
        await make(store)
    await make(store, owner=STRANGER)
    await make(store, owner=EVERYBODY)


async def test_a_template_has_so_many_versions(store: SqlPrompts, prompt_id: str) -> None:
    await Prompt.objects.filter(id=prompt_id).aupdate(latest_number=MAX_VERSIONS - 1)
    await add(store, prompt_id, MAX_VERSIONS - 1, "the last")
    with pytest.raises(QuotaExceeded, match="200 versions"):
        await add(store, prompt_id, MAX_VERSIONS, "one more")
    assert (await store.get(prompt_id, owner=OWNER)).content.text == "the last"


async def test_an_owners_templates_have_so_many_bytes(store: SqlPrompts, prompt_id: str) -> None:
    await VersionRow.objects.filter(prompt_id=prompt_id, number=1).aupdate(size=MAX_PROMPT_BYTES - 2_000)
    with pytest.raises(QuotaExceeded, match="16 MB"):
        await make(store, "x" * 2_000)
    with pytest.raises(QuotaExceeded, match="16 MB"):
        await add(store, prompt_id, 2, "x" * 2_000)
    await make(store, "x" * 2_000, owner=STRANGER)


async def test_what_a_newer_release_has_written_is_away_for_the_moment(store: SqlPrompts, prompt_id: str) -> None:
    await VersionRow.objects.filter(prompt_id=prompt_id).aupdate(content={"text": 1})
    with pytest.raises(Unavailable):
        await store.get(prompt_id, owner=OWNER)


async def test_nobody_changes_a_version_that_is_there(prompt_id: str) -> None:
    row = await VersionRow.objects.aget(prompt_id=prompt_id, number=1)
    row.content = {"text": "another"}
    with pytest.raises(TypeError, match="never changed"):
        await row.asave()
    assert (await VersionRow.objects.aget(pk=row.pk)).content["text"] == "one"
