"""The list of conversations, and long ones: found, renamed, exported, deleted; read in pages."""

import json
import re

import httpx
import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenPage
from tests.browser.person import Person

ITEMS = 10_000
AT_ONCE = 1_000


def make_conversation(api: httpx.Client, title: str, items: int = 0) -> str:
    """A conversation of questions and answers, over the API."""
    conversation_id = str(api.post("/conversations", json={"eps:title": title}).json()["id"])
    for start in range(0, items, AT_ONCE):
        said = [
            {"role": "assistant" if number % 2 else "user", "content": f"This is item {number} of **many**."}
            for number in range(start, start + min(AT_ONCE, items - start))
        ]
        assert api.post(f"/conversations/{conversation_id}/items", json={"items": said}).status_code == 200
    return conversation_id


def link(person: Person, title: str) -> Locator:
    return person.conversations.get_by_role("link", name=title, exact=True)


def choose(person: Person, title: str, action: str) -> None:
    """Open the menu of a conversation in the list, and choose."""
    person.conversations.get_by_role("button", name=f"Options for {title}").click()
    person.page.get_by_role("menuitem", name=action).click()


def test_a_conversation_has_its_first_words_as_title_until_it_is_renamed(open_page: OpenPage) -> None:
    bob = open_page("bob")
    bob.ask("Tell me about rivers, please.")
    expect(link(bob, "Tell me about rivers, please.")).to_have_attribute("aria-current", "page")
    choose(bob, "Tell me about rivers, please.", "Rename")
    dialog = bob.page.get_by_role("dialog", name="Rename conversation")
    field = dialog.get_by_role("textbox", name="Title")
    expect(field).to_have_value("Tell me about rivers, please.")
    field.fill("Rivers")
    dialog.get_by_role("button", name="Save").click()
    expect(link(bob, "Rivers")).to_be_visible()
    expect(bob.page.get_by_role("heading", name="Rivers", level=1)).to_be_visible()
    expect(bob.page).to_have_title(re.compile("^Rivers"))
    bob.page.reload()
    expect(link(bob, "Rivers")).to_have_attribute("aria-current", "page")


@pytest.mark.long
def test_a_new_title_is_seen_in_every_tab(open_page: OpenPage) -> None:
    bob = open_page("bob")
    bob.ask("Where is Oslo?")
    tab = Person(bob.page.context.new_page(), bob.url)
    tab.open_again(bob)
    expect(tab.answers).to_have_count(1)
    choose(bob, "Where is Oslo?", "Rename")
    bob.page.get_by_role("textbox", name="Title").fill("Oslo")
    bob.page.get_by_role("button", name="Save").click()
    expect(tab.page.get_by_role("heading", name="Oslo", level=1)).to_be_visible()
    expect(link(tab, "Oslo")).to_have_attribute("aria-current", "page")


def test_a_search_finds_by_title(open_page: OpenPage) -> None:
    bob = open_page("bob")
    with bob.open_api() as api:
        for title in ("A walk in Lisbon", "Tax returns", "Lisbon, second day"):
            make_conversation(api, title)
    bob.page.get_by_role("searchbox", name="Search conversations").fill("lisbon")
    expect(link(bob, "Tax returns")).to_have_count(0)
    expect(link(bob, "A walk in Lisbon")).to_be_visible()
    expect(link(bob, "Lisbon, second day")).to_be_visible()
    bob.page.get_by_role("searchbox").press("ArrowDown")
    bob.page.keyboard.press("Enter")
    expect(bob.page.get_by_role("heading", level=1)).to_contain_text("Lisbon")
    bob.page.get_by_role("searchbox").fill("nothing has this title")
    expect(bob.conversations.get_by_text("Nothing was found.")).to_be_visible()


def test_a_conversation_is_deleted_when_that_is_confirmed(open_page: OpenPage) -> None:
    bob = open_page("bob")
    bob.ask("Delete me later.")
    conversation_id = bob.conversation_id
    choose(bob, "Delete me later.", "Delete")
    dialog = bob.page.get_by_role("dialog", name="Delete conversation?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(link(bob, "Delete me later.")).to_be_visible()
    choose(bob, "Delete me later.", "Delete")
    dialog.get_by_role("button", name="Delete").click()
    expect(link(bob, "Delete me later.")).to_have_count(0)
    expect(bob.said).to_have_count(0)
    with bob.open_api() as api:
        assert api.get(f"/conversations/{conversation_id}").status_code == 404
    bob.page.goto(f"/?c={conversation_id}")
    expect(bob.page.get_by_role("alert")).to_contain_text("This conversation does not exist")


def test_a_conversation_is_exported(open_page: OpenPage) -> None:
    bob = open_page("bob")
    bob.ask("My name is Bob.")
    with bob.page.expect_download() as download:
        choose(bob, "My name is Bob.", "Export as JSON")
    exported = json.loads(download.value.path().read_text("utf-8"))
    assert exported["object"] == "conversation.export"
    assert len(exported["items"]) == 2
    assert download.value.suggested_filename == "My-name-is-Bob.json"
    with bob.page.expect_download() as download:
        choose(bob, "My name is Bob.", "Export as Markdown")
    assert "My name is Bob." in download.value.path().read_text("utf-8")


def test_a_long_list_is_read_as_one_scrolls(open_page: OpenPage) -> None:
    carol = open_page("carol")
    with carol.open_api() as api:
        for number in range(90):
            make_conversation(api, f"Conversation number {number}")
    carol.page.reload()
    expect(link(carol, "Conversation number 89")).to_be_visible()
    links = carol.conversations.get_by_role("link", name=re.compile("^Conversation number"))
    assert links.count() < 90
    for _ in range(4):
        links.last.scroll_into_view_if_needed()
        carol.page.wait_for_timeout(100)
    expect(link(carol, "Conversation number 0")).to_be_attached()


@pytest.mark.long
def test_a_page_of_one_family_does_not_end_the_list(open_page: OpenPage) -> None:
    dora = open_page("dora")
    with dora.open_api() as api:
        make_conversation(api, "An old one")
        root = make_conversation(api, "With many versions")
        for _ in range(90):
            assert api.post("/conversations", json={"metadata": {"eps_page_root": root}}).status_code == 200
    dora.page.reload()
    expect(link(dora, "An old one")).to_be_visible()
    expect(link(dora, "With many versions")).to_have_count(1)


def test_what_others_say_is_not_there(open_page: OpenPage) -> None:
    bob, carol = open_page("bob"), open_page("carol")
    bob.ask("This is Bob's secret.")
    carol.open_again(bob)
    expect(carol.page.get_by_role("alert")).to_contain_text("This conversation does not exist")


def test_ten_thousand_items_open_at_once_and_scroll(open_page: OpenPage) -> None:
    bob = open_page("bob")
    with bob.open_api() as api:
        conversation_id = make_conversation(api, "A long talk", ITEMS)
    bob.page.goto(f"/?c={conversation_id}")
    expect(bob.last).to_contain_text(f"item {ITEMS - 1} of many")
    expect(bob.last).to_be_in_viewport()
    # As a person who wants to see the beginning: the page before comes again and again.
    for pages in range(1, 6):
        bob.talk.evaluate("region => region.scrollTo(0, 0)")
        bob.page.wait_for_function(f"() => {OLDEST} < {ITEMS} - 100 * {pages}")
    measured = bob.page.evaluate(MEASURE)
    assert measured["worst_ms"] < 500, measured
    assert measured["elements"] < 3_000, measured
    bob.talk.hover()
    bob.page.mouse.wheel(0, -3_000)
    bob.page.get_by_role("button", name="Jump to the end").click()
    expect(bob.last).to_contain_text(f"item {ITEMS - 1} of many")
    expect(bob.last).to_be_in_viewport()
    bob.send("count to 3")
    expect(bob.last).to_contain_text("1 2 3")
    expect(bob.last).to_be_in_viewport()


# The number of the oldest item that is drawn.
OLDEST = "Number(/item ([0-9]+)/.exec(document.querySelector('#thread article')?.innerText)?.[1] ?? Infinity)"
# The longest time between two frames while the conversation is scrolled from one end to the other.
MEASURE = """async () => {
  const region = document.querySelector('#scroller');
  let [worst_ms, last] = [0, performance.now()];
  for (let step = 0; step <= 60; step += 1) {
    region.scrollTo(0, region.scrollHeight * (step / 60) - 1);
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const now = performance.now();
    worst_ms = Math.max(worst_ms, now - last);
    last = now;
  }
  return { worst_ms, elements: document.querySelectorAll('*').length };
}"""
