"""`/v1/prompts` on both databases: versions that never change, one default, walls between owners, bounds."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.support.oracle import check_answer
from tests.support.postgres import PostgresServer
from tests.support.refusals import UNKNOWN_PROMPT, check_refusal
from tests.support.servers import Replica, StandinServer, ValkeyServer
from tests.support.service import ALICE_KEY, BOB_KEY, Service, start_service


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def replicas(
    request: pytest.FixtureRequest,
    service: Service,
    other_replica: Replica,
    standin: StandinServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[str]]:
    """The addresses of two replicas of a service on each database."""
    if request.param == "sqlite":
        yield [service.url, other_replica.url]
        return
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(tmp_path_factory.mktemp("postgres")))
        valkey = stack.enter_context(ValkeyServer(tmp_path_factory.mktemp("valkey")))
        folder = tmp_path_factory.mktemp("service")
        made = stack.enter_context(start_service(valkey, standin, folder, DATABASE_URL=postgres.url))
        other = stack.enter_context(Replica(tmp_path_factory.mktemp("replica"), made.environment))
        yield [made.url, other.url]


@pytest.fixture
async def clients(replicas: list[str]) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Alice at each replica, and Bob at the first."""
    async with (
        open_client(replicas[0], ALICE_KEY) as alice,
        open_client(replicas[1], ALICE_KEY) as other,
        open_client(replicas[0], BOB_KEY) as bob,
    ):
        yield [alice, other, bob]


@pytest.fixture
def alice(clients: list[httpx.AsyncClient]) -> httpx.AsyncClient:
    return clients[0]


@pytest.fixture
def other(clients: list[httpx.AsyncClient]) -> httpx.AsyncClient:
    return clients[1]


@pytest.fixture
def bob(clients: list[httpx.AsyncClient]) -> httpx.AsyncClient:
    return clients[2]


def open_client(url: str, key: str) -> httpx.AsyncClient:
    """A client whose answers are checked."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=url, headers=headers, event_hooks={"response": [check_answer]}, timeout=30)


async def make(client: httpx.AsyncClient, text: str = "Be brief.", **body: Any) -> dict[str, Any]:
    """A new template."""
    return read(await client.post("/v1/prompts", json={"prompt": text, **body}))


async def change(client: httpx.AsyncClient, prompt_id: str, after: int, text: str, **body: Any) -> httpx.Response:
    """Ask for the next version."""
    return await client.put(f"/v1/prompts/{prompt_id}", json={"version": after, "prompt": text, **body})


def read(answer: httpx.Response) -> dict[str, Any]:
    """What was answered."""
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_template_is_kept_and_read_at_every_replica(alice: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    made = await make(alice, "Guten Tag, {{name}} 👋", name="Greeting", variables=["name"])
    shown = {name: made[name] for name in ("prompt", "version", "variables", "is_default", "name", "owner")}
    assert shown == {
        "prompt": "Guten Tag, {{name}} 👋",
        "version": 1,
        "variables": ["name"],
        "is_default": True,
        "name": "Greeting",
        "owner": "you",
    }
    assert read(await other.get(f"/v1/prompts/{made['prompt_id']}")) == made


async def test_all_that_a_version_says_is_kept(alice: httpx.AsyncClient) -> None:
    said = {
        "model": "stand-in",
        "parameters": {
            "temperature": 0.5,
            "top_p": 1.0,
            "presence_penalty": -1.5,
            "frequency_penalty": 2.0,
            "max_output_tokens": 100,
            "reasoning": {"effort": "low", "summary": None},
            "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        },
        "knowledge": {"vector_store_ids": ["vs_" + "0" * 32], "when": "auto"},
        "follow_ups": True,
        "history_tokens": 500,
    }
    details = [
        {"name": "who", "type": "any", "default": None, "values": [], "description": None},
        {"name": "plan", "type": "enum", "default": "b", "values": ["a", "b"], "description": "Which one."},
        {"name": "amount", "type": "number", "default": "2.5", "values": [], "description": None},
        {"name": "photo", "type": "image", "default": None, "values": [], "description": None},
    ]
    given = [
        "who",
        details[1],
        {"name": "amount", "type": "number", "default": 2.5},
        {"name": "photo", "type": "image"},
    ]
    made = await make(alice, "{{who}} {{plan}}", variables=given, **said)
    assert {name: made[name] for name in said} == said
    assert (made["variable_details"], made["unused_variables"]) == (details, ["amount"])
    # What was read can be sent back as it is; what is not for a client to say is named.
    again = read(await alice.put(f"/v1/prompts/{made['id']}", json=made))
    assert {name: again[name] for name in (*said, "variable_details")} == {**said, "variable_details": details}
    assert "id" in again["eps:ignored"]


async def test_a_change_makes_the_next_version_and_leaves_the_others(alice: httpx.AsyncClient) -> None:
    prompt_id = (await make(alice, "one", name="Name"))["prompt_id"]
    second = read(await change(alice, prompt_id, 1, "two"))
    assert (second["version"], second["is_default"], second["name"]) == (2, True, "Name")
    third = read(await change(alice, prompt_id, 2, "three", set_as_default=False, name="Other"))
    assert (third["version"], third["is_default"], third["name"]) == (3, False, "Other")
    texts = [
        read(await alice.get(f"/v1/prompts/{prompt_id}", params=query))["prompt"]
        for query in ({}, {"version": 1}, {"version": 2}, {"version": 3})
    ]
    assert texts == ["two", "one", "two", "three"]


async def test_the_default_can_be_any_version(alice: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    prompt_id = (await make(alice, "one"))["prompt_id"]
    await change(alice, prompt_id, 1, "two")
    for number, text in ((1, "one"), (1, "one"), (2, "two")):
        made = read(await alice.put(f"/v1/prompts/{prompt_id}/set-default-version", json={"version": number}))
        assert (made["version"], made["is_default"], made["prompt"]) == (number, True, text)
        assert read(await other.get(f"/v1/prompts/{prompt_id}"))["prompt"] == text


async def test_a_change_of_what_is_not_the_latest_is_refused(alice: httpx.AsyncClient) -> None:
    prompt_id = (await make(alice, "one"))["prompt_id"]
    await change(alice, prompt_id, 1, "two")
    for stale in (1, 3, 999):
        answer = await change(alice, prompt_id, stale, "lost")
        error = check_refusal(answer, status=409, code="prompt_changed", param="version")
        assert "version 2 is" in error["message"]
        assert answer.headers["x-should-retry"] == "false"
    assert read(await alice.get(f"/v1/prompts/{prompt_id}"))["latest_version"] == 2


async def test_of_many_changes_at_once_one_is_made(alice: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    prompt_id = (await make(alice, "one"))["prompt_id"]
    changes = [change(client, prompt_id, 1, "the same") for _ in range(5) for client in (alice, other)]
    answers = await asyncio.gather(*changes)
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 9]
    assert read(await alice.get(f"/v1/prompts/{prompt_id}"))["latest_version"] == 2


async def test_versions_are_listed_page_by_page(alice: httpx.AsyncClient) -> None:
    prompt_id = (await make(alice, "version 1"))["prompt_id"]
    for number in range(1, 5):
        await change(alice, prompt_id, number, f"version {number + 1}")
    url = f"/v1/prompts/{prompt_id}/versions"
    whole = read(await alice.get(url))
    assert [version["version"] for version in whole["data"]] == [5, 4, 3, 2, 1]
    assert (whole["first_id"], whole["last_id"], whole["has_more"]) == ("5", "1", False)
    first = read(await alice.get(url, params={"limit": 2, "order": "asc"}))
    assert ([version["version"] for version in first["data"]], first["has_more"]) == ([1, 2], True)
    rest = read(await alice.get(url, params={"limit": 3, "order": "asc", "after": first["last_id"]}))
    assert ([version["version"] for version in rest["data"]], rest["has_more"]) == ([3, 4, 5], False)
    check_refusal(await alice.get(url, params={"after": 9}), status=404, code="prompt_not_found", param="after")


async def test_templates_are_listed_page_by_page_in_their_default_version(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    made = [await make(bob, f"text {number}", name=f"name {number}") for number in range(5)]
    await change(bob, made[0]["prompt_id"], 1, "newer")
    seen: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 2, "order": "asc"}
    while True:
        page = read(await bob.get("/v1/prompts", params=query))
        seen += page["data"]
        if not page["has_more"]:
            break
        query["after"] = page["last_id"]
    ids = [entry["id"] for entry in made]
    seen = [entry for entry in seen if entry["id"] in ids]  # others may be there, everybody's among them
    assert [entry["id"] for entry in seen] == ids
    assert (seen[0]["prompt"], seen[0]["version"]) == ("newer", 2)
    newest = read(await bob.get("/v1/prompts", params={"limit": 100}))["data"]
    assert [entry for entry in newest if entry["id"] in ids] == seen[::-1]
    assert not {*ids} & {entry["id"] for entry in read(await alice.get("/v1/prompts", params={"limit": 100}))["data"]}


async def test_large_templates_make_small_pages(alice: httpx.AsyncClient) -> None:
    for _ in range(10):
        await make(alice, "👋" * 64_000)
    page = await alice.get("/v1/prompts", params={"limit": 100})
    assert read(page)["has_more"]
    assert len(page.content) < 3 * 1024 * 1024


async def test_what_is_deleted_is_gone_with_its_versions(alice: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    prompt_id = (await make(alice, "one"))["prompt_id"]
    await change(alice, prompt_id, 1, "two")
    assert read(await alice.delete(f"/v1/prompts/{prompt_id}"))["deleted"] is True
    for answer in (
        await other.get(f"/v1/prompts/{prompt_id}"),
        await other.get(f"/v1/prompts/{prompt_id}?version=1"),
        await other.get(f"/v1/prompts/{prompt_id}/versions"),
        await other.put(f"/v1/prompts/{prompt_id}/set-default-version", json={"version": 1}),
        await change(other, prompt_id, 2, "three"),
        await other.delete(f"/v1/prompts/{prompt_id}"),
        await other.get("/v1/prompts", params={"after": prompt_id}),
    ):
        assert prompt_id in check_refusal(answer, status=404, code="prompt_not_found")["message"]


async def test_anothers_template_is_as_an_unknown_one(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    prompt_id = (await make(alice, "the secret is swordfish", name="swordfish"))["prompt_id"]

    async def reach(template: str) -> list[str]:
        answers = [
            await bob.get(f"/v1/prompts/{template}"),
            await bob.get(f"/v1/prompts/{template}?version=1"),
            await bob.get(f"/v1/prompts/{template}/versions"),
            await change(bob, template, 1, "Bob's"),
            await bob.put(f"/v1/prompts/{template}/set-default-version", json={"version": 1}),
            await bob.delete(f"/v1/prompts/{template}"),
            await bob.get("/v1/prompts", params={"after": template}),
            await bob.post("/v1/responses", json={"input": "Hello", "prompt": {"id": template}}),
            await bob.post("/v1/responses", json={"input": "Hello", "prompt": {"id": template, "version": "1"}}),
            await bob.post("/v1/responses/input_tokens", json={"input": "Hello", "prompt": {"id": template}}),
        ]
        assert {answer.status_code for answer in answers} == {404}
        return [answer.text.replace(template, "it") for answer in answers]

    assert await reach(prompt_id) == await reach(UNKNOWN_PROMPT)
    assert read(await alice.get(f"/v1/prompts/{prompt_id}"))["version"] == 1


async def test_ids_of_another_kind_are_named(alice: httpx.AsyncClient) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/versions")):
        error = check_refusal(await alice.request(method, f"/v1/prompts/resp_1{path}"), param="prompt_id")
        assert "'pmpt_'" in error["message"]
    check_refusal(await alice.get("/v1/prompts?after=resp_1"), param="after")
    # OpenAI's ids are longer than ours.
    foreign = "pmpt_68b0c29740048196bd3a6e6ac3c4d0e20ed9a13f0d15bf5e"
    check_refusal(await alice.get(f"/v1/prompts/{foreign}"), status=404, code="prompt_not_found")


VARIABLE = {"name": "x"}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no text": ({"prompt": ""}, "prompt", "at least 1 character"),
    "a number for a text": ({"prompt": 3}, "prompt", "a string"),
    "a long text": ({"prompt": "x" * 64_001}, "prompt", "64,000"),
    "a NUL": ({"prompt": "a\x00b"}, "prompt", "NUL"),
    "an undeclared variable": ({"prompt": "{{ city }}"}, "prompt", "'{{city}}'"),
    "one of several": ({"prompt": "{{a}} {{b}}", "variables": ["a"]}, "prompt", "'{{b}}'"),
    "a name with a hyphen": ({"variables": ["first-name"]}, "variables[0]", "first-name"),
    "a name with braces": ({"variables": ["x}} {{y"]}, "variables[0]", "letters"),
    "an empty name": ({"variables": [""]}, "variables[0]", "at least 1"),
    "a long name": ({"variables": ["x" * 65]}, "variables[0]", "at most 64"),
    "a name twice": ({"variables": ["x", VARIABLE]}, "variables[1]", "twice"),
    "many variables": ({"variables": [f"v{number}" for number in range(101)]}, "variables", "at most 100"),
    "no list": ({"variables": "x"}, "variables", "an array"),
    "an unknown type": ({"variables": [{**VARIABLE, "type": "date"}]}, "variables[0].type", "'image'"),
    "an enum of nothing": ({"variables": [{**VARIABLE, "type": "enum"}]}, "variables[0]", "'values'"),
    "values twice": ({"variables": [{**VARIABLE, "type": "enum", "values": ["a", "a"]}]}, "variables[0]", "once"),
    "values of a text": ({"variables": [{**VARIABLE, "values": ["a"]}]}, "variables[0]", "'enum'"),
    "a default that is no value": (
        {"variables": [{**VARIABLE, "type": "enum", "values": ["a"], "default": "b"}]},
        "variables[0]",
        "among its values",
    ),
    "a default that is no number": (
        {"variables": [{**VARIABLE, "type": "number", "default": "two"}]},
        "variables[0]",
        "no number",
    ),
    "an image as a default": (
        {"variables": [{**VARIABLE, "type": "image", "default": "https://example.com/x.png"}]},
        "variables[0]",
        "an image",
    ),
    "a long default": ({"variables": [{**VARIABLE, "default": "x" * 4_001}]}, "variables[0].default", "4,000"),
    "temperature": ({"parameters": {"temperature": 2.1}}, "parameters.temperature", "2"),
    "budget": ({"parameters": {"max_output_tokens": 15}}, "parameters.max_output_tokens", "16"),
    "history": ({"history_tokens": -1}, "history_tokens", "0"),
    "no vector store": ({"knowledge": {"vector_store_ids": []}}, "knowledge.vector_store_ids", "at least 1"),
    "an id of another kind": (
        {"knowledge": {"vector_store_ids": ["file-1"]}},
        "knowledge.vector_store_ids[0]",
        "'vs_'",
    ),
    "an unknown moment": (
        {"knowledge": {"vector_store_ids": ["vs_1"], "when": "never"}},
        "knowledge.when",
        "'always' or 'auto'",
    ),
    "too much in all": (
        {
            "variables": [
                {**VARIABLE, "name": name, "type": "enum", "values": [f"{value} {'x' * 3_900}" for value in range(100)]}
                for name in ("a", "b")
            ]
        },
        "prompt",
        "512 KB",
    ),
    "a long model": ({"model": "x" * 257}, "model", "256"),
    "a long title": ({"name": "x" * 201}, "name", "200"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_a_template_cannot_say_is_refused_and_named(alice: httpx.AsyncClient, name: str) -> None:
    body, param, words = REFUSED[name]
    made = await make(alice)
    for answer in (
        await alice.post("/v1/prompts", json={"prompt": "Hello", **body}),
        await alice.put(f"/v1/prompts/{made['id']}", json={"version": 1, "prompt": "Hello", **body}),
    ):
        error = check_refusal(answer, param=param)
        assert words in error["message"]
    assert read(await alice.get(f"/v1/prompts/{made['id']}"))["latest_version"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "param"),
    [
        ("POST", "/v1/prompts", {}, "prompt"),
        ("PUT", f"/v1/prompts/{UNKNOWN_PROMPT}", {"prompt": "x"}, "version"),
        ("PUT", f"/v1/prompts/{UNKNOWN_PROMPT}", {"prompt": "x", "version": 0}, "version"),
        ("PUT", f"/v1/prompts/{UNKNOWN_PROMPT}", {"prompt": "x", "version": "1"}, "version"),
        ("PUT", f"/v1/prompts/{UNKNOWN_PROMPT}/set-default-version", {}, "version"),
        ("PUT", f"/v1/prompts/{UNKNOWN_PROMPT}/set-default-version", {"version": 10**12}, "version"),
        ("GET", f"/v1/prompts/{UNKNOWN_PROMPT}?version=0", None, "version"),
        ("GET", f"/v1/prompts/{UNKNOWN_PROMPT}?version=x", None, "version"),
        ("GET", f"/v1/prompts/{UNKNOWN_PROMPT}/versions?after=x", None, "after"),
        ("GET", "/v1/prompts?limit=0", None, "limit"),
        ("GET", "/v1/prompts?order=up", None, "order"),
    ],
)
async def test_bad_requests_are_named(
    alice: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None, param: str
) -> None:
    check_refusal(await alice.request(method, path, json=body), param=param)


async def test_what_is_not_known_is_named(alice: httpx.AsyncClient) -> None:
    made = await make(alice, "x {{y}}", tags=["a"], variables=[{"name": "y", "color": "red"}])
    assert made["eps:ignored"] == ["tags", "variables[0].color"]


@pytest.mark.parametrize(
    "text",
    [
        "{{}} {{ }} {{a-b}} {a} {{{ }}} {% if x %} {{#if x}} ${x} %s \\{{",
        "' OR 1=1; DROP TABLE prompts_prompt; --",
        "<script>alert(1)</script> \u202e \ufeff \u2028",
        "{{" * 30_000,
        " " * 60_000,
    ],
)
async def test_odd_texts_are_texts(alice: httpx.AsyncClient, text: str) -> None:
    made = await make(alice, text)
    assert read(await alice.get(f"/v1/prompts/{made['id']}"))["prompt"] == text


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/prompts", "GET, POST"),
        (f"/v1/prompts/{UNKNOWN_PROMPT}", "DELETE, GET, PUT"),
        (f"/v1/prompts/{UNKNOWN_PROMPT}/versions", "GET"),
        (f"/v1/prompts/{UNKNOWN_PROMPT}/set-default-version", "PUT"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(alice: httpx.AsyncClient, path: str, allowed: str) -> None:
    answer = await alice.request("PATCH", path)
    check_refusal(answer, status=405, code="method_not_allowed")
    assert answer.headers["allow"] == allowed
