"""Talking: an answer comes word by word, is stopped, goes on after a reload, on another device and in another tab."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Route, StorageState, expect

from tests.browser.conftest import OpenPage
from tests.browser.person import Person
from tests.support.service import manage
from tests.support.site import Site

# Twenty seconds of words: long enough to do something meanwhile on a busy machine.
SLOW = "write 100 words [[standin token_s=0.2]]"


def test_the_first_answer_comes_with_its_markdown(alice: Person) -> None:
    answer = alice.ask(
        "repeat: # Title\n\nA **bold** word, $x^2$, [a link](https://example.com).\n\n```python\nx = 1\n```"
    )
    expect(answer.get_by_role("heading", name="Title")).to_be_visible()
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer.locator("math msup")).to_be_visible()
    expect(answer.get_by_role("link", name="a link")).to_have_attribute("rel", "noopener noreferrer")
    expect(answer.locator("code .code-number")).to_have_text("1")
    expect(answer.get_by_role("button", name="Copy code")).to_be_visible()


def test_an_answer_is_seen_while_it_is_written_and_stopped(alice: Person) -> None:
    alice.send(SLOW)
    expect(alice.last).to_have_attribute("aria-busy", "true")
    expect(alice.last.locator(".prose")).not_to_be_empty()
    expect(alice.stop_button).to_be_visible()
    alice.stop_button.click()
    alice.expect_end()
    expect(alice.last).to_contain_text("Stopped.")
    expect(alice.message).to_be_focused()
    text = alice.last.locator(".prose").inner_text()
    assert 0 < len(text.split()) < 100
    alice.page.reload()
    expect(alice.last.locator(".prose")).to_have_text(text)


@pytest.mark.long
def test_the_first_answer_is_stopped_before_its_conversation_is_made(alice: Person) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    with alice.page.expect_request("**/v1/conversations"):
        alice.page.route("**/v1/conversations", hold, times=1)
        alice.send(SLOW)
    alice.stop_button.click()
    held[0].continue_()
    alice.expect_end()
    expect(alice.last).to_contain_text("Stopped.")


def test_a_reload_in_mid_answer_goes_on_where_it_was(alice: Person) -> None:
    alice.send("write 40 words [[standin token_s=0.15]]")
    expect(alice.last.locator(".prose")).to_have_text(re.compile(r"(\w+\W+){4}"))
    before = alice.last.locator(".prose").inner_text().split()
    alice.page.reload()
    expect(alice.last).to_have_attribute("aria-busy", "true")
    expect(alice.stop_button).to_be_visible()
    alice.expect_end()
    words = alice.last.locator(".prose").inner_text().split()
    assert len(words) == 40
    assert words[: len(before) - 1] == before[:-1]
    assert alice.said.count() == 1


def test_another_device_follows_the_same_answer(alice: Person, open_page: OpenPage) -> None:
    alice.send("write 40 words [[standin token_s=0.15]]")
    expect(alice.last.locator(".prose")).not_to_be_empty()
    phone = open_page("alice", f"/?c={alice.conversation_id}", viewport={"width": 390, "height": 844})
    expect(phone.last).to_have_attribute("aria-busy", "true")
    expect(phone.said).to_contain_text("write 40 words")
    alice.expect_end()
    phone.expect_end()
    expect(phone.last.locator(".prose")).to_have_text(alice.last.locator(".prose").inner_text())


def test_a_second_tab_sees_a_turn_that_begins_in_the_first(alice: Person) -> None:
    alice.ask("My name is Ada.")
    tab = Person(alice.page.context.new_page(), alice.url)
    tab.open_again(alice)
    expect(tab.answers).to_have_count(1)
    alice.send("write 30 words [[standin token_s=0.2]]")
    expect(tab.answers).to_have_count(2)
    expect(tab.last).to_have_attribute("aria-busy", "true")
    tab.stop_button.click()
    alice.expect_end()
    tab.expect_end()
    expect(alice.last).to_contain_text("Stopped.")
    tab.ask("What is my name?")
    expect(alice.last).to_contain_text("Your name is Ada.")


@pytest.mark.long
def test_another_device_sees_within_seconds_what_was_said(alice: Person, open_page: OpenPage) -> None:
    alice.ask("My name is Ada.")
    phone = open_page("alice", f"/?c={alice.conversation_id}")
    expect(phone.answers).to_have_count(1)
    phone.ask("What is my name?")
    expect(alice.last).to_contain_text("Your name is Ada.")


def test_what_is_typed_is_kept_over_a_reload_and_for_each_conversation(alice: Person) -> None:
    alice.message.fill("for a new one")
    alice.page.reload()
    expect(alice.message).to_have_value("for a new one")
    alice.ask("My name is Ada.")
    alice.message.fill("half a thought")
    alice.conversations.get_by_role("link", name="New conversation", exact=True).click()
    expect(alice.message).to_have_value("")
    alice.page.go_back()
    expect(alice.message).to_have_value("half a thought")


def test_a_refused_answer_says_what_to_do_and_is_tried_again(alice: Person) -> None:
    alice.send("Hello [[standin status=400 code=context_length_exceeded fail=1 key=refused]]")
    alert = alice.last.get_by_role("alert")
    expect(alert).to_contain_text("more text than the model can take")
    alert.get_by_role("button", name="Try again").click()
    alice.expect_end()
    expect(alice.last).to_contain_text("You said: Hello")
    expect(alice.answers).to_have_count(1)


def test_a_model_that_breaks_off_is_told_with_what_it_wrote(alice: Person) -> None:
    alice.send("write 30 words [[standin cut_after=10]]")
    expect(alice.last.get_by_role("alert")).to_be_visible()
    expect(alice.last.locator(".prose")).not_to_be_empty()
    expect(alice.message).to_be_enabled()


def test_thoughts_are_folded_and_can_be_opened(alice: Person) -> None:
    answer = alice.ask('Who are you? [[standin reason="First I look at the question."]]')
    thoughts = answer.locator("details", has_text="Thoughts")
    expect(thoughts).not_to_have_attribute("open", "")
    expect(thoughts.get_by_text("First I look")).to_be_hidden()
    thoughts.locator("summary").click()
    expect(thoughts.get_by_text("First I look at the question.")).to_be_visible()


def test_questions_are_suggested_and_asked_with_a_click(alice: Person) -> None:
    answer = alice.ask("My name is Ada.")
    chips = answer.get_by_role("list", name="Suggested questions").get_by_role("button")
    expect(chips).to_have_count(3)
    question = chips.first.inner_text()
    chips.first.click()
    expect(alice.said.last).to_contain_text(question)
    alice.expect_end()
    expect(alice.answers).to_have_count(2)


@pytest.mark.long
def test_a_suggested_question_leaves_alone_what_is_being_typed(alice: Person) -> None:
    answer = alice.ask("My name is Ada.")
    chips = answer.get_by_role("list", name="Suggested questions").get_by_role("button")
    expect(chips).to_have_count(3)
    alice.message.fill("half a thought")
    chips.first.click()
    expect(alice.message).to_be_focused()
    expect(alice.answers).to_have_count(2)
    alice.expect_end()
    expect(alice.message).to_have_value("half a thought")
    alice.page.reload()
    expect(alice.message).to_have_value("half a thought")


@pytest.mark.long
def test_a_comment_that_does_not_arrive_stays_in_its_field(alice: Person) -> None:
    answer = alice.ask("My name is Ada.")
    answer.get_by_role("button", name="Good answer").click()
    comment = answer.get_by_role("textbox", name="Comment")
    comment.fill("Just right.")
    alice.page.context.set_offline(True)
    answer.get_by_role("button", name="Send comment").click()
    expect(alice.page.locator("#toasts")).to_contain_text("You are offline.")
    expect(comment).to_have_value("Just right.")
    alice.page.context.set_offline(False)
    answer.get_by_role("button", name="Send comment").click()
    expect(answer.get_by_text("Thank you.")).to_be_visible()
    expect(answer.get_by_role("button", name="Good answer")).to_be_focused()


def test_feedback_stays(alice: Person) -> None:
    answer = alice.ask("My name is Ada.")
    bad = answer.get_by_role("button", name="Bad answer")
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "true")
    answer.get_by_role("textbox", name="Comment").fill("Too short.")
    answer.get_by_role("button", name="Send comment").click()
    expect(answer.get_by_text("Thank you.")).to_be_visible()
    alice.page.reload()
    expect(alice.last.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    with alice.open_api() as api:
        [_, message] = api.get(f"/conversations/{alice.conversation_id}/items?order=asc").json()["data"]
        response_id = f"resp_{message['id'].partition('_')[2][:32]}"
        assert api.get(f"/responses/{response_id}/feedback").json()["comment"] == "Too short."


def test_details_tell_tokens_and_what_was_left_out_and_ignored(alice: Person) -> None:
    alice.ask("My name is Ada.")
    with alice.open_api() as api:
        conversation = {"conversation": alice.conversation_id}
        long_words = [{"role": "user", "content": "word " * 8_000}] * 2
        assert api.post(f"/conversations/{alice.conversation_id}/items", json={"items": long_words}).status_code == 200
        asked = {"input": "Who are you?", "unheard_of": 1, **conversation}
        assert api.post("/responses", json=asked).json()["eps:ignored"] == ["unheard_of"]
    expect(alice.answers).to_have_count(2)
    alice.last.get_by_role("button", name="Details").click()
    panel = alice.page.get_by_role("complementary", name="Details")
    for text in ("Tokens", "Read", "Written", "Left out, for want of room", "unheard_of", "Model"):
        expect(panel.get_by_text(text, exact=True).first).to_be_visible()
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()
    expect(alice.last.get_by_role("button", name="Details")).to_be_focused()


def test_a_model_is_chosen_and_kept(alice: Person) -> None:
    models = alice.page.get_by_role("combobox", name="Model")
    expect(models).to_contain_text("stand-in")
    names = models.get_by_role("option").all_inner_texts()
    assert not any("embedding" in name for name in names)
    models.select_option("another")
    with alice.page.expect_request(lambda request: request.url.endswith("/v1/responses")) as asked:
        alice.ask("My name is Ada.")
    assert json.loads(asked.value.post_data or "")["model"] == "another"
    alice.page.reload()
    expect(models).to_have_value("another")


@pytest.mark.long
def test_an_answer_is_copied(alice: Person) -> None:
    alice.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = alice.ask("repeat: some **bold** words\n\n```\ncode\n```")
    answer.get_by_role("button", name="Copy answer").click()
    read = "navigator.clipboard.readText()"
    assert alice.page.evaluate(read) == "some **bold** words\n\n```\ncode\n```"
    answer.get_by_role("button", name="Copy code").click()
    assert alice.page.evaluate(read) == "code"


def test_who_is_not_signed_in_comes_to_the_form_and_back(open_page: OpenPage) -> None:
    stranger = open_page("alice", "/?c=conv_unknown", storage_state=None)
    expect(stranger.page.get_by_role("button", name="Sign in")).to_be_visible()
    assert "next=" in stranger.page.url


@pytest.mark.long
def test_signing_out_ends_the_page_in_every_tab(open_page: OpenPage, signed_in: dict[str, StorageState]) -> None:
    dora = open_page("dora")
    del signed_in["dora"]
    dora.ask("My name is Dora.")
    tab = Person(dora.page.context.new_page(), dora.url)
    tab.open_again(dora)
    expect(tab.answers).to_have_count(1)
    tab.page.get_by_role("button", name="Account").click()
    tab.page.get_by_role("menuitem", name="Sign out").click()
    expect(tab.page.get_by_role("button", name="Sign in")).to_be_visible()
    dora.send("Am I still here?")
    expect(dora.page.get_by_text("You are signed out.").first).to_be_visible()


NAMESAKES = """
from django.contrib.auth.models import User
User.objects.filter(username__in=["bob", "carol"]).update(first_name="Sam", last_name="Smith")
"""


@pytest.mark.long
def test_people_with_the_same_name_share_no_draft(open_page: OpenPage, site: Site) -> None:
    manage(site.environment, "shell", "--command", NAMESAKES)
    bob, carol = open_page("bob"), open_page("carol")
    bob.message.fill("nobody else's business")
    cookies: Any = carol.page.context.cookies()
    bob.page.context.clear_cookies()
    bob.page.context.add_cookies(cookies)
    bob.page.reload()
    expect(bob.page.get_by_role("button", name="Account: Sam Smith")).to_be_visible()
    expect(bob.message).to_have_value("")
