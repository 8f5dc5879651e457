"""Tokens a minute and a month of a project: reserved before a model is asked, settled with what it has used."""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, Protocol

import httpx
import pytest

from tests.support.client_secrets import get_code, open_browser
from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.staff import submit
from tests.support.turns import Stream, ask, make_conversation, wait_until_known
from tests.support.websockets import open_talk

# What an answer is taken for whose client names no limit.
OUTPUT = 1_000
EXHAUSTED = (429, "quota_exceeded")
LIMITED = (429, "rate_limit_exceeded")
SLOW = "count to 500 [[standin token_s=0.05]]"


class MakeProject(Protocol):
    """Makes a project with limits, and gives a client of its owner."""

    async def __call__(self, **limits: int) -> httpx.AsyncClient:
        """The limits by the names of the form's fields."""


@pytest.fixture
async def make_project(service: Service, browser: httpx.AsyncClient) -> AsyncIterator[MakeProject]:
    async with AsyncExitStack() as stack:

        async def make(**limits: int) -> httpx.AsyncClient:
            owner = f"limited-{secrets.token_hex(4)}"
            fields = {name: str(limit) for name, limit in limits.items()}
            await submit(browser, "/admin/prompts/project/add/", owner=owner, **fields)
            issued = await submit(browser, "/admin/prompts/apikey/add/", owner=owner)
            [key] = re.findall(r"eps-[\w-]{43}", issued.text)
            return await stack.enter_async_context(open_browser(service.url, key))

        yield make


async def find_used(client: httpx.AsyncClient) -> int:
    """The tokens that count of the last minute."""
    headers = (await client.get("/v1/models")).headers
    return int(headers["x-ratelimit-limit-tokens"]) - int(headers["x-ratelimit-remaining-tokens"])


async def becomes(client: httpx.AsyncClient, check: Callable[[int], bool]) -> None:
    """Wait until so much of the minute is used."""

    async def is_so() -> bool:
        return check(await find_used(client))

    await eventually(is_so)


async def test_a_turn_takes_what_it_may_need_and_keeps_what_it_has_used(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=5_000)
    answer = await ask(client, "count to 5")
    reserved = 5_000 - int(answer.headers["x-ratelimit-remaining-tokens"])
    assert answer.headers["x-ratelimit-limit-tokens"] == "5000"
    assert 0 < float(answer.headers["x-ratelimit-reset-tokens"].removesuffix("s")) <= 61
    assert OUTPUT < reserved < OUTPUT + 50
    used = answer.json()["usage"]["total_tokens"]
    assert await find_used(client) == used < 100
    shorter = await ask(client, "count to 5", max_output_tokens=200)
    assert 5_000 - int(shorter.headers["x-ratelimit-remaining-tokens"]) == used + reserved - OUTPUT + 200
    assert await find_used(client) == used + shorter.json()["usage"]["total_tokens"]


async def test_a_minute_that_is_full_refuses_until_a_turn_has_ended(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=1_500)
    stream = Stream.of_turn(client, SLOW)
    await stream.see_words()
    for body in ({}, {"stream": True}, {"background": True}):
        refused = await ask(client, "Hello", **body)
        assert get_code(refused) == LIMITED
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert "within a minute" in refused.json()["error"]["message"]
        assert int(refused.headers["x-ratelimit-remaining-tokens"]) < 500
    assert (await client.get("/v1/conversations")).status_code == 200  # what asks no model goes on
    assert (await ask(client, "Hello", max_output_tokens=16)).status_code == 200
    await client.post(f"/v1/responses/{await stream.get_id()}/cancel")
    await stream.read()
    assert (await ask(client, "Hello")).status_code == 200


async def test_a_month_that_is_full_refuses_and_says_what_to_do(
    make_project: MakeProject, browser: httpx.AsyncClient
) -> None:
    client = await make_project(tokens_per_month=1_100)
    answers = [await ask(client, "count to 100", max_output_tokens=1_000) for _ in range(2)]
    assert answers[0].status_code == 200
    assert "x-ratelimit-limit-tokens" not in answers[0].headers  # they are of a minute
    refused = answers[-1]
    assert get_code(refused) == EXHAUSTED
    assert refused.headers["x-should-retry"] == "false"
    assert int(refused.headers["retry-after"]) >= 1
    assert re.search(r"wait until \d{4}-\d{2}-01 00:00 UTC", refused.json()["error"]["message"])
    listing = (await browser.get("/admin/prompts/project/?limit=tokens_per_month&o=-1")).text
    rows = re.findall(r"/admin/prompts/project/(\d+)/change/", listing)
    page = (await browser.get(f"/admin/prompts/project/{max(rows, key=int)}/change/")).text
    assert 'value="1100"' in page
    await submit(browser, f"/admin/prompts/project/{max(rows, key=int)}/change/", tokens_per_month="100000")
    assert (await ask(client, "Hello")).status_code == 200


async def test_what_no_minute_has_room_for_is_not_tried_again(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=2_000)
    for body in ({"max_output_tokens": 2_000}, {"instructions": "x" * 10_000}):
        refused = await ask(client, "Hello", **body)
        assert get_code(refused) == EXHAUSTED
        assert refused.headers["x-should-retry"] == "false"
        assert "max_output_tokens" in refused.json()["error"]["message"]
    assert await find_used(client) == 0


async def test_a_history_is_as_long_as_a_minute_has_room_for(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=2_000)
    conversation = await make_conversation(client)
    fact = {"items": [{"role": "user", "content": "detail " * 600} for _ in range(4)]}
    await client.post(f"/v1/conversations/{conversation}/items", json=fact)
    answer = (await ask(client, "Hello", conversation=conversation)).json()
    account = answer["eps:model_input"]
    assert account["history_tokens"] <= account["history_budget_tokens"] < 1_000
    assert account["dropped_items"] == 4
    assert answer["usage"]["total_tokens"] <= 2_000


async def test_a_limit_that_is_taken_away_holds_no_more(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=0, requests_per_minute=0)
    answer = await ask(client, "Hello", max_output_tokens=1_000_000)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


async def test_a_projects_requests_are_limited_by_its_own_number(make_project: MakeProject) -> None:
    client = await make_project(requests_per_minute=3)
    answers = await asyncio.gather(*(client.get("/v1/models") for _ in range(9)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 6
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"3"}


# --- however a turn ends ---


async def test_a_turn_that_is_not_admitted_gives_back_what_was_reserved(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=50_000)
    conversation = await make_conversation(client)
    stream = Stream.of_turn(client, SLOW, conversation=conversation)
    await stream.see_words()
    reserved = await find_used(client)
    assert get_code(await ask(client, "Hello", conversation=conversation)) == (409, "conversation_locked")
    unknown = await ask(client, "Hello", previous_response_id="resp_" + "0" * 32)
    assert unknown.status_code in (400, 404)
    assert await find_used(client) == reserved
    await stream.leave()


@pytest.mark.parametrize("way", ["cancel", "delete", "leave what is not stored"])
async def test_a_turn_that_is_stopped_has_used_what_was_written(make_project: MakeProject, way: str) -> None:
    client = await make_project(tokens_per_minute=5_000)
    stream = Stream.of_turn(client, SLOW, store=way != "leave what is not stored")
    await stream.see_words(8)
    assert await find_used(client) > OUTPUT
    response = f"/v1/responses/{await stream.get_id()}"
    if way == "cancel":
        used = (await client.post(f"{response}/cancel")).json()["usage"]["total_tokens"]
        await becomes(client, lambda found: found == used)
    elif way == "delete":
        await client.delete(response)
    await stream.leave()
    await becomes(client, lambda found: 8 < found < OUTPUT)


async def test_a_turn_that_gives_way_has_used_what_was_written(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=50_000)
    conversation = await make_conversation(client)
    stream = Stream.of_turn(client, SLOW, conversation=conversation)
    await stream.see_words(8)
    response_id = await stream.get_id()
    await stream.leave()
    last = (await ask(client, "Hello", conversation=conversation)).json()
    displaced = (await client.get(f"/v1/responses/{response_id}")).json()
    assert displaced["status"] == "cancelled"
    used = displaced["usage"]["total_tokens"] + last["usage"]["total_tokens"]
    await becomes(client, lambda found: found == used)


async def test_a_model_that_fails_costs_nothing(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=5_000)
    assert (await ask(client, "Hello [[standin status=400]]")).status_code == 400
    assert await find_used(client) == 0


async def test_a_retry_needs_no_tokens_of_its_own(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_month=1_100)
    key = {"Idempotency-Key": secrets.token_hex(16)}
    body = {"input": "count to 100", "max_output_tokens": 1_000}
    first = await client.post("/v1/responses", json=body, headers=key)
    assert get_code(await ask(client, "count to 100", max_output_tokens=1_000)) == EXHAUSTED
    again = await client.post("/v1/responses", json=body, headers=key)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.json()["id"] == first.json()["id"]
    other = {"Idempotency-Key": secrets.token_hex(16)}
    assert get_code(await client.post("/v1/responses", json=body, headers=other)) == EXHAUSTED


async def test_a_retry_takes_nothing_twice(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=5_000)
    key = {"Idempotency-Key": secrets.token_hex(16)}
    for _ in range(3):
        answer = await client.post("/v1/responses", json={"input": "Hello"}, headers=key)
        assert await find_used(client) == answer.json()["usage"]["total_tokens"]


# --- over the WebSocket, handed on, compacted ---


async def test_a_socket_is_told_and_stays_open(make_project: MakeProject, service: Service) -> None:
    client = await make_project(tokens_per_minute=1_500)
    key = client.headers["Authorization"].removeprefix("Bearer ")
    async with open_talk(service.url, key) as talk:
        await talk.create("Hello", max_output_tokens=1_600)
        assert (await talk.see("error"))["error"]["code"] == "quota_exceeded"
        await talk.create(SLOW, stream_id="one")
        await talk.see("response.output_text.delta")
        await talk.create("Hello", stream_id="two")
        refused = await talk.see("error")
        assert (refused["status"], refused["error"]["code"]) == LIMITED
        await talk.create("Hello", stream_id="two", generate=False)  # no model is asked
        await talk.see("response.completed")


async def test_what_is_handed_on_counts_as_its_server_reports_it(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=5_000)
    body = {"messages": [{"role": "user", "content": "count to 5"}]}
    answer = await client.post("/v1/chat/completions", json=body)
    assert OUTPUT < 5_000 - int(answer.headers["x-ratelimit-remaining-tokens"]) < OUTPUT + 50
    used = answer.json()["usage"]["total_tokens"]
    await becomes(client, lambda found: found == used)
    embedded = await client.post("/v1/embeddings", json={"input": "Hello"})
    used += embedded.json()["usage"]["total_tokens"]
    await becomes(client, lambda found: found == used)
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    text = (await client.post("/v1/chat/completions", json=streamed)).text
    used += int(re.findall(r'"total_tokens":(\d+)', text)[-1])
    await becomes(client, lambda found: found == used)


async def test_what_is_handed_on_and_not_reported_counts_as_it_was_reserved(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=1_500)
    body = {"messages": [{"role": "user", "content": "count to 5"}], "stream": True, "max_tokens": 900}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert 900 < await find_used(client) < 950
    refused = await client.post("/v1/chat/completions", json=body)
    assert get_code(refused) == LIMITED
    assert get_code(await client.post("/v1/chat/completions", json={**body, "max_tokens": 9_000})) == EXHAUSTED
    for wrong in (-1, "many", 10**30, None, {"a": 1}):
        await client.post("/v1/chat/completions", json={**body, "max_tokens": wrong, "n": wrong})


async def test_a_refusal_of_the_models_server_costs_nothing(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=1_500)
    body = {"messages": [{"role": "user", "content": "Hello [[standin status=400 code=invalid_value]]"}]}
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 400
    await becomes(client, lambda found: found == 0)


async def test_a_compaction_counts(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=1_500)
    body: dict[str, Any] = {"model": "stand-in", "input": [{"role": "user", "content": "My name is Ada."}]}
    used = (await client.post("/v1/responses/compact", json=body)).json()["usage"]["total_tokens"]
    await becomes(client, lambda found: found == used)
    long = [{"role": "user", "content": "word " * 2_000}]
    assert get_code(await client.post("/v1/responses/compact", json={**body, "input": long})) == EXHAUSTED


# --- other replicas ---


async def test_tokens_count_at_every_replica(make_project: MakeProject, other_replica: Replica) -> None:
    client = await make_project(tokens_per_minute=1_500)
    async with open_browser(other_replica.url, client.headers["Authorization"].removeprefix("Bearer ")) as other:
        stream = Stream.of_turn(client, SLOW)
        await stream.see_words()
        assert get_code(await ask(other, "Hello")) == LIMITED
        await other.post(f"/v1/responses/{await stream.get_id()}/cancel")
        await becomes(other, lambda found: found < OUTPUT)
        assert (await ask(other, "Hello")).status_code == 200
        await stream.leave()


async def test_a_takeover_keeps_the_reservation_and_what_went_with_its_replica_is_given_back(
    make_project: MakeProject, service: Service, start_replica: StartReplica
) -> None:
    client = await make_project(tokens_per_minute=50_000)
    victim = await asyncio.to_thread(start_replica, {**service.environment, "LEASE_S": "1"})
    key = client.headers["Authorization"].removeprefix("Bearer ")
    async with open_browser(victim.url, key) as at_victim:
        stored = Stream.of_turn(at_victim, "count to 30 [[standin token_s=0.05]]", max_output_tokens=2_000)
        unstored = Stream.of_turn(at_victim, SLOW, store=False, max_output_tokens=3_000)
        for stream in (stored, unstored):
            await stream.see_words(4)
        response = f"/v1/responses/{await stored.get_id()}"
        assert await find_used(client) > 5_000
        await asyncio.to_thread(victim.kill)
        assert await find_used(client) > 5_000
        for stream in (stored, unstored):
            await stream.read_broken()

    async def has_ended() -> bool:
        return bool((await client.get(response)).json()["status"] == "completed")

    await eventually(has_ended, within_s=20)
    used = (await client.get(response)).json()["usage"]["total_tokens"]
    await becomes(client, lambda found: found == used)


@pytest.mark.long
async def test_at_four_replicas_no_more_is_used_than_the_limits(
    service: Service, start_valkey: StartValkey, start_replica: StartReplica
) -> None:
    """Turns that use all that they may, at random replicas, some of which die: a minute, and a month."""
    valkey = await asyncio.to_thread(start_valkey)
    limits = {"TOKENS_PER_MINUTE": "3000", "TOKENS_PER_MONTH": "5000", "LEASE_S": "1"}
    environment = {**service.environment, "REDIS_URL": valkey.url, **limits}
    replicas = await asyncio.gather(*(asyncio.to_thread(start_replica, environment) for _ in range(4)))
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(open_browser(each.url, service.alice_key)) for each in replicas]
        await wait_until_known(clients[0])
        used: list[tuple[float, int]] = []

        async def talk(number: int) -> None:
            while time.monotonic() < deadline:
                with suppress(httpx.HTTPError):
                    client = clients[(number + len(used)) % 4]
                    answer = await ask(client, f"count to 200 {number}", max_output_tokens=200)
                    if answer.status_code == 200:
                        used.append((time.monotonic(), answer.json()["usage"]["output_tokens"]))
                    else:
                        assert get_code(answer) in (LIMITED, EXHAUSTED)
                await asyncio.sleep(0.2)

        deadline = time.monotonic() + 80
        talking = [asyncio.create_task(talk(number)) for number in range(12)]
        for victim in replicas[1:3]:
            await asyncio.sleep(8)
            await asyncio.to_thread(victim.kill)
            await asyncio.to_thread(victim.start)
        await asyncio.gather(*talking)
        print(f"{len(used)} turns, {sum(tokens for _, tokens in used)} output tokens")  # noqa: T201 -- the measurement
    assert 3_000 < sum(tokens for _, tokens in used) <= 5_000
    for at, _ in used:
        assert sum(tokens for when, tokens in used if at <= when < at + 55) <= 3_000


async def test_suggested_follow_ups_count(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_minute=5_000)
    answer = (await ask(client, "My name is Ada.")).json()
    before = await find_used(client)
    assert (await client.post(f"/v1/responses/{answer['id']}/follow_ups")).json()["data"]
    await becomes(client, lambda used: before < used < before + OUTPUT)


async def test_without_tokens_nothing_is_suggested_and_that_is_said(make_project: MakeProject) -> None:
    client = await make_project(tokens_per_month=1_000)
    answer = (await ask(client, "My name is Ada.", max_output_tokens=16)).json()
    suggested = await client.post(f"/v1/responses/{answer['id']}/follow_ups")
    assert (suggested.status_code, suggested.json()["data"]) == (200, [])
    [notice] = suggested.json()["eps:notices"]
    assert notice["code"] == "quota_exceeded"
    assert "within a month" in notice["message"]


async def test_staff_see_what_a_project_has_used_beside_its_limits(
    make_project: MakeProject, browser: httpx.AsyncClient
) -> None:
    client = await make_project(tokens_per_month=50_000, tokens_per_minute=20_000)
    used = (await ask(client, "count to 100")).json()["usage"]["total_tokens"]
    listing = (await browser.get("/admin/prompts/project/?o=-1")).text
    found = re.findall(r"/admin/prompts/project/(\d+)/change/[^>]*>(limited-\w+)", listing)
    pk, _ = max(found, key=lambda row: int(row[0]))
    page = (await browser.get(f"/admin/prompts/project/{pk}/change/")).text
    assert f"{used:,} of 50,000 ({round(used / 500)} %)" in page
    assert f"{used:,} of 20,000" in page
