"""Another way: a message is edited, an answer asked for again, and one walks between the versions."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.person import Person
from tests.browser.test_files import PICTURE, attach


def versions(article: Locator) -> Locator:
    return article.get_by_role("group", name="Versions")


def edit(person: Person, said: Locator, text: str) -> None:
    """Edit a message, and wait for the new answer."""
    said.hover()
    said.get_by_role("button", name="Edit message").click()
    field = person.talk.get_by_role("textbox", name="Edited message")
    expect(field).to_be_focused()
    field.fill(text)
    person.talk.get_by_role("button", name="Send edited message").click()
    expect(person.said.get_by_text(text)).to_be_visible()
    person.expect_end()


def test_an_edited_message_is_another_version_and_both_are_kept(alice: Person) -> None:
    alice.ask("My name is Ada.")
    alice.ask("What is my name?")
    first = alice.conversation_id
    edit(alice, alice.said.nth(0), "My name is Grace.")
    expect(alice.said).to_have_count(1)
    assert alice.conversation_id != first
    alice.ask("What is my name?")
    expect(alice.last).to_contain_text("Your name is Grace.")
    expect(versions(alice.said.nth(0))).to_contain_text("2/2")
    versions(alice.said.nth(0)).get_by_role("button", name="Previous version").click()
    expect(alice.said.nth(0)).to_contain_text("My name is Ada.")
    expect(alice.last).to_contain_text("Your name is Ada.")
    expect(versions(alice.said.nth(0))).to_contain_text("1/2")
    versions(alice.said.nth(0)).get_by_role("button", name="Next version").click()
    expect(alice.last).to_contain_text("Your name is Grace.")
    alice.page.go_back()
    expect(alice.last).to_contain_text("Your name is Ada.")
    alice.page.reload()
    expect(versions(alice.said.nth(0))).to_contain_text("1/2")
    entries = alice.conversations.get_by_role("link", name="My name is Ada.")
    expect(alice.conversations.locator("[aria-current=page]")).to_have_count(1)
    assert entries.count() >= 1


def test_a_later_message_is_edited_and_what_came_before_stays(alice: Person) -> None:
    alice.ask("My name is Ada.")
    alice.ask("count to 3")
    edit(alice, alice.said.nth(1), "What is my name?")
    expect(alice.said).to_have_count(2)
    expect(alice.last).to_contain_text("Your name is Ada.")
    expect(versions(alice.said.nth(1))).to_contain_text("2/2")
    expect(versions(alice.said.nth(0))).to_have_count(0)
    edit(alice, alice.said.nth(1), "count to 4")
    expect(versions(alice.said.nth(1))).to_contain_text("3/3")
    expect(alice.last).to_contain_text("1 2 3 4")


def test_an_answer_is_asked_for_again_and_again(alice: Person) -> None:
    alice.ask("write 5 words")
    for count in ("2/2", "3/3"):
        alice.last.get_by_role("button", name="Ask again").click()
        expect(versions(alice.last)).to_contain_text(count)
        alice.expect_end()
    expect(alice.said).to_have_count(1)
    versions(alice.last).get_by_role("button", name="Previous version").click()
    expect(versions(alice.last)).to_contain_text("2/3")
    versions(alice.last).get_by_role("button", name="Previous version").click()
    expect(versions(alice.last)).to_contain_text("1/3")
    expect(versions(alice.last).get_by_role("button", name="Previous version")).to_be_disabled()


@pytest.mark.long
def test_editing_can_be_left(alice: Person) -> None:
    alice.ask("My name is Ada.")
    alice.said.nth(0).hover()
    alice.said.nth(0).get_by_role("button", name="Edit message").click()
    alice.talk.get_by_role("textbox", name="Edited message").fill("something else")
    alice.talk.get_by_role("button", name="Cancel").click()
    expect(alice.said.nth(0)).to_contain_text("My name is Ada.")


@pytest.mark.long
def test_what_is_typed_stays_while_one_asks_again_and_a_second_click_asks_no_second_time(alice: Person) -> None:
    alice.ask("write 5 words")
    alice.message.fill("half a thought")
    alice.last.get_by_role("button", name="Ask again").dblclick()
    expect(versions(alice.last)).to_contain_text("2/2")
    alice.expect_end()
    expect(alice.message).to_have_value("half a thought")
    alice.page.reload()
    expect(versions(alice.last)).to_contain_text("2/2")
    expect(alice.message).to_have_value("half a thought")
    versions(alice.last).get_by_role("button", name="Previous version").click()
    expect(versions(alice.last)).to_contain_text("1/2")
    expect(alice.message).to_have_value("half a thought")


@pytest.mark.long
def test_a_message_with_a_picture_is_edited_and_keeps_it(alice: Person, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    picture.write_bytes(PICTURE)
    attach(alice, picture)
    expect(alice.send_button).to_be_enabled()
    alice.ask("What do you see?")
    edit(alice, alice.said.nth(0), "What do you see now?")
    expect(alice.said.last.get_by_role("img")).to_be_visible()
    expect(alice.answers.last).to_contain_text("1 image")
