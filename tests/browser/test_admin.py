"""The admin's own pages in Chromium: none breaks the policy or is wider than its screen, and scripts do their work."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.browser.test_screenshots import FOLDER, LOOKS
from tests.support.archived import write_archive
from tests.support.chromium import Watch
from tests.support.sample_archive import build_sample
from tests.support.service import manage
from tests.support.site import Site
from tests.support.staff import PASSWORD

LIST = "/admin/prompts/archivedconversation/"
PROMPT = """
from prompts import prompt_rows
from prompts.domain.prompts import PromptContent, Variable
from prompts.domain import ids
variables = [Variable(name="guest"), Variable(name="place", type="enum", values=["Bergen", "Berlin"], default="Bergen")]
facts = "\\n".join(f"* Room {number} is on floor {number // 4}." for number in range(12))
text = "You welcome {{guest}} at the {{place}} office.\\nYou are kind, and answer in one sentence.\\n" + facts
prompt_id = ids.new_id(ids.PROMPT, "00")
prompt_rows.create_prompt(prompt_id, PromptContent(text=text, variables=variables), owner="", name="Front desk")
changed = PromptContent(text=text.replace("kind", "brief") + "\\nSay so when you do not know.", variables=[
    *variables, Variable(name="team", default="reception")], model="gpt-5-mini", follow_ups=True)
prompt_rows.add_version(prompt_id, changed, owner=None, after=1, name=None, becomes_default=True)
from django.contrib.auth.models import User
User.objects.create_superuser("sam", password=%r)
from datetime import timedelta
from django.utils import timezone
from prompts.models import ArchivedResponse, Project
project = Project.objects.create(owner="acme", tokens_per_month=2_000_000, tokens_per_minute=50_000)
columns = dict(owner="acme", model="stand-in", status="completed", timeline="tl_acme", record_json="{}")
ArchivedResponse.objects.bulk_create([
    ArchivedResponse(id=f"resp_acme{day}", created_at=timezone.now() - timedelta(days=day),
        input_tokens=91_000 - 311 * day, output_tokens=7_000 + 57 * day, **columns) for day in range(150)])
print("project", project.pk, "made", prompt_id)
"""

OpenAdmin = Callable[..., Page]


@pytest.fixture(scope="module")
def filled(site: Site) -> dict[str, str]:
    """Paths of what there is to see: conversations, and a prompt in two versions."""
    sample = build_sample()
    write_archive(site.environment, *sample)
    made = manage(site.environment, "shell", "--command", PROMPT % PASSWORD)
    prompt = f"/admin/prompts/prompt/{quote(made.split('made ')[1].strip())}"
    talk = f"{LIST}{quote(sample[0]['id'])}"
    return {
        "dashboard": "/admin/?days=90",
        "list": LIST,
        "found": f"{LIST}?q=notice&owner=alice",
        "transcript": f"{talk}/change/",
        "chain": f"{LIST}{quote(sample[-1]['id'])}/change/",
        "project": f"/admin/prompts/project/{made.split('project ')[1].split()[0]}/change/",
        "erase": f"{talk}/erase/",
        "editor": f"{prompt}/change/",
        "version": f"{prompt}/versions/2/",
        "compare": f"{prompt}/compare/",
        "actions": "/admin/prompts/staffaction/",
    }


@pytest.fixture(scope="module")
def staff_state(browser: Browser, site: Site, filled: dict[str, str]) -> StorageState:
    """The cookies of Sam, who may do everything."""
    assert filled
    with browser.new_context(base_url=site.url) as context:
        page = context.new_page()
        page.goto("/admin/login/")
        page.get_by_label("Username").fill("sam")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="Usage")).to_be_visible()
        return context.storage_state()


@pytest.fixture
def open_admin(browser: Browser, site: Site, staff_state: StorageState) -> Iterator[OpenAdmin]:
    """Open a page of the admin. At the end no page has done what it must not."""
    with ExitStack() as devices:
        watches: list[Watch] = []

        def open_device(path: str, **options: Any) -> Page:
            context = devices.enter_context(
                browser.new_context(base_url=site.url, storage_state=staff_state, **options)
            )
            watches.append(Watch(context, site.url))
            page = context.new_page()
            page.goto(path)
            return page

        yield open_device
        assert [problem for watch in watches for problem in watch.problems] == []


@pytest.mark.parametrize(
    "look", ["small-dark", *(pytest.param(look, marks=pytest.mark.long) for look in ("light", "dark", "phone"))]
)
def test_no_page_is_wider_than_its_screen_or_breaks_the_policy(
    open_admin: OpenAdmin, filled: dict[str, str], look: str
) -> None:
    page = open_admin("/admin/", **LOOKS[look])
    for name, path in filled.items():
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, name
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        # The list of actions is Django's own, which scrolls its table inside of the page.
        assert wide <= 0 or name == "actions", (name, wide)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert dark == (LOOKS[look]["color_scheme"] == "dark")


def test_a_preview_follows_what_is_typed(open_admin: OpenAdmin, filled: dict[str, str]) -> None:
    page = open_admin(filled["editor"])
    preview = page.locator("#preview")
    preview.get_by_role("button", name="Preview").click()
    system = preview.locator(".eps-system")
    expect(system).to_contain_text("You welcome ‹guest› at the Bergen office.")
    preview.get_by_label("guest").fill("Ada {{place}}")
    expect(system).to_contain_text("You welcome Ada {{place}} at the Bergen office.")
    expect(preview.get_by_label("guest")).to_be_focused()
    page.locator("#id_text").fill("Only {{guest}} and {{nobody}}")
    expect(preview.get_by_role("alert")).to_contain_text("nobody")
    page.locator("#id_text").fill("Only {{guest}}")
    expect(preview.locator(".eps-system")).to_have_text("system Only ‹guest›")


def test_two_versions_are_chosen_and_compared(open_admin: OpenAdmin, filled: dict[str, str]) -> None:
    page = open_admin(filled["compare"])
    expect(page.locator("tr.eps-line-removed mark")).to_have_text("kind")
    expect(page.locator("tr.eps-line-added mark")).to_have_text("brief")
    page.get_by_role("link", name="The other way round").click()
    expect(page.locator("tr.eps-line-removed mark")).to_have_text("brief")
    page.get_by_label("From").select_option("1")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("These two say the same.")).to_be_visible()


def test_a_citation_leads_to_its_passage(open_admin: OpenAdmin, filled: dict[str, str]) -> None:
    page = open_admin(filled["list"])
    page.get_by_role("searchbox", name="What was said").fill("notice berlin")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Notice period in Berlin").click()
    page.get_by_role("link", name="[1]").first.click()
    expect(page.locator(".eps-passage:target")).to_contain_text("three months, counted from the end of a month")
    page.get_by_text("Called get_weather").click()
    expect(page.get_by_text('"celsius"')).to_be_visible()


def test_a_transcript_shows_an_answer_while_it_is_written(open_admin: OpenAdmin, open_page: Any) -> None:
    alice = open_page("alice")
    alice.ask("Hello")
    conversation = alice.conversation_id
    page = open_admin("/admin/")
    path = f"{LIST}{quote(conversation)}/change/"
    page.wait_for_function("async path => (await fetch(path)).status === 200", arg=path)
    page.goto(path)
    alice.send("write 150 words [[standin token_s=0.05]]")
    live = page.locator("#live")
    expect(live).to_be_visible()
    expect(live.locator(".eps-said")).not_to_be_empty()
    alice.stop_button.click()
    expect(page.locator(".eps-response summary").filter(has_text="cancelled")).to_be_visible()
    expect(page.locator("#live")).to_be_hidden()


@pytest.mark.long
@pytest.mark.parametrize("look", LOOKS)
def test_pictures_of_the_admin(open_admin: OpenAdmin, site: Site, filled: dict[str, str], look: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    manage(site.environment, "make_archive", "--items", "1000")
    page = open_admin("/admin/", **LOOKS[look])
    for name, path in filled.items():
        page.goto(path)
        if name == "editor":
            page.locator("#preview").get_by_role("button", name="Preview").click()
            expect(page.locator("#preview .eps-system")).to_be_visible()
        if name == "project":  # publishes its limits
            page.get_by_role("button", name="Save and continue editing").click()
            expect(page.get_by_text("of 2,000,000")).to_be_visible()
        page.screenshot(path=FOLDER / f"admin-{name}-{look}.png", full_page=True)
