"""How the page comes to a browser: by a link, in few bytes, under a strict policy, and as the image serves it."""

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.browser.conftest import OpenPage
from tests.browser.person import Person, sign_in
from tests.support.chromium import Watch
from tests.support.processes import REPO_ROOT
from tests.support.servers import Replica
from tests.support.service import manage
from tests.support.site import Site

MAX_SCRIPT_BYTES = 150_000
MAX_COLLECT_S = 60
# With code and mathematics in it, all libraries come.
EVERYTHING = "repeat: $x^2$\n\n```python\nx = 1\n```"


def test_a_link_signs_the_newcomer_in_once(browser: Browser, site: Site) -> None:
    link = manage(site.environment, "sign_in_link", "alice", "--url", site.url).strip()
    with browser.new_context() as context:
        watch = Watch(context, site.url)
        page = context.new_page()
        page.goto(link)
        expect(page.get_by_role("textbox", name="Message")).to_be_visible()
        expect(page.get_by_role("button", name="Account")).to_contain_text("alice")
        assert "alice" not in page.url
        assert watch.problems == []
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(link)
        expect(page.get_by_role("alert")).to_contain_text("used up")


def test_a_wrong_password_is_said_and_the_way_goes_on(browser: Browser, site: Site) -> None:
    with browser.new_context(base_url=site.url) as context:
        page = context.new_page()
        page.goto("/?c=conv_1")
        page.get_by_label("Name").fill("bob")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("do not belong together")


def test_no_script_of_the_page_is_inline_and_none_may_be(open_page: OpenPage) -> None:
    alice = open_page("alice")
    answer = alice.page.request.get("/")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert alice.page.locator("script:not([src]), style, [style]:not([hidden])").count() == 0


def collect_responses(page: Page) -> list[Response]:
    """All that the page gets from now on."""
    responses: list[Response] = []

    def take(response: Response) -> None:  # the driver marks its handlers, and a method of a list cannot be marked
        responses.append(response)

    page.on("response", take)
    return responses


def sum_scripts(responses: list[Response]) -> int:
    """The compressed bytes of all scripts that came."""
    scripts = {each.url: each for each in responses if "javascript" in each.headers.get("content-type", "")}
    assert any("temml" in url for url in scripts), scripts.keys()
    assert any("highlight" in url for url in scripts), scripts.keys()
    return sum(len(gzip.compress(each.body(), 9)) for each in scripts.values())


def test_the_scripts_are_less_than_150_kb(alice: Person) -> None:
    responses = collect_responses(alice.page)
    alice.page.reload()
    answer = alice.ask(EVERYTHING)
    expect(answer.locator("math")).to_be_visible()
    expect(answer.locator(".code-number")).to_be_visible()
    assert sum_scripts(responses) < MAX_SCRIPT_BYTES


@pytest.fixture(scope="module")
def image(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica that serves static files as in the image: collected, hashed, compressed."""
    root = tmp_path_factory.mktemp("static")
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    ignored = ["--ignore=redoc", "--ignore=scalar", "--ignore=stoplight", "--ignore=admin"]
    environment = {**os.environ, "STATIC_ROOT": str(root)}
    subprocess.run([*command, *ignored], cwd=REPO_ROOT, env=environment, check=True, timeout=MAX_COLLECT_S)
    settings = {**site.environment, "STATIC_ROOT": str(root)}
    with Replica(tmp_path_factory.mktemp("image"), settings) as replica:
        yield replica


@pytest.mark.long
def test_the_page_works_as_the_image_serves_it(browser: Browser, image: Replica) -> None:
    state = sign_in(browser, image.url, "alice")
    with browser.new_context(base_url=image.url, storage_state=state) as context:
        watch = Watch(context, image.url)
        page = context.new_page()
        responses = collect_responses(page)
        page.goto("/")
        person = Person(page, image.url)
        answer = person.ask(EVERYTHING)
        expect(answer.locator("math")).to_be_visible()
        expect(answer.locator(".code-number")).to_be_visible()
        assert watch.problems == []
    static = [each for each in responses if "/static/" in each.url]
    assert len(static) > 20
    for each in static:
        assert each.status == 200, each.url
        assert "max-age=315360000" in each.headers["cache-control"], each.url
        assert each.headers.get("content-encoding") in ("gzip", "br") or not each.url.endswith((".js", ".css"))


def test_the_page_talks_to_the_api_alone(alice: Person) -> None:
    asked: list[str] = []
    alice.page.on("request", lambda request: asked.append(request.url.removeprefix(alice.url)))
    alice.page.reload()
    alice.ask("My name is Ada.")
    own = [path for path in asked if not path.startswith(("/v1/", "/static/", "data:", "blob:"))]
    assert set(own) <= {"/", "/page/client_secret", f"/?c={alice.conversation_id}"}
