"""`PassageIndex`: what it finds, for whom, by which filters; on SQLite, and on Weaviate with and without vectors."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from prompts.domain.passages import Attributes, Comparison, Compound, Filter, Stretch
from prompts.ports.passage_index import MAX_FOUND, Indexed, PassageIndex, Ranking
from tests.support.knowledge import a_file, new_file, new_store, open_embedder, open_sqlite_index, open_weaviate_index
from tests.support.servers import StandinServer, WeaviateAddress

# One collection for the whole run, as in production: what one test's tenants have must not disturb another's.
COLLECTION = f"Contract{uuid4().hex}"
ADAPTERS = ("sqlite", "weaviate_words", "weaviate_hybrid")


@pytest.fixture(params=ADAPTERS)
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[PassageIndex]:
    """Each adapter in turn, prepared."""
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":
            yield await stack.enter_async_context(open_sqlite_index(tmp_path / "knowledge.sqlite3"))
            return
        weaviate: WeaviateAddress = request.getfixturevalue("weaviate")
        embedder = None
        if request.param == "weaviate_hybrid":
            standin: StandinServer = request.getfixturevalue("standin")
            embedder = await stack.enter_async_context(open_embedder(standin.base_url))
        found = await stack.enter_async_context(open_weaviate_index(weaviate, embedder, collection=COLLECTION))
        await found.prepare()
        yield found


async def find_files(
    index: PassageIndex, store: str, query: str, *, where: Filter | None = None, limit: int = MAX_FOUND
) -> set[str]:
    return {passage.file_id for passage in await index.search(store, [query], limit=limit, where=where)}


async def put_texts(index: PassageIndex, store: str, **texts: str) -> dict[str, str]:
    """Put a file a text; returns its ids by their names."""
    files = {name: new_file() for name in texts}
    for name, text in texts.items():
        await index.put(store, a_file(files[name], text, filename=f"{name}.md"))
    return files


async def test_it_works(index: PassageIndex) -> None:
    store, file_id = new_store(), new_file()
    stretches = [
        Stretch(number=0, text="The harbour opens at six.", heading="Harbour › Hours", page=3, tokens=7, start=0),
        Stretch(number=1, text="Dogs are welcome on the pier.", page=None, tokens=6, start=26),
    ]
    attributes: Attributes = {"year": 2024, "town": "Kiel", "open": True, "depth": 7.5}
    await index.put(
        store, Indexed(file_id=file_id, filename="port guide.pdf", attributes=attributes, stretches=stretches)
    )
    found = (await index.search(store, ["When does the harbour open?"], limit=5))[0]
    assert (found.vector_store_id, found.file_id, found.filename) == (store, file_id, "port guide.pdf")
    assert (found.number, found.text, found.heading) == (0, "The harbour opens at six.", "Harbour › Hours")
    assert (found.page, found.tokens, found.start) == (3, 7, 0)
    assert found.attributes == attributes
    assert 0 < found.score <= 1
    assert await index.list_stretches(store, file_id) == stretches


async def test_the_better_fitting_passage_comes_first(index: PassageIndex) -> None:
    store = new_store()
    files = await put_texts(
        index,
        store,
        boats="Boats are repaired in the dock behind the harbour master's office.",
        bread="Bread is baked before sunrise in the old mill.",
        tides="The tide table hangs at the harbour gate.",
    )
    found = await index.search(store, ["Where are boats repaired?"], limit=3)
    assert found[0].file_id == files["boats"]
    assert all(left.score >= right.score for left, right in pairwise(found))


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Die Größe der Schiffe wird vermessen.", "grosse schiffe groß"),
        ("The ferries were running late.", "which ferry runs"),
        ("東京都の港は六時に開きます。", "東京の港"),
        ("Le déjeuner est servi à midi.", "dejeuner"),
    ],
)
async def test_other_forms_of_a_word_find_it(index: PassageIndex, text: str, query: str) -> None:
    store = new_store()
    files = await put_texts(index, store, wanted=text, other="Entirely unrelated words about gardening.")
    found = await index.search(store, [query], limit=2)
    assert found
    assert found[0].file_id == files["wanted"]


async def test_headings_and_file_names_are_searched_too(index: PassageIndex) -> None:
    store, by_heading, by_name, other = new_store(), new_file(), new_file(), new_file()
    await index.put(store, a_file(by_heading, "Pull the lever twice.", heading="Anchor winch"))
    await index.put(store, a_file(by_name, "Sign on the dotted line.", filename="mooring-permit_2024.pdf"))
    await index.put(store, a_file(other, "Nothing of interest here."))
    assert (await index.search(store, ["How is the anchor winch used?"], limit=1))[0].file_id == by_heading
    assert (await index.search(store, ["Where is the mooring permit signed"], limit=1))[0].file_id == by_name


async def test_a_store_that_nobody_filled_is_empty(index: PassageIndex) -> None:
    store = new_store()
    assert await index.search(store, ["harbour"], limit=5) == []
    assert await index.list_stretches(store, new_file()) == []
    await index.remove_file(store, new_file())
    await index.remove_store(store)
    await index.set_attributes(store, new_file(), {"year": 1})


async def test_stores_never_see_each_other(index: PassageIndex) -> None:
    mine, other, file_id = new_store(), new_store(), new_file()
    await index.put(mine, a_file(file_id, "The same text.", "Only mine.", attributes={"year": 2024}))
    await index.put(other, a_file(file_id, "The same text.", attributes={"year": "two"}))
    for store, attributes in ((mine, {"year": 2024}), (other, {"year": "two"})):
        found = await index.search(store, ["the same text only mine"], limit=50)
        assert {passage.vector_store_id for passage in found} == {store}
        assert all(passage.attributes == attributes for passage in found)
    assert len(await index.list_stretches(mine, file_id)) == 2
    assert len(await index.list_stretches(other, file_id)) == 1
    assert await find_files(index, other, "text", where=Comparison(type="eq", key="year", value=2024)) == set()
    await index.remove_file(other, file_id)
    assert await find_files(index, mine, "same text") == {file_id}
    assert await find_files(index, other, "same text") == set()
    await index.put(other, a_file(file_id, "The same text."))
    await index.remove_store(mine)
    assert await find_files(index, mine, "same text") == set()
    assert await find_files(index, other, "same text") == {file_id}


async def test_what_is_removed_is_found_no_more_at_once(index: PassageIndex) -> None:
    store = new_store()
    files = await put_texts(index, store, kept="harbour one", gone="harbour two")
    for _ in range(2):  # the same again changes nothing
        await index.remove_file(store, files["gone"])
        assert await find_files(index, store, "harbour") == {files["kept"]}
        assert await index.list_stretches(store, files["gone"]) == []
    for _ in range(2):
        await index.remove_store(store)
        assert await find_files(index, store, "harbour") == set()


async def test_a_removed_store_can_be_filled_again(index: PassageIndex) -> None:
    store = new_store()
    await put_texts(index, store, old="harbour one")
    await index.remove_store(store)
    files = await put_texts(index, store, new="harbour two")
    assert await find_files(index, store, "harbour") == {files["new"]}


async def test_putting_again_replaces(index: PassageIndex) -> None:
    store, file_id = new_store(), new_file()
    await index.put(store, a_file(file_id, *(f"harbour old {number}" for number in range(150))))
    assert len(await index.list_stretches(store, file_id)) == 150
    some = await index.list_stretches(store, file_id, first=60, count=70)
    assert [stretch.number for stretch in some] == [*range(60, 130)]
    assert [stretch.number for stretch in await index.list_stretches(store, file_id, first=149, count=5)] == [149]
    assert await index.list_stretches(store, file_id, first=150, count=5) == []
    changed = a_file(file_id, "harbour new", "pier new", attributes={"year": 2025}, filename="new.md")
    for _ in range(2):
        await index.put(store, changed)
        assert await index.list_stretches(store, file_id) == list(changed.stretches)
        found = await index.search(store, ["harbour old pier"], limit=50)
        assert {passage.text for passage in found} == {"harbour new", "pier new"}
        assert {passage.filename for passage in found} == {"new.md"}
    await index.put(store, a_file(file_id))
    assert await index.list_stretches(store, file_id) == []


async def test_changed_attributes_hold_from_now_on(index: PassageIndex) -> None:
    store, file_id, other = new_store(), new_file(), new_file()
    texts = [f"harbour passage {number}" for number in range(130)]
    await index.put(store, a_file(file_id, *texts, attributes={"year": 2024, "town": "Kiel"}))
    await index.put(store, a_file(other, "harbour", attributes={"year": 2024}))
    await index.set_attributes(store, file_id, {"year": 2025})
    of_2025 = Comparison(type="eq", key="year", value=2025)
    found = await index.search(store, ["harbour"], limit=50, where=of_2025)
    assert len(found) == 50
    assert all(passage.attributes == {"year": 2025} and passage.file_id == file_id for passage in found)
    assert await find_files(index, store, "harbour", where=Comparison(type="eq", key="year", value=2024)) == {other}
    in_kiel = Comparison(type="eq", key="town", value="Kiel")
    assert await find_files(index, store, "harbour", where=in_kiel) == set()
    assert [stretch.text for stretch in await index.list_stretches(store, file_id)] == texts


async def test_a_filter_holds_while_searching(index: PassageIndex) -> None:
    """Not afterwards: three hundred passages fit better than the ten that the filter wants."""
    store, wanted = new_store(), [new_file() for _ in range(10)]
    await index.put(store, a_file(new_file(), *("harbour harbour harbour" for _ in range(300)), attributes={"kind": 1}))
    for file_id in wanted:
        text = "One word about the harbour among many others that have nothing to do with the question at all."
        await index.put(store, a_file(file_id, text, attributes={"kind": 2}))
    where = Comparison(type="eq", key="kind", value=2)
    found = await index.search(store, ["harbour"], limit=10, where=where)
    assert {passage.file_id for passage in found} == set(wanted)


async def test_the_limit_holds(index: PassageIndex) -> None:
    store = new_store()
    await index.put(store, a_file(new_file(), *(f"harbour {number}" for number in range(80))))
    for limit in (1, 7, MAX_FOUND):
        assert len(await index.search(store, ["harbour"], limit=limit)) == limit
    assert len(await index.search(store, ["harbour", "harbours", "harbour 7"], limit=9)) == 9


async def test_several_queries_are_merged(index: PassageIndex) -> None:
    store = new_store()
    files = await put_texts(
        index,
        store,
        boats="Boats are repaired in the dock.",
        bread="Bread is baked before sunrise.",
        birds="Gulls nest on the cliffs.",
    )
    found = await index.search(store, ["repaired boats", "baked bread", "boats repaired"], limit=2)
    assert {passage.file_id for passage in found} == {files["boats"], files["bread"]}
    everything = await index.search(store, ["boats", "bread", "gulls"], limit=50)
    assert len(everything) == len({passage.file_id for passage in everything}) == 3


async def test_a_threshold_leaves_out_what_fits_worse(index: PassageIndex) -> None:
    store = new_store()
    files = await put_texts(
        index,
        store,
        best="harbour pier anchor",
        good="harbour pier and many other words beside them, of boats and of bread and of birds",
        bad="anchor chains are sold by weight in the shop at the end of the long street by the church",
    )
    query = ["harbour pier anchor"]
    everything = await index.search(store, query, limit=10)
    assert everything[0].file_id == files["best"]
    for passage in everything:
        above = await index.search(store, query, limit=10, ranking=Ranking(score_threshold=passage.score))
        assert {each.file_id for each in above} == {each.file_id for each in everything if each.score >= passage.score}
    for ranking in (Ranking(ranker="none"), Ranking(text_weight=0.0), Ranking(text_weight=1.0)):
        assert (await index.search(store, query, limit=1, ranking=ranking))[0].file_id == files["best"]


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "*",
        "NEAR(",
        "harbour*",
        '"harbour" OR 1=1; DROP TABLE passages --',
        "harbour AND",
        "NOT",
        "text:harbour",
        "{text}: ^harbour",
        "harbour" * 2_000,
        "harbour " * 1_500,
        " ".join(f"word{number}" for number in range(2_000)),
        "",
        "   \n\t",
        "?!…–",
        "the of and to",
        "\0",
        "\ud800",
        "🚢",
        "a" * 10_000,
        "(" * 500,
    ],
)
async def test_a_hostile_query_is_only_words(index: PassageIndex, query: str) -> None:
    store, file_id = new_store(), new_file()
    await index.put(store, a_file(file_id, "The harbour of the town", "one more passage"))
    await index.search(store, [query], limit=5)
    found = await index.search(store, [query, "harbour"], limit=5)
    assert found
    assert found[0].file_id == file_id


async def test_no_query_finds_nothing(index: PassageIndex) -> None:
    store = new_store()
    await put_texts(index, store, one="harbour")
    assert await index.search(store, [], limit=5) == []
    assert await index.search(store, [""], limit=5) == []


async def test_odd_texts_are_kept_as_they_are(index: PassageIndex) -> None:
    store, file_id = new_store(), new_file()
    texts = ["harbour\n\ttabs ", "", "  ", "emoji 🚢 harbour", "x" * 50_000 + " harbour", '"quotes" \\ {json}']
    await index.put(store, a_file(file_id, *texts, heading=" › ", filename="größe \"x\" 'y' ../z.md"))
    assert [stretch.text for stretch in await index.list_stretches(store, file_id)] == texts
    found = await index.search(store, ["harbour"], limit=5)
    assert {passage.filename for passage in found} == {"größe \"x\" 'y' ../z.md"}


async def test_preparing_at_once_and_again_changes_nothing(index: PassageIndex) -> None:
    store = new_store()
    files = await put_texts(index, store, one="harbour")
    await asyncio.gather(*(index.prepare() for _ in range(4)))
    assert await find_files(index, store, "harbour") == {files["one"]}


async def test_many_put_and_search_at_once(index: PassageIndex) -> None:
    store = new_store()
    files = [new_file() for _ in range(12)]
    await asyncio.gather(*(index.put(store, a_file(file_id, "harbour", "pier")) for file_id in files))
    found = await asyncio.gather(*(find_files(index, store, "harbour") for _ in range(12)))
    assert all(each == set(files) for each in found)


# --- filters ---

KEYS = ["year", "größe cm", "id", "_x", "🚢", "a" * 64, "quo\"te's", "file_id", "Year", "text", "a.b", "$ne", " "]
VALUES: list[str | float | bool] = [
    *(True, False, 0, 1, -1, 1.5, 2024, 2023.999, -0.0, 1e300, -1e300, 5e-324, 9007199254740993, 0.1),
    *(
        "",
        "true",
        "1",
        "2024",
        "2024-01-01",
        "2024-01-02",
        "Kiel",
        "kiel",
        " Kiel ",
        "größe",
        "🚢",
        "a\nb",
        "ab",
        "abc",
    ),
    *("x" * 512, "it's", 'say "x"', "%", "_", "*", "NULL", "the"),
]
OPERATORS: Final = ("eq", "ne", "gt", "gte", "lt", "lte")
LIST_OPERATORS: Final = ("in", "nin")
ORDERED = [value for value in VALUES if value != "x" * 512]


def fits(where: Filter, attributes: Attributes) -> bool:
    """What a filter means."""
    if isinstance(where, Compound):
        return (all if where.type == "and" else any)(fits(each, attributes) for each in where.filters)
    wanted = where.value if isinstance(where.value, list) else [where.value]
    own = [attributes[where.key]] if where.key in attributes else []
    alike = [(left, right) for left in own for right in wanted if kind_of(left) == kind_of(right)]
    match where.type:
        case "eq" | "in":
            return any(left == right for left, right in alike)
        case "ne" | "nin":
            return not any(left == right for left, right in alike)
    compare = {"gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__"}[where.type]
    return any(
        getattr(float(left), compare)(float(right)) if kind_of(left) is float else getattr(left, compare)(right)
        for left, right in alike
    )


def kind_of(value: str | float | bool) -> type:
    if isinstance(value, bool):
        return bool
    return str if isinstance(value, str) else float


def make_files(count: int) -> Sequence[Attributes]:
    """Files that have every key with every value, and some without any."""
    return [
        {key: VALUES[(number * 7 + place * 3) % len(VALUES)] for place, key in enumerate(KEYS) if (number + place) % 4}
        for number in range(count)
    ]


FILES = [*make_files(2 * len(VALUES)), {}]
comparisons = st.one_of(
    st.builds(
        Comparison,
        type=st.sampled_from(["eq", "ne"]),
        key=st.sampled_from([*KEYS, "unknown"]),
        value=st.sampled_from(VALUES),
    ),
    st.builds(
        Comparison,
        type=st.sampled_from(["gt", "gte", "lt", "lte"]),
        key=st.sampled_from([*KEYS, "unknown"]),
        value=st.sampled_from(ORDERED)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text("a2K-ü", max_size=8),
    ),
    st.builds(
        Comparison,
        type=st.sampled_from(["in", "nin"]),
        key=st.sampled_from([*KEYS, "unknown"]),
        value=st.lists(st.sampled_from(VALUES), max_size=6),
    ),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.builds(Compound, type=st.sampled_from(["and", "or"]), filters=st.lists(inner, max_size=4)),
    max_leaves=8,
)


@pytest.fixture
async def filled(index: PassageIndex) -> AsyncIterator[tuple[str, dict[str, Attributes]]]:
    """A store whose files have odd attributes, by their ids."""
    store = new_store()
    files = {new_file(): attributes for attributes in FILES}
    for file_id, attributes in files.items():
        await index.put(store, a_file(file_id, "harbour", attributes=attributes))
    yield store, files
    await index.remove_store(store)


async def assert_found(index: PassageIndex, store: str, files: dict[str, Attributes], where: Filter) -> None:
    """All that fit are found, where no more fit than can be; and none that does not."""
    expected = {file_id for file_id, attributes in files.items() if fits(where, attributes)}
    found = await index.search(store, ["harbour"], limit=MAX_FOUND, where=where)
    assert len(found) == min(len(expected), MAX_FOUND)
    assert {passage.file_id for passage in found} <= expected
    assert all(passage.attributes == files[passage.file_id] for passage in found)


async def test_every_operator_beside_every_value(
    index: PassageIndex, filled: tuple[str, dict[str, Attributes]]
) -> None:
    store, files = filled
    for number, value in enumerate(VALUES):
        for operator in OPERATORS:
            key = KEYS[number % len(KEYS)]
            if value in ORDERED or operator in ("eq", "ne"):
                await assert_found(index, store, files, Comparison(type=operator, key=key, value=value))
        for list_operator in LIST_OPERATORS:
            some = [value, VALUES[number - 1], "nobody's"]
            await assert_found(index, store, files, Comparison(type=list_operator, key=KEYS[0], value=some))


@given(where=filters)
@example(where=Compound(type="and", filters=[]))
@example(where=Compound(type="or", filters=[]))
@example(where=Comparison(type="in", key="year", value=[]))
@example(where=Comparison(type="nin", key="year", value=[]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_filters_mean_what_they_say(
    index: PassageIndex, filled: tuple[str, dict[str, Attributes]], where: Filter
) -> None:
    store, files = filled
    await assert_found(index, store, files, where)


async def test_one_key_may_have_a_number_here_and_a_text_there(index: PassageIndex) -> None:
    store, number, text, truth = new_store(), new_file(), new_file(), new_file()
    years: dict[str, str | float | bool] = {number: 2024, text: "2024", truth: True}
    for file_id, year in years.items():
        await index.put(store, a_file(file_id, "harbour", attributes={"year": year}))
    for file_id, year in years.items():
        where = Comparison(type="eq", key="year", value=year)
        assert await find_files(index, store, "harbour", where=where) == {file_id}
    later = Comparison(type="gt", key="year", value=2000)
    assert await find_files(index, store, "harbour", where=later) == {number}


async def test_as_many_keys_as_a_file_may_have_in_every_file(index: PassageIndex) -> None:
    """Thousands of keys over all tenants: none makes another one's search fail."""
    store, files = new_store(), [new_file() for _ in range(40)]
    for number, file_id in enumerate(files):
        attributes: Attributes = {f"key {number} {place} ü": place if place % 2 else f"v{place}" for place in range(16)}
        await index.put(store, a_file(file_id, "harbour", attributes=attributes))
    where = Compound(
        type="and",
        filters=[
            Comparison(type="gte", key="key 7 1 ü", value=1),
            Comparison(type="eq", key="key 7 2 ü", value="v2"),
            Comparison(type="lt", key="key 7 15 ü", value=15.5),
        ],
    )
    assert await find_files(index, store, "harbour", where=where) == {files[7]}
