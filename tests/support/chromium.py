"""Chromium for tests: found, started, and watched for what no page may do."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, sync_playwright

from tests.support.missing import give_up

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW_TO_GET_IT = "sudo apt-get install --yes chromium"
# Root needs `--no-sandbox`; the shared memory of a container is small.
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


def find_chromium() -> str:
    """The path of the browser: `CHROMIUM`, or of a name on the PATH. Without it CI fails, and others skip."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        give_up(f"there is no Chromium: {HOW_TO_GET_IT}")
    return found


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """A browser without windows."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Watch:
    """What a page must never do: fail in a script, break its policy, ask another host, open a dialog."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.problems: list[str] = []
        self._host = urlsplit(url).netloc
        context.on("page", self._watch)
        context.on("request", lambda request: self._check_address(request.url))

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.problems.append(f"{error.name}: {error.message}\n{error.stack}"))
        page.on("console", self._read)
        page.on("dialog", self._refuse)

    def _read(self, message: ConsoleMessage) -> None:
        # That a request failed is told by the page, to people; the console tells it in any case.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def _refuse(self, dialog: Dialog) -> None:
        if dialog.type != "beforeunload":
            self.problems.append(f"dialog: {dialog.message}")
        dialog.accept()

    def _check_address(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("data", "blob") and parts.netloc != self._host:
            self.problems.append(f"another host: {address}")
