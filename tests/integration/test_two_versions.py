"""The last release and the working tree on one database: what either writes, the other reads, continues and erases."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.function_tools import ASK_WEATHER, WEATHER, compose_output, find_calls
from tests.support.oracle import check_answer
from tests.support.processes import REPO_ROOT
from tests.support.releases import leave_out_added
from tests.support.servers import Replica, StandinServer, ValkeyServer, eventually
from tests.support.service import ALICE_KEY, manage, service_environment
from tests.support.turns import Stream, ask, get_text, make_conversation

pytestmark = pytest.mark.usefixtures("answers_of_the_release")

LEASE_S = 2
# A sweep finds a lost response at most two seconds after its lease; the rest is for a busy machine.
TAKEN_OVER_WITHIN_S = 30
COUNTED = " ".join(map(str, range(1, 31)))
SLOW = "count to 30 [[standin token_s=0.05]]"
LOW = {"reasoning": {"effort": "low"}}
LONG = [
    {"role": "user", "content": "My name is Ada."},
    *({"role": role, "content": "detail " * 80} for _ in range(10) for role in ("assistant", "user")),
    {"role": "assistant", "content": "Go on."},
]
COMPACT: dict[str, Any] = {"context_management": [{"type": "compaction", "compact_threshold": 1_000}]}
PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
JSON_TEXT = {"format": {"type": "json_schema", "name": "reply", "schema": SCHEMA, "strict": True}}

# One turn for each kind of stored value: items, parts, signals, parameters, endings.
TURNS: Mapping[str, dict[str, Any]] = {
    "text": {"input": "count to 5", "instructions": "Be brief.", "metadata": {"a": "b"}, "temperature": 0.5},
    "reasoning": {"input": 'count to 3 [[standin reason="One by one."]]', **LOW},
    "sealed reasoning": {
        "input": 'count to 3 [[standin reason="One by one."]]',
        "include": ["reasoning.encrypted_content"],
        **LOW,
    },
    "a function call": {"input": ASK_WEATHER, "tools": [WEATHER], "tool_choice": "required"},
    "an allowed tool": {
        "input": ASK_WEATHER,
        "tools": [WEATHER],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "get_weather"}],
        },
    },
    "a refusal": {"input": "Hello [[standin refuse]]"},
    "log probabilities": {"input": "count to 3", "include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "a document": {"input": "My name is Ada. What is my name?", "text": JSON_TEXT},
    "an image and a file": {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What do you see?"},
                    {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                    {
                        "type": "input_file",
                        "filename": "a.pdf",
                        "file_data": "data:application/pdf;base64,JVBERi0xLjQK",
                    },
                ],
            }
        ]
    },
    "a compaction": {"input": [*LONG, {"role": "user", "content": "What is my name?"}], **COMPACT},
    "cut short": {"input": "count to 50", "max_output_tokens": 16},
    "filtered": {"input": "Hello [[standin finish=content_filter]]"},
    "failed": {"input": "count to 9 [[standin token_s=0.05 error_after=3]]"},
    "a question in the background": {"input": "count to 4", "background": True},
}


@dataclass(frozen=True)
class Version:
    """A replica of one version, and Alice's client of it."""

    replica: Replica
    http: httpx.AsyncClient


@pytest.fixture(scope="module")
def replicas(
    standin: StandinServer, release_source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Replica]]:
    """One replica of each version, on a Valkey of their own. The working tree has migrated last."""
    directory = tmp_path_factory.mktemp("two-versions")
    with ValkeyServer(directory / "valkey") as valkey:
        # The working tree reserves tokens for each turn; the release knows nothing of that, and ends some of them.
        settings = {"LEASE_S": str(LEASE_S), "TOKENS_PER_MINUTE": str(10**9)}
        environment = {**service_environment(valkey, standin, directory), **settings}
        for source in (release_source, REPO_ROOT):
            manage(environment, "migrate", "--verbosity", "0", source=source)
        manage(environment, "create_api_key", "alice", "--key", ALICE_KEY, source=release_source)
        with (
            Replica(directory / "release", environment, source=release_source) as release,
            Replica(directory / "tree", environment) as tree,
        ):
            yield {"release": release, "tree": tree}


@asynccontextmanager
async def open_version(replica: Replica) -> AsyncIterator[Version]:
    """A client of this replica only. Its answers are checked against the specification."""
    headers, hooks = {"Authorization": f"Bearer {ALICE_KEY}"}, {"response": [check_answer]}
    async with httpx.AsyncClient(base_url=replica.url, headers=headers, event_hooks=hooks, timeout=30) as http:
        yield Version(replica, http)


@pytest.fixture(params=["release", "tree"], ids=["the release writes", "the working tree writes"])
def writing(request: pytest.FixtureRequest) -> str:
    """The version that writes."""
    version: str = request.param
    return version


@pytest.fixture
async def writer(replicas: dict[str, Replica], writing: str) -> AsyncIterator[Version]:
    async with open_version(replicas[writing]) as version:
        yield version


@pytest.fixture
async def reader(replicas: dict[str, Replica], writing: str) -> AsyncIterator[Version]:
    """The other version."""
    async with open_version(replicas["tree" if writing == "release" else "release"]) as version:
        yield version


async def check_same_bytes(writer: Version, reader: Version, *urls: str) -> None:
    """Both versions show these as the same bytes."""
    for url in urls:
        written, read = await writer.http.get(url), await reader.http.get(url)
        assert written.status_code == 200, (url, written.text)
        assert read.status_code == 200, (url, read.text)
        assert leave_out_added(read.content) == leave_out_added(written.content), url


async def run_turn(version: Version, **body: Any) -> str:
    """A streamed turn to its end, whichever it is. Returns the response's id."""
    stream = Stream(version.http, "POST", "/v1/responses", json={"stream": True, **body})
    await stream.read()
    return await stream.get_id()


@pytest.mark.parametrize("kind", TURNS)
async def test_a_response_and_its_events_are_the_same_bytes(writer: Version, reader: Version, kind: str) -> None:
    conversation = await make_conversation(writer.http)
    response_id = await run_turn(writer, conversation=conversation, **TURNS[kind])
    response = f"/v1/responses/{response_id}"
    items = f"/v1/conversations/{conversation}/items"
    listed = (await writer.http.get(items)).json()["data"]
    await check_same_bytes(
        writer,
        reader,
        response,
        f"{response}?stream=true",
        f"{response}?stream=true&starting_after=1",
        f"{response}/input_items",
        f"/v1/conversations/{conversation}",
        f"{items}?order=asc&limit=100",
        *(f"{items}/{item['id']}" for item in listed),
    )


async def test_a_history_of_every_kind_goes_on_at_the_other_version(writer: Version, reader: Version) -> None:
    conversation = (await writer.http.post("/v1/conversations", json={"metadata": {"a": "b"}})).json()["id"]
    await ask(writer.http, "My name is Ada.", conversation=conversation)
    for kind in ("reasoning", "a refusal", "log probabilities", "an image and a file", "cut short", "failed"):
        await run_turn(writer, conversation=conversation, **TURNS[kind])
    called = (await ask(writer.http, ASK_WEATHER, tools=[WEATHER], conversation=conversation)).json()
    [call] = find_calls(called)
    output = compose_output(call, '{"weather": "sunny"}')
    told = await ask(reader.http, "", input=[output], tools=[WEATHER], conversation=conversation)
    assert "sunny" in get_text(told.json())
    assert get_text((await ask(reader.http, "What is my name?", conversation=conversation)).json()) == (
        "Your name is Ada."
    )
    await check_same_bytes(reader, writer, f"/v1/conversations/{conversation}/items?order=asc&limit=100")


@pytest.mark.parametrize("anchor", ["conversation", "previous_response_id", "fork"])
async def test_a_conversation_goes_on_at_the_other_version(writer: Version, reader: Version, anchor: str) -> None:
    conversation = await make_conversation(writer.http)
    first = (await ask(writer.http, "My name is Eve.", conversation=conversation)).json()
    fact = {"items": [{"role": "user", "content": "My name is Ada."}]}
    added = await writer.http.post(f"/v1/conversations/{conversation}/items", json=fact)
    fork = (await writer.http.post(f"/v1/conversations/{conversation}/fork", json={})).json()
    last = (await ask(writer.http, "Hello", previous_response_id=first["id"], input=fact["items"])).json()
    assert added.status_code == 200
    where: dict[str, str] = {
        "conversation": {"conversation": conversation},
        "fork": {"conversation": fork["id"]},
        "previous_response_id": {"previous_response_id": last["id"]},
    }[anchor]
    for version in (reader, writer):
        assert get_text((await ask(version.http, "What is my name?", **where)).json()) == "Your name is Ada."


async def test_seals_open_at_the_other_version(writer: Version, reader: Version) -> None:
    compacted = await writer.http.post("/v1/responses/compact", json={"model": "stand-in", "input": LONG})
    assert compacted.status_code == 200
    await check_same_bytes(writer, reader, f"/v1/responses/{compacted.json()['id']}")
    stored = await ask(reader.http, "What is my name?", previous_response_id=compacted.json()["id"])
    carried = [*compacted.json()["output"], {"role": "user", "content": "What is my name?"}]
    given = await ask(reader.http, "", input=carried)
    sealed = (await ask(writer.http, "", **TURNS["sealed reasoning"], store=False)).json()
    echoed = [*sealed["output"], {"role": "user", "content": "count to 2"}]
    assert [get_text(stored.json()), get_text(given.json())] == ["Your name is Ada."] * 2
    assert get_text((await ask(reader.http, "", input=echoed)).json()) == "1 2"


async def test_notes_are_kept_for_the_other_version(writer: Version, reader: Version) -> None:
    response = f"/v1/responses/{(await ask(writer.http, 'My name is Ada.')).json()['id']}"
    await writer.http.put(f"{response}/feedback", json={"score": -1, "comment": "Too long."})
    suggested = await writer.http.post(f"{response}/follow_ups")
    assert (await reader.http.post(f"{response}/follow_ups")).content == suggested.content
    await check_same_bytes(writer, reader, f"{response}/feedback")


@pytest.mark.parametrize("way", ["Idempotency-Key", "x-stainless-retry-count"])
async def test_a_retry_at_the_other_version_is_the_same_answer(writer: Version, reader: Version, way: str) -> None:
    conversation = await make_conversation(writer.http)
    keys = {"Idempotency-Key": secrets.token_hex(16)} if way == "Idempotency-Key" else {}
    first = Stream.of_turn(writer.http, SLOW, headers=keys, conversation=conversation)
    await first.see_words(2)
    retried = keys or {"x-stainless-retry-count": "1"}
    second = Stream.of_turn(reader.http, SLOW, headers=retried, conversation=conversation)
    assert leave_out_added(await second.read()) == leave_out_added(await first.read())


async def test_an_answer_is_followed_word_by_word_and_cancelled_at_the_other_version(
    writer: Version, reader: Version
) -> None:
    conversation = await make_conversation(writer.http)
    creator = Stream.of_turn(writer.http, "count to 500 [[standin token_s=0.05]]", conversation=conversation)
    response_id = await creator.get_id()
    follower = Stream.of_response(reader.http, response_id)
    for stream in (creator, follower):
        await stream.see_words(4)
    refused = await ask(reader.http, "Hello", conversation=conversation)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conversation_locked")
    cancelled = await reader.http.post(f"/v1/responses/{response_id}/cancel")
    assert cancelled.json()["status"] == "cancelled"
    assert "eps:cancel_confirmed" not in cancelled.json()
    assert await creator.read_final() == cancelled.json()
    assert leave_out_added(await follower.read()) == leave_out_added(creator.raw)


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (4, {"input": SLOW}),
        pytest.param(0, {"input": "count to 30 [[standin headers_s=2]]"}, marks=pytest.mark.long),
        pytest.param(
            4, {"input": 'count to 30 [[standin token_s=0.05 reason="One by one."]]', **LOW}, marks=pytest.mark.long
        ),
        (4, {"input": [*LONG, {"role": "user", "content": SLOW}], **COMPACT}),
        pytest.param(0, {"input": [*LONG, {"role": "user", "content": SLOW}], **COMPACT}, marks=pytest.mark.long),
    ],
    ids=["in the middle", "before its words", "after its reasoning", "after a compaction", "in a compaction"],
)
async def test_the_other_version_takes_over_without_a_seam(
    writer: Version, reader: Version, words: int, body: dict[str, Any]
) -> None:
    conversation = await make_conversation(writer.http)
    creator = Stream(writer.http, "POST", "/v1/responses", json={"stream": True, "conversation": conversation, **body})
    response_id = await creator.get_id()
    follower = Stream.of_response(reader.http, response_id)
    for stream in (creator, follower):
        await stream.see_words(words)
    await asyncio.to_thread(writer.replica.kill)
    try:
        seen = await creator.read_broken()
        final = await follower.read_final(within_s=TAKEN_OVER_WITHIN_S)
    finally:
        await asyncio.to_thread(writer.replica.start)
    assert (final["status"], get_text(final)) == ("completed", COUNTED)
    whole_frames = leave_out_added(seen[: seen.rindex(b"\n\n") + 2])
    assert leave_out_added(follower.raw).startswith(whole_frames)
    await eventually(lambda: is_ready(writer))
    told = await Stream.of_response(writer.http, response_id).read()
    assert leave_out_added(told) == leave_out_added(follower.raw)
    answer = await ask(writer.http, "Hello", conversation=conversation)
    assert answer.status_code == 200


async def test_what_one_version_wrote_the_other_deletes(writer: Version, reader: Version) -> None:
    conversation = await make_conversation(writer.http)
    response_id = (await ask(writer.http, "My name is Ada.", conversation=conversation)).json()["id"]
    single = (await ask(writer.http, "Hello")).json()["id"]
    item = (await writer.http.get(f"/v1/conversations/{conversation}/items")).json()["data"][0]["id"]
    urls = [
        f"/v1/conversations/{conversation}/items/{item}",
        f"/v1/responses/{response_id}",
        f"/v1/conversations/{conversation}",
        f"/v1/responses/{single}",
    ]
    for url in urls:
        assert (await reader.http.delete(url)).status_code == 200, url
        assert (await writer.http.get(url)).status_code == 404, url


async def is_ready(version: Version) -> bool:
    """Whether its replica takes requests."""
    return (await version.http.get("/readyz")).status_code == 200


async def test_a_key_that_opens_less_opens_nothing_at_the_release(
    replicas: dict[str, Replica], release_source: Path
) -> None:
    environment = replicas["tree"].get_environment()
    key = f"eps-{secrets.token_urlsafe(32)}"
    await asyncio.to_thread(manage, environment, "create_api_key", "alice", "--key", key, "--scopes", "read")
    # The release makes Redis equal to SQL as it understands it, and can still make keys in the tables of the tree.
    await asyncio.to_thread(manage, environment, "create_api_key", "bob", source=release_source)
    for version, statuses in (("release", [401, 401]), ("tree", [200, 403])):
        async with open_version(replicas[version]) as client:
            client.http.headers["Authorization"] = f"Bearer {key}"
            asked = [await client.http.get("/v1/models"), await client.http.post("/v1/conversations")]
        assert [answer.status_code for answer in asked] == statuses, version
