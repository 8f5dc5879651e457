"""Templates: one is chosen, its variables are filled in, and it stands before the messages of the conversation."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, expect

from tests.browser.person import Person

TRANSLATOR = {
    "name": "Translator",
    "prompt": "Translate what follows into {{language}}, in a {{tone}} tone. Facts: my colour is {{colour}}.",
    "variables": [
        {"name": "language"},
        {"name": "tone", "type": "enum", "values": ["formal", "friendly"], "default": "friendly"},
        {"name": "colour", "default": "green", "description": "Any colour"},
    ],
}


def make_prompt(api: httpx.Client, **fields: Any) -> str:
    made = api.post("/prompts", json=fields)
    assert made.status_code == 200, made.text
    return str(made.json()["prompt_id"])


def open_templates(person: Person) -> Locator:
    person.page.get_by_role("button", name="Templates", exact=True).click()
    return person.page.get_by_role("dialog", name="Templates")


@pytest.fixture
def carol(open_page: Any) -> Person:
    person: Person = open_page("carol")
    return person


def test_a_template_is_chosen_and_its_variables_are_filled_in(carol: Person) -> None:
    with carol.open_api() as api:
        prompt_id = make_prompt(api, **TRANSLATOR)
        dialog = open_templates(carol)
        dialog.get_by_role("button", name="Translator").first.click()
        expect(dialog.get_by_text("Any colour")).to_be_visible()
        dialog.get_by_label("language").fill("French")
        expect(dialog.get_by_label("tone")).to_have_value("friendly")
        dialog.get_by_label("tone").select_option("formal")
        dialog.get_by_role("button", name="Use template").click()
        expect(dialog).to_have_count(0)
        expect(carol.page.get_by_role("button", name="Remove template Translator")).to_be_visible()
        carol.ask("What is my colour?")
        expect(carol.last).to_contain_text("green")
        carol.last.get_by_role("button", name="Details").click()
        expect(carol.page.get_by_role("complementary", name="Details")).to_contain_text(prompt_id)
    carol.page.reload()
    carol.page.get_by_role("button", name="Remove template Translator").click()
    expect(carol.page.get_by_role("button", name="Remove template Translator")).to_have_count(0)
    carol.ask("What is my colour?")
    expect(carol.page.get_by_role("alert")).to_have_count(0)


def test_a_variable_that_is_needed_is_asked_for(carol: Person) -> None:
    with carol.open_api() as api:
        make_prompt(api, **{**TRANSLATOR, "name": "Needs a language"})
    dialog = open_templates(carol)
    dialog.get_by_role("button", name="Needs a language").first.click()
    dialog.get_by_role("button", name="Use template").click()
    expect(dialog.get_by_label("language")).to_be_focused()
    carol.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


@pytest.mark.long
def test_a_template_that_is_too_long_to_be_kept_says_so(carol: Person) -> None:
    with carol.open_api() as api:
        make_prompt(api, **{**TRANSLATOR, "name": "Filled to the brim"})
    dialog = open_templates(carol)
    dialog.get_by_role("button", name="Filled to the brim").first.click()
    dialog.get_by_label("language").fill("French " * 100)
    dialog.get_by_role("button", name="Use template").click()
    expect(carol.page.get_by_text("too long to be kept")).to_be_visible()
    carol.ask("What is my colour?")
    expect(carol.last).to_contain_text("green")


def test_hostile_names_and_variables_are_text(carol: Person) -> None:
    evil = "<img src=x onerror=alert(1)>"
    with carol.open_api() as api:
        make_prompt(
            api, name=evil, prompt=f"{evil} {{{{x}}}}", variables=[{"name": "x", "default": evil, "description": evil}]
        )
    dialog = open_templates(carol)
    dialog.get_by_role("button", name=evil).first.click()
    expect(dialog.get_by_role("heading", name=evil)).to_be_visible()
    dialog.get_by_role("button", name="Use template").click()
    expect(carol.page.get_by_role("button", name=f"Remove template {evil}")).to_be_visible()
    assert carol.page.locator("img[onerror], img[src=x]").count() == 0
