"""Staff try a prompt with sample values, and see what changed between two versions."""

import html
import re
from typing import Any

import httpx
import pytest
from django.contrib.admin.utils import quote

from tests.support.staff import submit
from tests.support.turns import ask

PREVIEW = "/admin/prompts/prompt/preview/"
HOSTILE = "</pre><script>alert(1)</script>{% debug %}<img src=x onerror=alert(1)>"


async def make(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """A prompt of Alice's."""
    made: dict[str, Any] = (await http.post("/v1/prompts", json={"prompt": "x", **body})).json()
    return made


def path_of(prompt: dict[str, Any], rest: str) -> str:
    return f"/admin/prompts/prompt/{quote(prompt['prompt_id'])}/{rest}"


def list_messages(page: str) -> list[tuple[str, str]]:
    """The role and the words of each message of a preview."""
    bubbles = re.findall(r'<article class="eps-bubble eps-(\w+)">(.*?)</article>', page, re.DOTALL)
    said = re.compile(r'<div class="eps-said">(.*?)</div>', re.DOTALL)
    return [(role, "|".join(html.unescape(part) for part in said.findall(words))) for role, words in bubbles]


async def test_a_preview_shows_what_a_turn_gives_the_model(browser: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    variables = ["guest", {"name": "place", "type": "enum", "values": ["Bergen", "Berlin"], "default": "Bergen"}]
    prompt = await make(http, prompt="You welcome {{guest}} in {{place}}.", variables=variables)
    fields = {"of": prompt["prompt_id"], "version": "1", "sample:guest": "Ada {{place}}", "preview-said": "Good day"}
    page = (await submit(browser, PREVIEW, **fields)).text
    messages = list_messages(page)
    assert messages == [("system", "You welcome Ada {{place}} in Bergen."), ("user", "Good day")]
    used = {"id": prompt["prompt_id"], "variables": {"guest": "Ada {{place}}"}}
    answer = (await ask(http, "Good day", prompt=used)).json()
    assert answer["instructions"] == messages[0][1]


async def test_a_draft_is_previewed_before_it_is_saved(browser: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    before = (await http.get("/v1/prompts", params={"limit": 1})).json()["data"]
    draft = {"text": "Speak {{language}}.\n\nDescribe {{photo}}.", "variables": "language = French\nphoto: image"}
    page = (await submit(browser, f"{PREVIEW}?part", **draft)).text
    assert list_messages(page) == [
        ("system", "Speak French.\n\nDescribe [Image 1: photo]."),
        ("user", "[an image]"),
        ("user", "Hello"),
    ]
    assert "<html" not in page
    assert (await http.get("/v1/prompts", params={"limit": 1})).json()["data"] == before


WRONG = {
    "no value": ({"variables": "x", "text": "{{x}}"}, "needs a value"),
    "no number": ({"variables": "x: number", "sample:x": "two"}, "must be a number"),
    "no choice": ({"variables": "x: enum(a, b)", "sample:x": "c"}, "must be one of"),
    "a wrong draft": ({"variables": "x: date"}, "no type"),
    "an undeclared place": ({"text": "{{city}}"}, "{{city}}"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_preview_names_the_field_that_is_wrong(browser: httpx.AsyncClient, name: str) -> None:
    fields, words = WRONG[name]
    page = html.unescape(
        (await submit(browser, f"{PREVIEW}?part", **{"text": "x", "preview-said": "Hello", **fields})).text
    )
    assert words in page
    assert list_messages(page) == []
    assert "eps-wrong" in page or 'role="alert"' in page


async def test_two_versions_are_compared(browser: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    prompt = await make(http, prompt="Be kind to {{guest}}.", variables=["guest"], follow_ups=True)
    changed = {"version": 1, "prompt": "Be short with {{guest}}.", "variables": [{"name": "guest", "default": "you"}]}
    await http.put(f"/v1/prompts/{prompt['prompt_id']}", json={**changed, "model": "large"})
    page = (await browser.get(path_of(prompt, "compare/"))).text
    assert "<mark>kind</mark>" in page
    assert "<mark>short</mark>" in page
    told = html.unescape(page)
    for words in ("any, 'you' where nothing is given", "<ins>large</ins>", "<del>suggested</del>"):
        assert words in told
    same = (await browser.get(path_of(prompt, "compare/?old=2&new=2"))).text
    assert "These two say the same" in same


@pytest.mark.parametrize("rest", ["compare/?old=9", "compare/?new=-1", "compare/?old=1e3", "versions/7/"])
async def test_a_version_that_is_not_there_is_not_found(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, rest: str
) -> None:
    prompt = await make(http)
    assert (await browser.get(path_of(prompt, rest))).status_code == 404


async def test_support_looks_at_versions_and_changes_none(sue: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    prompt = await make(http, prompt="Hello {{guest}}", variables=["guest"])
    page = await sue.get(path_of(prompt, "change/"))
    assert page.url.path == path_of(prompt, "versions/1/")
    assert "Hello {{guest}}" in page.text
    assert ">Edit<" not in page.text
    assert (await sue.get(path_of(prompt, "compare/"))).status_code == 200
    stored = {"of": prompt["prompt_id"], "version": "1", "sample:guest": "Ada"}
    assert list_messages((await submit(sue, PREVIEW, **stored)).text)[0] == ("system", "Hello Ada")
    token = {"csrfmiddlewaretoken": sue.cookies["csrftoken"]}
    assert (await sue.post(PREVIEW, data={**token, "text": "x"})).status_code == 403
    assert (await sue.post(path_of(prompt, "change/"), data={**token, "text": "y", "latest": "1"})).status_code != 500
    assert (await http.get(f"/v1/prompts/{prompt['prompt_id']}")).json()["version"] == 1


async def test_strangers_see_no_version(service: Any, http: httpx.AsyncClient) -> None:
    prompt = await make(http)
    async with httpx.AsyncClient(base_url=service.url) as stranger:
        for rest in ("versions/1/", "compare/"):
            assert (await stranger.get(path_of(prompt, rest))).status_code == 302
        assert (await stranger.post(PREVIEW, data={"text": "x"})).status_code in (302, 403)


async def test_hostile_words_are_words_in_every_place(browser: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    variables = [{"name": "x", "default": HOSTILE, "description": HOSTILE[:400]}]
    prompt = await make(http, name=HOSTILE[:190], prompt=HOSTILE + "{{x}}", variables=variables, model=HOSTILE[:200])
    body = {"version": 1, "prompt": f"{HOSTILE}\n{HOSTILE}", "variables": [], "model": "other"}
    await http.put(f"/v1/prompts/{prompt['prompt_id']}", json=body)
    pages = [
        await browser.get(path_of(prompt, "versions/1/")),
        await browser.get(path_of(prompt, "compare/")),
        await browser.get(path_of(prompt, "change/")),
        await submit(browser, PREVIEW, of=prompt["prompt_id"], version="1", **{"sample:x": HOSTILE}),
        await submit(browser, PREVIEW, text=HOSTILE, variables=HOSTILE, **{'sample:"><script>alert(1)': HOSTILE}),
    ]
    for page in pages:
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
