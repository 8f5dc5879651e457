"""Staff find what was said, read it as it was said, and each look at it is written down."""

import html
import json
import re
from typing import Any

import httpx
import pytest
from django.contrib.admin.utils import quote

from tests.support.archived import answer, new_chain_id, new_conversation_id, say, write_archive
from tests.support.sample_archive import ANSWER, build_sample
from tests.support.servers import eventually
from tests.support.service import Service
from tests.support.staff import submit, wait_archived
from tests.support.turns import ask, make_conversation

LIST = "/admin/prompts/archivedconversation/"
ACTIONS = "/admin/prompts/staffaction/"
HOSTILE = "</div></pre></script><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}{% debug %}\"'\u202e"
OWNER = "somebody else"


@pytest.fixture(scope="session")
def sample(service: Service) -> list[dict[str, Any]]:
    """The sample, 120 conversations and three chains of one owner, and one in which everything is hostile."""
    sample = build_sample()
    many = [
        {"id": new_conversation_id(), "owner": OWNER, "title": f"talk {number:03d}", "said": [say("user", "hi")]}
        for number in range(120)
    ]
    for place in (0, 50, 100):
        many.insert(place, {"id": new_chain_id(), "owner": OWNER, "said": [say("user", "hi")]})
    write_archive(service.environment, *sample, *many, build_hostile())
    return sample


def build_hostile() -> dict[str, Any]:
    """A conversation with hostile words wherever there can be words."""
    cited = say("assistant", HOSTILE)
    note = {"type": "file_citation", "index": 3, "filename": HOSTILE, "file_id": HOSTILE, "eps:passage": 1}
    cited["content"][0]["annotations"] = [note, {"type": "file_citation", "index": "x"}, HOSTILE]
    call = {"type": "function_call", "status": HOSTILE, "call_id": HOSTILE, "name": HOSTILE, "arguments": HOSTILE}
    passage = {"index": 1, "filename": HOSTILE, "heading": HOSTILE, "page": HOSTILE, "score": 1, "text": HOSTILE}
    told = answer(
        [cited, call],
        model=HOSTILE,
        status="failed",
        input=[say("user", HOSTILE)],
        passages=[passage],
        error_code=HOSTILE[:90],
        error_message=HOSTILE,
        prompt_id=HOSTILE[:60],
        prompt_version=HOSTILE[:19],
        feedback_score=-1,
        feedback_comment=HOSTILE,
        result={"eps:ignored": [HOSTILE], "eps:notices": [{"code": HOSTILE, "message": HOSTILE}]},
    )
    image = {"type": "input_image", "image_url": f"javascript:{HOSTILE}"}
    said = [
        {**say(HOSTILE[:19], HOSTILE), "content": [{"type": "input_text", "text": HOSTILE}, image]},
        {"type": HOSTILE[:60], HOSTILE: HOSTILE},
        told,
        answer([say("assistant", HOSTILE)], model=HOSTILE),
    ]
    return {
        "id": new_conversation_id(),
        "owner": HOSTILE,
        "title": HOSTILE,
        "said": said,
        "metadata": {HOSTILE: HOSTILE},
        "last_prompt_id": HOSTILE[:60],
    }


def page_of(conversation_id: str, rest: str = "change") -> str:
    return f"{LIST}{quote(conversation_id)}/{rest}/"


def list_titles(page: str) -> list[str]:
    """The titles of a list, in order."""
    return [html.unescape(title) for title in re.findall(r'<th scope="row"><a [^>]*>(.*?)</a>', page, re.DOTALL)]


@pytest.mark.usefixtures("sample")
async def test_the_newest_come_first_and_filters_choose(sue: httpx.AsyncClient) -> None:
    # Other tests of this process talk today.
    titles = list_titles((await sue.get(LIST, params={"owner": "bob", "until": "2026-11-29"})).text)
    assert titles[:2] == ["Quadratic equations", "Invoices of March"]
    chosen: dict[tuple[tuple[str, str], ...], str] = {
        (("status", "cancelled"), ("owner", "bob")): "Quadratic equations",
        (("failed", "on"), ("owner", "alice")): "Notice period in Berlin",
        (("feedback", "1"), ("model", "stand-in"), ("until", "2026-11-02")): "Notice period in Berlin",
        (("q", "invoic mar"), ("since", "2026-11-01"), ("until", "2026-11-01")): "Invoices of March",
    }
    for query, title in chosen.items():
        assert title in list_titles((await sue.get(LIST, params=dict(query))).text), query
    nothing = (await sue.get(LIST, params={"owner": "bob", "until": "2026-10-31"})).text
    assert "No conversation fits" in nothing
    assert "Enter a valid date" in (await sue.get(LIST, params={"since": "yesterday"})).text


@pytest.mark.usefixtures("sample")
async def test_a_search_shows_the_words_that_were_said(sue: httpx.AsyncClient) -> None:
    page = (await sue.get(LIST, params={"q": "give NOTICE", "owner": "alice"})).text
    assert list_titles(page) == ["Notice period in Berlin"]
    assert "in which you give notice" in page
    for query in ('"', "a & b | !c:*", "'; DROP TABLE", "NEAR(", "\0", "x" * 600):
        assert (await sue.get(LIST, params={"q": query})).status_code == 200


async def test_a_chain_is_found_and_read_as_a_conversation_is(
    sue: httpx.AsyncClient, oscar: httpx.AsyncClient, sample: list[dict[str, Any]]
) -> None:
    chain_id = sample[-1]["id"]
    page = (await sue.get(LIST, params={"q": "zwetschgen"})).text
    assert list_titles(page) == [chain_id]
    assert "Translate: der Zwetschgenkuchen" in page
    assert 'eps-badge">chain' in page
    transcript = html.unescape((await sue.get(page_of(chain_id))).text)
    assert transcript.index("Translate:") < transcript.index("The plum cake.") < transcript.index("The plum cakes.")
    raw = re.findall(r'href="\.\./(raw/[^"]+)"', transcript)
    told = [await sue.get(f"{LIST}{quote(chain_id)}/{path}") for path in raw]
    assert "The plum cakes." in json.dumps([answer.json() for answer in told])
    response_id = next(path.split("/")[2] for path in raw if path.startswith("raw/response/"))
    assert (await sue.get(page_of(sample[0]["id"], f"raw/response/{response_id}"))).status_code == 404
    before = {"owner": "alice", "until": "2026-11-29"}
    for query, is_there in (
        ({"kind": "chain", **before}, True),
        ({"kind": "conversation", **before}, False),
        ({"id": response_id}, True),
        ({"id": chain_id, "feedback": "1"}, True),
        ({"id": chain_id, "status": "failed"}, False),
        (before, True),
    ):
        assert (chain_id in list_titles((await sue.get(LIST, params=query)).text)) is is_there, query
    assert (await sue.get(page_of(chain_id, "erase"))).status_code == 403
    assert "Erase …" in (await oscar.get(page_of(chain_id))).text
    assert "This deletes the chain of" in (await oscar.get(page_of(chain_id, "erase"))).text
    assert (await sue.get(page_of(chain_id, "live"))).json() == {}
    log = html.unescape((await oscar.get(ACTIONS, params={"q": chain_id})).text)
    assert re.search(rf'field-who">sue</td><td[^>]*>read</td><td[^>]*>chain</td><td[^>]*>{chain_id}', log)


async def test_a_chain_is_told_live(sue: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    first = (await ask(http, "A chain begins")).json()["id"]

    async def find_path() -> str:
        page = (await sue.get(LIST, params={"id": first})).text
        [path] = re.findall(r'<th scope="row"><a href="([^"]*)"', page)
        return str(path)

    path = await eventually(find_path)
    slow = {"input": "write 200 words [[standin token_s=0.05]]", "previous_response_id": first, "stream": True}
    async with http.stream("POST", "/v1/responses", json=slow) as stream:
        async for line in stream.aiter_lines():
            if "output_text.delta" in line:
                break
        live = path.replace("/change/", "/live/")

        async def is_told() -> dict[str, Any]:
            told: dict[str, Any] = (await sue.get(live)).json()
            return told

        told = await eventually(is_told)
        assert told["text"]
        await http.post(f"/v1/responses/{told['response']}/cancel")


@pytest.mark.usefixtures("sample")
async def test_a_list_is_leafed_through_both_ways(sue: httpx.AsyncClient) -> None:
    seen: list[str] = []
    path = f"{LIST}?owner={OWNER.replace(' ', '+')}"
    newer = None
    pages = []
    while path:
        page = (await sue.get(path)).text
        pages.append(list_titles(page))
        seen += pages[-1]
        older = re.search(r'rel="next" href="([^"]*)"', page)
        newer = re.search(r'rel="prev" href="([^"]*)"', page)
        path = f"{LIST}{html.unescape(older[1])}" if older else ""
    talks = [title for title in seen if not title.startswith("tl_")]
    assert talks == [f"talk {number:03d}" for number in reversed(range(120))]
    assert [place for place, title in enumerate(seen) if title.startswith("tl_")] == [22, 72, 122]
    assert newer is not None
    assert list_titles((await sue.get(f"{LIST}{html.unescape(newer[1])}")).text) == pages[-2]
    for cursor in ("x", "20261101T000000000000", "99999999T-", "-", "20261101T000000000000-'"):
        assert (await sue.get(LIST, params={"older": cursor})).status_code == 200


async def test_a_transcript_tells_what_was_said_and_why(sue: httpx.AsyncClient, sample: list[dict[str, Any]]) -> None:
    page = html.unescape((await sue.get(page_of(sample[0]["id"]))).text)
    for words in (
        "What is the notice period",
        "The notice period is three months.<sup>",
        "counted from the end of a month",
        "Rent · page 2 · 0.42 · not cited",
        "Called get_weather",
        "get_weather gave",
        "* take an umbrella",
        "120 in, 80 of them cached; 40 out",
        "pmpt_lease, version 3",
        "Exactly what I needed.",
        "tools[0].cache",
        "0.32 s",
        "Will it stay like that?",
        "server_error: The model's server ended the stream",
        "4711",
    ):
        assert words in page, words
    assert page.index("It is **7 °C**") < page.index("Will it stay like that?")
    fork = html.unescape((await sue.get(page_of(sample[1]["id"]))).text)
    assert page_of(sample[1]["id"]) in page
    assert page_of(sample[0]["id"]) in fork
    assert fork.index("What is the notice period") < fork.index("Le préavis est de trois mois.")
    assert "Le préavis" not in page


async def test_raw_json_is_given_on_demand(sue: httpx.AsyncClient, sample: list[dict[str, Any]]) -> None:
    page = (await sue.get(page_of(sample[0]["id"]))).text
    raw = re.findall(r'href="\.\./(raw/[^"]+)"', page)
    told = [await sue.get(f"{LIST}{quote(sample[0]['id'])}/{path}") for path in raw]
    assert {answer.headers["content-type"] for answer in told} == {"application/json"}
    assert ANSWER in json.dumps([answer.json() for answer in told])
    assert any("eps:ignored" in answer.json() for answer in told)
    other = f"{LIST}{quote(sample[2]['id'])}/{raw[0]}"
    assert (await sue.get(other)).status_code == 404


async def test_each_look_is_written_down(
    sue: httpx.AsyncClient, oscar: httpx.AsyncClient, sample: list[dict[str, Any]]
) -> None:
    conversation_id = sample[3]["id"]
    await sue.get(page_of(conversation_id))
    await sue.get(LIST, params={"q": "a word that only Sue looks for"})
    log = html.unescape((await oscar.get(ACTIONS)).text)
    assert re.search(rf'field-who">sue</td><td[^>]*>read</td><td[^>]*>conversation</td><td[^>]*>{conversation_id}', log)
    assert "a word that only Sue looks for" in log
    assert (await sue.get(ACTIONS)).status_code == 403
    for browser in (oscar, sue):
        assert (await browser.get(f"{ACTIONS}add/")).status_code == 403
        token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        answer = await browser.post(ACTIONS, data={**token, "action": "delete_selected", "_selected_action": "1"})
        assert "Are you sure" not in answer.text


async def test_changes_of_staff_are_written_down(oscar: httpx.AsyncClient) -> None:
    prompts = "/admin/prompts/prompt/"
    for name in ("noted one", "noted two"):
        await submit(oscar, f"{prompts}add/", name=name, text="Hello")
    log = html.unescape((await oscar.get(ACTIONS)).text)
    assert re.search(r'field-who">oscar</td><td[^>]*>added</td><td[^>]*>prompt</td>', log)
    page = (await oscar.get(prompts, params={"q": "noted"})).text
    made = re.findall(r'name="_selected_action" value="([^"]*)"', page)
    token = {"csrfmiddlewaretoken": oscar.cookies["csrftoken"]}
    chosen: dict[str, Any] = {"action": "delete_selected", "_selected_action": made}
    assert "Are you sure" in (await oscar.post(prompts, data={**token, **chosen})).text
    assert (await oscar.post(prompts, data={**token, **chosen, "post": "yes"})).status_code == 200
    log = html.unescape((await oscar.get(ACTIONS)).text)
    for prompt_id in made:
        assert re.search(rf">deleted</td><td[^>]*>prompt</td><td[^>]*>{prompt_id}", log)


@pytest.mark.usefixtures("sample")
async def test_hostile_words_are_words_in_every_place(sue: httpx.AsyncClient) -> None:
    found = await sue.get(LIST, params={"owner": HOSTILE})
    [path] = re.findall(r'<th scope="row"><a href="([^"]*)"', found.text)
    transcript = await sue.get(path)
    for page in (found, transcript, await sue.get(LIST, params={"q": HOSTILE, "model": HOSTILE, "status": HOSTILE})):
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert 'href="javascript:' not in page.text
    assert html.escape("<script>alert(1)</script>") in transcript.text
    assert "{{7*7}}" in transcript.text
    assert '<td data-label="Owner">' in found.text


async def test_strangers_and_others_than_staff_see_nothing(service: Service, sample: list[dict[str, Any]]) -> None:
    async with httpx.AsyncClient(base_url=service.url) as stranger:
        for path in (LIST, page_of(sample[0]["id"]), page_of(sample[0]["id"], "live"), page_of("conv_x", "erase")):
            assert (await stranger.get(path)).status_code == 302


async def test_an_unknown_conversation_is_not_found(sue: httpx.AsyncClient, sample: list[dict[str, Any]]) -> None:
    for conversation_id in ("conv_none", "%00", "../x", "conv_" + "f" * 300):
        assert (await sue.get(f"{LIST}{conversation_id}/change/")).status_code == 404
    assert (await sue.get(f"{page_of(sample[0]['id'])}?before=-5")).status_code == 200


async def test_what_is_being_answered_is_told_live(
    sue: httpx.AsyncClient, oscar: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    conversation = await make_conversation(http)
    await ask(http, "Hello", conversation=conversation)
    await wait_archived(sue, conversation, "Hello")
    assert (await sue.get(page_of(conversation, "live"))).json() == {}
    slow = {"input": "write 200 words [[standin token_s=0.05]]", "conversation": conversation, "stream": True}
    async with http.stream("POST", "/v1/responses", json=slow) as stream:
        async for line in stream.aiter_lines():
            if "output_text.delta" in line:
                break
        told = (await sue.get(page_of(conversation, "live"))).json()
        for _ in range(2):  # without a look at the transcript
            await oscar.get(page_of(conversation, "live"))
        assert told["response"].startswith("resp_")
        assert told["text"]
        await http.post(f"/v1/responses/{told['response']}/cancel")
    assert (await sue.get(page_of(conversation, "live"))).json() == {}
    await wait_archived(sue, conversation, "cancelled")
    log = (await oscar.get(ACTIONS, params={"q": conversation})).text
    assert re.findall(r'field-who">(\w+)</td><td[^>]*>followed</td>', log) == ["oscar"]
