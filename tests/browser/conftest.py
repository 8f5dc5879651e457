"""A site of two replicas, a browser, and people who are signed in."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright import async_api
from playwright.async_api import async_playwright
from playwright.sync_api import Browser, StorageState, expect

from tests.browser.person import Person, sign_in
from tests.support.chromium import ARGUMENTS, Watch, find_chromium, open_chromium
from tests.support.servers import StandinServer, ValkeyServer
from tests.support.site import Site, start_site

# The machine may be busy. What is there is seen at once.
MAX_WAIT_MS = 20_000
DESK = {"width": 1280, "height": 800}
# A second one, to choose.
MODELS = '{"another": "stand-in"}'

FOLDER = Path(__file__).parent

OpenPage = Callable[..., Person]


@pytest.fixture(scope="package")
def site(standin: StandinServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site of these files: when a process goes on to others, it stops. Who kills a replica starts it again."""
    with (
        ValkeyServer(tmp_path_factory.mktemp("valkey")) as valkey,
        start_site(valkey, standin, tmp_path_factory.mktemp("site"), MODEL_ALIASES=MODELS) as running,
    ):
        yield running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that await come first: once `browser` is open, no test in this process can."""
    places = [place for place, item in enumerate(items) if FOLDER in item.path.parents]
    ordered = sorted((items[place] for place in places), key=lambda item: not awaits(item))
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def awaits(item: pytest.Item) -> bool:
    """Whether it is a coroutine."""
    return isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser of these files: to start one costs seconds of CPU."""
    expect.set_options(timeout=MAX_WAIT_MS)
    with open_chromium() as opened:
        yield opened


@pytest.fixture(scope="package")
def signed_in() -> dict[str, StorageState]:
    """The cookies of people who have signed in already: signing in is slow on purpose. Who signs out removes them."""
    return {}


@contextmanager
def open_devices(browser: Browser, site: Site, signed_in: dict[str, StorageState]) -> Iterator[OpenPage]:
    """Open the page on devices of people. At the end no page has done what it must not."""
    with ExitStack() as devices:
        watches: list[Watch] = []

        def open_device(name: str = "alice", path: str = "/", **options: Any) -> Person:
            if name not in signed_in:
                signed_in[name] = sign_in(browser, site.url, name)
            settings = {"viewport": DESK, "reduced_motion": "reduce", "storage_state": signed_in[name], **options}
            context = devices.enter_context(browser.new_context(base_url=site.url, **settings))
            context.set_default_timeout(MAX_WAIT_MS)
            watches.append(Watch(context, site.url))
            page = context.new_page()
            page.goto(path)
            return Person(page, site.url)

        yield open_device
        assert [problem for watch in watches for problem in watch.problems] == []


@pytest.fixture
def open_page(browser: Browser, site: Site, signed_in: dict[str, StorageState]) -> Iterator[OpenPage]:
    """Open the page on a device of a person's own."""
    with open_devices(browser, site, signed_in) as open_device:
        yield open_device


@pytest.fixture(scope="module")
def module_page(browser: Browser, site: Site, signed_in: dict[str, StorageState]) -> Iterator[Person]:
    """An empty page for all tests of a file that leave it as it is."""
    with open_devices(browser, site, signed_in) as open_device:
        yield open_device()


@pytest.fixture
def alice(open_page: OpenPage) -> Person:
    """Alice, with an empty page in front of her."""
    return open_page("alice")


@pytest.fixture
async def chromium() -> AsyncIterator[async_api.Browser]:
    """A browser for tests that await."""
    async_api.expect.set_options(timeout=MAX_WAIT_MS)
    async with async_playwright() as driver:
        opened = await driver.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield opened
        await opened.close()
