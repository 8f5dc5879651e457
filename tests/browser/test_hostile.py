"""Hostile text in every place that shows text: it is shown, and nothing else happens.

What must not happen is noticed by the fixture: a dialog, an error or a report of the policy in the console, a request
to another host.
"""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.person import Person

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'`${alert(3)}{{7*7}}</textarea></title>"
# What an innocent page makes of it: no element came of the text, and nobody has run it.
INNOCENT = """() => document.querySelectorAll('img[onerror], img[src="x"], [onclick], body script').length === 0
  && document.title.includes('<img') === window.expectsTitle"""


def expect_innocent(person: Person, *, is_in_title: bool = True) -> None:
    person.page.evaluate("expected => { window.expectsTitle = expected; }", is_in_title)
    person.page.wait_for_function(INNOCENT)


def test_a_message_its_title_and_its_answer(alice: Person) -> None:
    alice.ask(f"repeat: {EVIL}")
    expect(alice.said.last).to_contain_text(EVIL)
    expect(alice.last).to_contain_text("<img src=x onerror=alert(1)><script>alert(2)</script>")
    expect(alice.conversations.get_by_role("link", name="repeat: <img").first).to_be_visible()
    expect_innocent(alice)
    alice.page.reload()
    expect(alice.last).to_contain_text("<script>alert(2)</script>")
    expect_innocent(alice)


def test_a_title_of_an_api_client_and_its_metadata(open_page: OpenPage) -> None:
    carol = open_page("carol")
    with carol.open_api() as api:
        metadata = {
            "eps_page_fork_at": EVIL[:60],
            "eps_page_files": EVIL[:60],
            "eps_page_template": EVIL,
            EVIL[:60]: EVIL,
        }
        made = api.post("/conversations", json={"eps:title": EVIL, "metadata": metadata})
        assert made.status_code == 200, made.text
    carol.page.goto(f"/?c={made.json()['id']}")
    expect(carol.page.get_by_role("heading", level=1)).to_have_text(EVIL)
    carol.conversations.get_by_role("button", name="Options for <img").first.click()
    carol.page.get_by_role("menuitem", name="Rename").click()
    expect(carol.page.get_by_role("textbox", name="Title")).to_have_value(EVIL)
    carol.page.keyboard.press("Escape")
    carol.conversations.get_by_role("button", name="Options for <img").first.click()
    carol.page.get_by_role("menuitem", name="Delete").click()
    expect(carol.page.get_by_role("dialog")).to_contain_text(EVIL)
    carol.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect_innocent(carol)


@pytest.mark.long
def test_thoughts_tools_and_their_results(alice: Person) -> None:
    evil = EVIL.replace('"', "'")
    with alice.open_api() as api:
        items = [
            {"role": "user", "content": evil},
            {"type": "function_call", "name": "alert_1", "arguments": f'{{"x": "{evil}"}}', "call_id": "call_1"},
            {"type": "function_call_output", "call_id": "call_1", "output": evil},
            {"role": "assistant", "content": evil},
        ]
        made = api.post("/conversations", json={"eps:title": "Calls", "items": items})
        assert made.status_code == 200, made.text
    alice.page.goto(f"/?c={made.json()['id']}")
    expect(alice.last).to_contain_text("alert_1")
    for fold in alice.last.locator("summary").all():
        fold.click()
    expect(alice.last.get_by_text("alert(2)").first).to_be_visible()
    alice.ask(f'Who are you? [[standin reason="{evil.replace("`", "")}"]]')
    alice.last.locator("summary").first.click()
    expect(alice.last.get_by_text("<script>alert(2)</script>").first).to_be_visible()
    expect_innocent(alice, is_in_title=False)


def test_the_name_of_a_file_and_its_passage(alice: Person, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.txt"
    path = tmp_path / name
    path.write_text("The notice period for the Berlin office <script>alert(2)</script> is three months.\n", "utf-8")
    with alice.page.expect_file_chooser() as chooser:
        alice.page.get_by_role("button", name="Attach files").click()
    chooser.value.set_files(path)
    expect(alice.page.get_by_role("list", name="Attachments")).to_contain_text(name)
    alice.message.fill("What is the notice period for the Berlin office?")
    expect(alice.send_button).to_be_enabled()
    alice.send_button.click()
    alice.expect_end()
    alice.last.get_by_role("button", name="Source 1").click()
    panel = alice.page.get_by_role("complementary", name="Sources")
    expect(panel).to_contain_text(name)
    expect(panel.get_by_role("article").first).to_contain_text("<script>alert(2)</script>")
    alice.page.get_by_role("button", name="Conversation options").click()
    alice.page.get_by_role("menuitem", name="Files").click()
    expect(alice.page.get_by_role("complementary", name="Files")).to_contain_text(name)
    expect_innocent(alice, is_in_title=False)


@pytest.mark.long
def test_an_error_of_the_models_server(alice: Person) -> None:
    alice.send(f"{EVIL} [[standin status=400]]")
    expect(alice.last.get_by_role("alert")).to_be_visible()
    expect_innocent(alice)


@pytest.mark.long
def test_an_address_that_names_no_conversation(open_page: OpenPage) -> None:
    alice = open_page("alice", "/?c=%3Cimg%20src=x%20onerror=alert(1)%3E")
    expect(alice.page.get_by_role("alert")).to_be_visible()
    expect_innocent(alice, is_in_title=False)
    alice.page.goto("/?c=../../page/client_secret")
    expect(alice.page.get_by_role("alert")).to_be_visible()
