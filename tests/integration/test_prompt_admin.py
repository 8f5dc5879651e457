"""Prompts in the admin: staff write everybody's, in versions that nobody changes; turns use them at once."""

import html
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from django.contrib.admin.utils import quote
from openai import AsyncOpenAI

from tests.support.oracle import check_answer
from tests.support.refusals import check_refusal
from tests.support.service import Service
from tests.support.staff import submit
from tests.support.turns import ask, get_text

ADD = "/admin/prompts/prompt/add/"
LEASE = "# Berlin\n\nThe notice period in Berlin is six weeks."


@pytest.fixture
async def bob_http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Plain HTTP with Bob's key."""
    headers = {"Authorization": f"Bearer {service.bob_key}"}
    hooks = {"response": [check_answer]}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, event_hooks=hooks, timeout=30) as client:
        yield client


def read_form(page: str) -> dict[str, str]:
    """The fields of a page's form, as a browser would send them back."""
    fields: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = (re.search(rf'{attribute}="([^"]*)"', tag) for attribute in ("name", "value"))
        if name and ('type="checkbox"' not in tag or "checked" in tag) and 'type="submit"' not in tag:
            unsaid = "on" if 'type="checkbox"' in tag else ""
            fields[name[1]] = html.unescape(value[1]) if value else unsaid
    for name, text in re.findall(r'<textarea name="([^"]*)"[^>]*>\n?(.*?)</textarea>', page, re.DOTALL):
        fields[name] = html.unescape(text)
    for name, options in re.findall(r'<select name="([^"]*)"[^>]*>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        fields[name] = chosen[1] if chosen else ""
    return {name: value for name, value in fields.items() if name not in ("csrfmiddlewaretoken", "action", "q")}


async def write(browser: httpx.AsyncClient, path: str, **changed: str) -> httpx.Response:
    """Open a form, change some of its fields, and save it. Returns the page it leads to."""
    fields = read_form((await browser.get(path)).text)
    for name in [name for name, value in changed.items() if value == "off"]:
        fields.pop(name, None)
        del changed[name]
    return await submit(browser, path, **{**fields, **changed})


async def make(browser: httpx.AsyncClient, http: httpx.AsyncClient, **fields: str) -> dict[str, Any]:
    """Write a new prompt in the admin. Returns it as the API shows it."""
    await write(browser, ADD, **fields)
    newest: dict[str, Any] = (await http.get("/v1/prompts", params={"limit": 1})).json()["data"][0]
    assert newest["prompt"] == fields["text"]
    return newest


def change_path(prompt: dict[str, Any], action: str = "change") -> str:
    """Where the prompt is changed; the admin spells an underscore otherwise."""
    return f"/admin/prompts/prompt/{quote(prompt['id'])}/{action}/"


async def test_staff_write_everybodys_and_turns_use_it_at_once(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, other: httpx.AsyncClient, bob_http: httpx.AsyncClient
) -> None:
    prompt = await make(
        browser,
        http,
        name="Front desk",
        text="You welcome {{guest}} in {{place}}.",
        variables="guest # who comes\nplace: enum(Bergen, Berlin) = Bergen\n\nphoto: image\nn: number = 3",
        temperature="0.5",
        follow_ups="on",
        history_tokens="100",
    )
    assert (prompt["owner"], prompt["name"], prompt["follow_ups"]) == ("everybody", "Front desk", True)
    assert (prompt["parameters"]["temperature"], prompt["history_tokens"]) == (0.5, 100)
    assert prompt["variable_details"] == [
        {"name": "guest", "type": "any", "default": None, "values": [], "description": "who comes"},
        {"name": "place", "type": "enum", "default": "Bergen", "values": ["Bergen", "Berlin"], "description": None},
        {"name": "photo", "type": "image", "default": None, "values": [], "description": None},
        {"name": "n", "type": "number", "default": "3", "values": [], "description": None},
    ]
    for client in (other, bob_http):
        seen = await ask(client, "Hello", prompt={"id": prompt["id"], "variables": {"guest": "Ada"}})
        assert seen.json()["instructions"] == "You welcome Ada in Bergen."


async def test_everybodys_template_is_used_by_all_and_changed_by_staff(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, bob_http: httpx.AsyncClient
) -> None:
    prompt = await make(browser, http, name="x", text="For all.")
    for client in (http, bob_http):
        for answer in (
            await client.put(f"/v1/prompts/{prompt['id']}", json={"version": 1, "prompt": "mine"}),
            await client.put(f"/v1/prompts/{prompt['id']}/set-default-version", json={"version": 1}),
            await client.delete(f"/v1/prompts/{prompt['id']}"),
        ):
            error = check_refusal(answer, status=404, code="prompt_not_found", param="prompt_id")
            assert "only staff change it" in error["message"]
    assert (await bob_http.get(f"/v1/prompts/{prompt['id']}")).json() == prompt


async def test_a_change_makes_the_next_version_and_a_new_name_does_not(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    prompt = await make(browser, http, name="One", text="one\n\n  {{x}}\n", variables='x: string = <b> & "q"')
    await write(browser, change_path(prompt), name="Two")
    shown = (await http.get(f"/v1/prompts/{prompt['id']}")).json()
    assert shown == {**prompt, "name": "Two"}
    await write(browser, change_path(prompt), text="two")
    await write(browser, change_path(prompt), text="three", becomes_default="off")
    versions = (await http.get(f"/v1/prompts/{prompt['id']}/versions")).json()["data"]
    assert [(each["version"], each["prompt"], each["is_default"]) for each in versions] == [
        (3, "three", False),
        (2, "two", True),
        (1, "one\n\n  {{x}}\n", False),
    ]
    assert versions[1]["variable_details"] == prompt["variable_details"]
    await write(browser, change_path(prompt), default="1")
    seen = await ask(http, "Hello", prompt={"id": prompt["id"]})
    assert seen.json()["prompt"]["version"] == "1"


async def test_a_form_that_is_stale_makes_nothing(browser: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    prompt = await make(browser, http, name="x", text="one")
    stale = read_form((await browser.get(change_path(prompt))).text)
    await write(browser, change_path(prompt), text="two")
    page = await submit(browser, change_path(prompt), **{**stale, "text": "lost"})
    assert "Somebody has made version 2 meanwhile" in html.unescape(page.text)
    assert (await http.get(f"/v1/prompts/{prompt['id']}")).json()["prompt"] == "two"


REFUSED = {
    "no text": ({"text": ""}, "This field is required"),
    "an undeclared variable": ({"text": "{{city}}"}, "'{{city}}'"),
    "no variable": ({"variables": "one two"}, "Line 1 is no variable"),
    "no type": ({"variables": "x\ny: date"}, "Line 2: 'date' is no type"),
    "an enum of nothing": ({"variables": "x: enum"}, "'values'"),
    "no number": ({"variables": "x: number = two"}, "no number"),
    "a name twice": ({"variables": "x\nx"}, "twice"),
    "too hot": ({"temperature": "3"}, "less than or equal to 2"),
    "another id": ({"vector_stores": "file-1"}, "'vs_'"),
    "a long text": ({"text": "x" * 64_001}, "64000"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_a_prompt_cannot_say_is_told_beside_its_field(browser: httpx.AsyncClient, name: str) -> None:
    fields, words = REFUSED[name]
    page = await write(browser, ADD, **{"name": "x", "text": "Hello", **fields})
    assert words in html.unescape(page.text)
    assert 'class="errorlist"' in page.text


async def test_hostile_words_are_words(browser: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    hostile = "<script>alert(1)</script>{% debug %}"
    prompt = await make(browser, http, name=hostile, text=hostile)
    for path in (change_path(prompt), "/admin/prompts/prompt/"):
        page = (await browser.get(path)).text
        assert "<script>alert" not in page
        assert html.escape("<script>alert(1)</script>") in page


async def test_an_owners_prompt_keeps_what_a_line_cannot_say(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    variable = {"name": "x", "type": "enum", "values": ["a, b", "c)"], "default": "a, b", "description": "1 # 2"}
    body = {"prompt": "{{x}}", "variables": [variable], "parameters": {"presence_penalty": 1}}
    prompt = (await http.post("/v1/prompts", json=body)).json()
    page = (await browser.get(change_path(prompt))).text
    assert "stores_owner" not in page
    await write(browser, change_path(prompt), text="-{{x}}")
    changed = (await http.get(f"/v1/prompts/{prompt['id']}")).json()
    assert (changed["version"], changed["prompt"], changed["owner"]) == (2, "-{{x}}", "you")
    kept = ("variable_details", "parameters")
    assert {name: changed[name] for name in kept} == {name: prompt[name] for name in kept}


async def test_what_staff_delete_is_gone_at_once(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    one, two = [await make(browser, http, name=f"gone {number}", text=f"x{number}") for number in range(2)]
    await submit(browser, change_path(one, "delete"), post="yes")
    await submit(browser, "/admin/prompts/prompt/", action="delete_selected", _selected_action=two["id"], post="yes")
    for prompt in (one, two):
        answer = await ask(other, "Hello", prompt={"id": prompt["id"]})
        check_refusal(answer, status=404, code="prompt_not_found")


async def test_everybodys_template_may_search_the_stores_of_one_owner(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, alice: AsyncOpenAI, bob_http: httpx.AsyncClient
) -> None:
    store = await alice.vector_stores.create(name="Lease")
    file = ("lease.md", LEASE.encode())
    await alice.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=file, poll_interval_ms=100)
    knowledge = {"name": "x", "text": "Cite.", "vector_stores": store.id}
    own = await make(browser, http, **knowledge)
    shared = await make(browser, http, **knowledge, stores_owner="alice")
    assert "owner" not in shared["knowledge"]
    question = "What is the notice period in Berlin?"
    answer = await ask(bob_http, question, prompt={"id": own["id"]})
    check_refusal(answer, status=404, code="vector_store_not_found", param="prompt")
    seen = (await ask(bob_http, question, prompt={"id": shared["id"]})).json()
    assert "six weeks" in get_text(seen)
    passages = (await bob_http.get(f"/v1/responses/{seen['id']}/passages")).json()["data"]
    assert [passage["filename"] for passage in passages] == ["lease.md"]
    # The stores and files themselves stay out of reach, and so does any other way to them.
    tool = {"type": "file_search", "vector_store_ids": [store.id], "eps:when": "always"}
    answer = await ask(bob_http, question, prompt={"id": shared["id"]}, tools=[tool])
    check_refusal(answer, status=404, code="vector_store_not_found")
    check_refusal(await bob_http.get(f"/v1/vector_stores/{store.id}"), status=404, code="vector_store_not_found")
    check_refusal(await bob_http.get(f"/v1/files/{passages[0]['file_id']}"), status=404, code="file_not_found")


async def test_the_admin_of_prompts_is_closed_to_strangers(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url) as stranger:
        assert (await stranger.get("/admin/prompts/prompt/")).status_code == 302
        assert (await stranger.post(ADD, data={"name": "x", "text": "y"})).status_code in (302, 403)
