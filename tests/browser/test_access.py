"""For everybody: keyboard alone, a screen reader, a small screen, a dark room, no movement."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.person import Person
from tests.support.npm import install_npm_packages
from tests.support.processes import REPO_ROOT

PACKAGE = REPO_ROOT / "tests/browser"
# One package: 2 s with a warm cache, once.
MAX_INSTALL_S = 90

RICH = """repeat: # Title

Words with `code`, $x^2$, a [link](https://example.com) and **more**.

| a | b |
|---|---|
| 1 | 2 |

- [ ] to do
- [x] done

```python
def long(): return "a line that is longer than a phone is wide, so that its block of code can be scrolled sideways"
```
"""
SMALL = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    install_npm_packages(PACKAGE, within_s=MAX_INSTALL_S)
    return (PACKAGE / "node_modules/axe-core/axe.min.js").read_text("utf-8")


def find_obstacles(page: Page, axe: str) -> list[Any]:
    """What axe-core finds serious or critical, by rule and place."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        (each["id"], each["help"], [node["target"] for node in each["nodes"]])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_nobody_is_kept_out(open_page: OpenPage, axe: str, scheme: str) -> None:
    stranger = open_page("alice", storage_state=None, color_scheme=scheme)
    expect(stranger.page.get_by_role("button", name="Sign in")).to_be_visible()
    assert find_obstacles(stranger.page, axe) == []
    alice = open_page("alice", color_scheme=scheme)
    expect(alice.message).to_be_focused()
    assert find_obstacles(alice.page, axe) == []
    alice.ask('Who are you? [[standin reason="First I look."]]')
    alice.ask(RICH)
    expect(alice.last.get_by_role("list", name="Suggested questions")).to_be_visible()
    alice.answers.first.locator("summary").click()
    alice.last.get_by_role("button", name="Details").click()
    expect(alice.page.get_by_role("complementary").get_by_text("Tokens")).to_be_visible()
    assert find_obstacles(alice.page, axe) == []
    alice.page.keyboard.press("Escape")
    alice.page.get_by_role("button", name="Conversation options").click()
    expect(alice.page.get_by_role("menuitem", name="Rename")).to_be_visible()
    assert find_obstacles(alice.page, axe) == []
    alice.page.get_by_role("menuitem", name="Rename").click()
    expect(alice.page.get_by_role("dialog")).to_be_visible()
    assert find_obstacles(alice.page, axe) == []
    alice.page.keyboard.press("Escape")
    alice.page.get_by_role("button", name="Templates", exact=True).click()
    expect(alice.page.get_by_role("dialog", name="Templates").get_by_role("button", name="Cancel")).to_be_visible()
    assert find_obstacles(alice.page, axe) == []
    alice.page.keyboard.press("Escape")
    alice.message.press("ArrowUp")
    expect(alice.talk.get_by_role("textbox", name="Edited message")).to_be_focused()
    assert find_obstacles(alice.page, axe) == []


def test_all_of_it_is_done_with_the_keyboard(alice: Person) -> None:
    keyboard = alice.page.keyboard
    expect(alice.message).to_be_focused()
    keyboard.type("My name is Ada.")
    keyboard.press("Shift+Enter")
    keyboard.type("I am new here.")
    keyboard.press("Enter")
    expect(alice.said.last).to_contain_text("My name is Ada.\nI am new here.", use_inner_text=True)
    alice.expect_end()
    expect(alice.message).to_be_focused()
    keyboard.type("write 100 words [[standin token_s=0.2]]")
    keyboard.press("Enter")
    expect(alice.last.locator(".prose")).not_to_be_empty()
    keyboard.press("Escape")
    expect(alice.last).to_contain_text("Stopped.")
    expect(alice.message).to_be_focused()
    expect(alice.said.last.get_by_role("button", name="Edit message")).to_be_visible()
    keyboard.press("ArrowUp")
    edited = alice.talk.get_by_role("textbox", name="Edited message")
    expect(edited).to_be_focused()
    keyboard.press("Escape")
    expect(edited).to_have_count(0)
    alice.last.get_by_role("button", name="Copy answer").focus()
    keyboard.press("Tab")
    expect(alice.last.get_by_role("button", name="Good answer")).to_be_focused()
    keyboard.press("Enter")
    expect(alice.last.get_by_role("textbox", name="Comment")).to_be_focused()


@pytest.mark.long
def test_every_place_is_reached_with_tab_and_shows_it(open_page: OpenPage) -> None:
    dora = open_page("dora")  # who has few conversations to tab over
    dora.ask("My name is Ada.")
    expect(dora.last.get_by_role("list", name="Suggested questions")).to_be_visible()
    reached = set()
    dora.page.locator("body").focus()
    for _ in range(150):
        dora.page.keyboard.press("Tab")
        reached.add(dora.page.evaluate(FOCUSED))
    wanted = ["New conversation", "Search conversations", "Conversation options", "Copy answer", "Details", "Message"]
    assert [name for name in wanted if not any(name in (one or "") for one in reached)] == []
    assert "no outline" not in reached


# The name of what has the focus; whether a person can see that it has it.
FOCUSED = """() => {
  const focused = document.activeElement;
  if (!focused || focused === document.body) return null;
  const name = focused.getAttribute('aria-label') ?? focused.textContent.trim();
  const around = [focused, focused.parentElement, focused.closest('form')].filter(Boolean);
  const isShown = around.map((each) => getComputedStyle(each))
    .some((style) => style.outlineStyle !== 'none' || style.boxShadow !== 'none');
  return isShown ? name : 'no outline';
}"""


def test_the_first_tab_leads_to_the_message_and_changes_no_address(alice: Person) -> None:
    alice.ask("My name is Ada.")
    address = alice.page.url
    alice.page.evaluate("document.activeElement.blur()")
    alice.page.get_by_role("link", name="Skip to the message").focus()
    alice.page.keyboard.press("Enter")
    expect(alice.message).to_be_focused()
    assert alice.page.url == address


def test_the_shortcuts_are_told(alice: Person) -> None:
    alice.page.get_by_role("button", name="Account").click()
    alice.page.get_by_role("menuitem", name="Keyboard shortcuts").click()
    dialog = alice.page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_visible()
    alice.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(alice.page.get_by_role("button", name="Account")).to_be_focused()


def test_a_small_screen_shows_everything_without_scrolling_sideways(open_page: OpenPage) -> None:
    phone = open_page("alice", viewport=SMALL, has_touch=True, is_mobile=True)
    phone.ask(RICH)
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
    for name in ("Attach files", "Templates", "Send", "Conversation options", "Show conversations"):
        expect(phone.page.get_by_role("button", name=name, exact=True)).to_be_in_viewport()
    phone.page.get_by_role("button", name="Show conversations").click()
    expect(phone.conversations.get_by_role("link").nth(1)).to_be_in_viewport()
    phone.page.get_by_role("button", name="Hide conversations").click()
    phone.last.get_by_role("button", name="Details").click()
    panel = phone.page.get_by_role("complementary", name="Details")
    expect(panel).to_be_in_viewport()
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()


def test_nothing_moves_for_who_wants_no_movement(open_page: OpenPage) -> None:
    alice = open_page("alice", reduced_motion="reduce")
    alice.send("write 30 words [[standin first_token_s=1 token_s=0.1]]")
    expect(alice.last).to_have_attribute("aria-busy", "true")
    moving = alice.page.evaluate(MOVING)
    assert moving == []
    alice.expect_end()


# Animations that go on, or take long enough to be seen.
MOVING = """() => document.getAnimations().filter((each) => {
  const { duration, iterations } = each.effect.getComputedTiming();
  return iterations === Infinity ? duration > 10 : duration > 10;
}).map((each) => `${each.animationName ?? each.transitionProperty} of ${each.effect.target.className}`)"""


def test_a_screen_reader_hears_the_end_and_not_every_word(alice: Person) -> None:
    alice.page.evaluate(
        """() => {
          window.heard = [];
          for (const place of document.querySelectorAll('[role=status], [aria-live]'))
            new MutationObserver(() => window.heard.push(place.textContent))
              .observe(place, { childList: true, characterData: true, subtree: true });
        }"""
    )
    alice.ask("write 30 words")
    alice.page.wait_for_function("() => window.heard.includes('The answer is complete.')")
    heard = alice.page.evaluate("window.heard")
    assert len(heard) < 10, json.dumps(heard)
    assert alice.last.locator("[aria-live]").count() == 0
