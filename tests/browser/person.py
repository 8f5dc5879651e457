"""What a person does with the page: things are found by their roles and names, as in docs/page.md."""

import re

import httpx
from playwright.sync_api import Browser, Locator, Page, StorageState, expect

from tests.support.site import PASSWORD

MAX_REQUEST_S = 60


def sign_in(browser: Browser, url: str, name: str) -> StorageState:
    """Sign in with the form; return the cookies."""
    with browser.new_context(base_url=url) as context:
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("textbox", name="Message")).to_be_visible()
        return context.storage_state()


class Person:
    """A person in front of the page, on one device."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.conversations = page.get_by_role("navigation", name="Conversations")
        self.talk = page.get_by_role("region", name="Conversation", exact=True)
        self.message = page.get_by_role("textbox", name="Message", exact=True)
        self.send_button = page.get_by_role("button", name="Send", exact=True)
        self.stop_button = page.get_by_role("button", name="Stop", exact=True)

    @property
    def answers(self) -> Locator:
        return self.talk.get_by_role("article", name="Answer")

    @property
    def said(self) -> Locator:
        return self.talk.get_by_role("article", name="You")

    @property
    def last(self) -> Locator:
        """The newest answer."""
        return self.answers.last

    def send(self, text: str) -> None:
        """Type and send; the answer begins."""
        self.message.fill(text)
        self.send_button.click()

    def ask(self, text: str) -> Locator:
        """Send, and wait for the end of the answer; return it."""
        count = self.answers.count()
        self.send(text)
        expect(self.answers).to_have_count(count + 1)
        self.expect_end()
        return self.last

    def expect_end(self) -> None:
        """The newest answer is whole."""
        expect(self.last).to_have_attribute("aria-busy", "false")
        expect(self.send_button).to_be_visible()

    @property
    def conversation_id(self) -> str:
        """Of the conversation that is open: it is in the address."""
        expect(self.page).to_have_url(re.compile(r"\?c=conv_"))
        return self.page.url.partition("?c=")[2]

    def open_again(self, other: "Person") -> None:
        """Open what another device has open."""
        self.page.goto(f"/?c={other.conversation_id}")

    def open_api(self) -> httpx.Client:
        """The API with a client secret of this person's, as the page itself has one."""
        [csrf] = [each["value"] for each in self.page.context.cookies() if each.get("name") == "csrftoken"]
        answer = self.page.request.post("/page/client_secret", headers={"X-CSRFToken": csrf})
        assert answer.ok, answer.text()
        headers = {"Authorization": f"Bearer {answer.json()['value']}"}
        return httpx.Client(base_url=f"{self.url}/v1", headers=headers, timeout=MAX_REQUEST_S)
