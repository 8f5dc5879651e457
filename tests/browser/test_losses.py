"""What people lose when something breaks: nothing. The page says what it waits for, and goes on by itself."""

from playwright.sync_api import expect

from tests.browser.person import Person
from tests.support.site import Site

SLOW = "write 60 words [[standin token_s=0.15]]"
LOST = "The connection was lost."
OFFLINE = "You are offline."


def expect_whole(person: Person, words: int) -> None:
    """The answer has all its words, once, and so it has after a reload."""
    person.expect_end()
    text = person.last.locator(".prose").inner_text()
    assert len(text.split()) == words
    person.page.reload()
    expect(person.last.locator(".prose")).to_have_text(text)


def test_a_replica_is_killed_in_mid_answer_and_the_answer_goes_on(alice: Person, site: Site) -> None:
    alice.send(SLOW)
    expect(alice.last.locator(".prose")).not_to_be_empty()
    writer = site.get_writer()
    writer.kill()
    try:
        alice.expect_end()
        text = alice.last.locator(".prose").inner_text()
        assert len(text.split()) == 60
        assert alice.page.get_by_text(LOST).count() == 0
    finally:
        site.restart(writer)
    alice.page.reload()
    expect(alice.last.locator(".prose")).to_have_text(text)
    assert alice.answers.count() == 1


def test_every_connection_breaks_and_the_answer_goes_on(alice: Person, site: Site) -> None:
    alice.send(SLOW)
    for _ in range(3):
        words = alice.last.locator(".prose").inner_text().split() if alice.answers.count() else []
        site.balancer.reset_connections()
        alice.page.wait_for_function(
            "count => (document.querySelector('.answer .prose')?.innerText ?? '').split(/\\s+/).length > count + 3",
            arg=len(words),
        )
    expect_whole(alice, 60)


def test_a_network_that_is_gone_is_said_and_the_answer_goes_on_when_it_is_back(alice: Person) -> None:
    alice.send("write 40 words [[standin token_s=0.1]]")
    expect(alice.last.locator(".prose")).not_to_be_empty()
    alice.page.context.set_offline(True)
    expect(alice.page.get_by_role("status").filter(has_text=OFFLINE)).to_be_visible()
    expect(alice.last).to_have_attribute("aria-busy", "true")
    alice.message.fill("typed meanwhile")
    alice.page.context.set_offline(False)
    alice.expect_end()
    expect(alice.page.get_by_text(OFFLINE)).to_have_count(0)
    expect(alice.message).to_have_value("typed meanwhile")
    expect_whole(alice, 40)


def test_a_message_that_is_sent_without_a_network_is_not_lost(alice: Person) -> None:
    alice.ask("My name is Ada.")
    alice.page.context.set_offline(True)
    alice.send("What is my name?")
    expect(alice.page.get_by_role("status").filter(has_text=OFFLINE)).to_be_visible()
    alice.page.context.set_offline(False)
    alice.expect_end()
    expect(alice.last).to_contain_text("Your name is Ada.")
    expect(alice.answers).to_have_count(2)
    expect(alice.said).to_have_count(2)
