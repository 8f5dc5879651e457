"""Staff take conversations along: as JSON, as a text, and as a table that no spreadsheet runs."""

import csv
import io
import json
from typing import Any

import httpx
import pytest

from prompts.admin.exports import guard_cell
from tests.support.archived import answer, new_conversation_id, say, write_archive
from tests.support.service import Service

EXPORT = "/admin/prompts/archivedconversation/export/"
FORMULAS = (
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", '=HYPERLINK("http://x")', "\0=1"),
    *("\u00a0=1", "\ufeff=1", "\u200b=1", "\v=1", "\u3000 =1"),
)


@pytest.fixture(scope="session")
def exported(service: Service) -> list[str]:
    """The ids of two conversations; the second says what a spreadsheet would run, 160 times."""
    first = [say("user", "Hello, world"), answer([say("assistant", 'Hello,\n"you"')], prompt_id="pmpt_1")]
    second = [say("user", FORMULAS[number % len(FORMULAS)]) for number in range(160)]
    told = [
        {"id": new_conversation_id(), "title": "Plain # and *bold*", "said": first},
        {"id": new_conversation_id(), "title": "=cmd|' /C calc'!A0", "owner": "@bob", "said": second},
    ]
    write_archive(service.environment, *told)
    return [str(each["id"]) for each in told]


async def export(browser: httpx.AsyncClient, form: str, *conversation_ids: str) -> httpx.Response:
    fields: dict[str, Any] = {"form": form, "selected": list(conversation_ids)}
    return await browser.post(EXPORT, data={**fields, "csrfmiddlewaretoken": browser.cookies["csrftoken"]})


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_a_text(text: str) -> None:
    assert guard_cell(text).startswith("'")
    assert "\0" not in guard_cell(text)


@pytest.mark.parametrize("text", ["", "Hello", "1 + 1 = 2", "a@b.example", "'quoted"])
def test_a_text_stays_as_it_is(text: str) -> None:
    assert guard_cell(text) == text


async def test_a_table_holds_every_item_and_no_formula(sue: httpx.AsyncClient, exported: list[str]) -> None:
    told = await export(sue, "csv", *exported)
    assert told.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="conversations-' in told.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(told.content.decode("utf-8-sig"), newline="")))
    assert len(rows) == 2 + 160
    assert {row["conversation"] for row in rows} == set(exported)
    second = next(row for row in rows if row["role"] == "assistant")
    assert (second["text"], second["model"], second["prompt"]) == ('Hello,\n"you"', "stand-in", "pmpt_1")
    begins = {value[:1] for row in rows for value in row.values()}
    assert begins & set("=+-@\t\r\n＝") == set()
    assert {row["owner"] for row in rows} == {"alice", "'@bob"}


async def test_json_holds_what_the_api_shows(sue: httpx.AsyncClient, exported: list[str]) -> None:
    told = (await export(sue, "json", *exported)).json()
    assert [each["conversation"]["id"] for each in told] == exported
    assert [len(each["items"]) for each in told] == [2, 160]
    assert told[0]["items"][1]["content"][0]["text"] == 'Hello,\n"you"'


async def test_a_text_is_for_people(sue: httpx.AsyncClient, exported: list[str]) -> None:
    told = await export(sue, "markdown", exported[0])
    assert f'filename="{exported[0]}.md"' in told.headers["content-disposition"]
    assert "> Hello, world" in told.text


async def test_what_is_not_there_is_left_out(sue: httpx.AsyncClient, exported: list[str]) -> None:
    assert len((await export(sue, "json", "conv_none", exported[0])).json()) == 1
    page = await export(sue, "json", "conv_none")
    assert "Select the conversations" in page.text
    assert (await export(sue, "exe", exported[0])).status_code == 404
    assert (await sue.get(EXPORT)).status_code == 405


async def test_an_export_is_written_down(sue: httpx.AsyncClient, oscar: httpx.AsyncClient, exported: list[str]) -> None:
    await export(sue, "csv", exported[1])
    assert exported[1] in (await oscar.get("/admin/prompts/staffaction/", params={"q": exported[1]})).text


async def test_only_staff_take_something_along(service: Service, exported: list[str]) -> None:
    async with httpx.AsyncClient(base_url=service.url) as stranger:
        answer = await stranger.post(EXPORT, data={"form": "json", "selected": exported})
        assert answer.status_code in (302, 403)
        assert json.dumps("Hello, world") not in answer.text
