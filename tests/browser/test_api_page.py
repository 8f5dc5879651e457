"""`/v1/docs` in a real Chromium: found, read and tried; nothing is stored, and nothing comes from elsewhere."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from prompts.api.openapi.events import EVENT_TYPES
from prompts.api.openapi.refusals import REFUSALS
from tests.recording.answers import list_operations
from tests.support.service import Service

# Swagger UI draws fifty operations; on a busy machine that takes seconds.
LIMIT_MS = 30_000


@pytest.fixture
async def page(chromium: Browser, service: Service) -> AsyncIterator[Page]:
    """The page, drawn. What the browser complains of fails the test, and so does whatever it loads from elsewhere."""
    page = await chromium.new_page()
    page.set_default_timeout(LIMIT_MS)
    complaints: list[str] = []
    loaded: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: loaded.append(request.url))
    await page.goto(f"{service.url}/v1/docs")
    await expect(page.locator(".swagger-ui .opblock").first).to_be_visible(timeout=LIMIT_MS)
    yield page
    assert complaints == []
    assert {url for url in loaded if not url.startswith((service.url, "data:"))} == set()


async def test_an_operation_is_found_tried_and_answered_and_the_key_is_kept_nowhere(
    page: Page, service: Service
) -> None:
    await page.get_by_role("button", name="Authorize").click()
    await page.locator("#api_key-value, #auth-bearer-value, .auth-container input").first.fill(service.alice_key)
    await page.locator(".auth-btn-wrapper .authorize").click()
    await page.locator(".auth-btn-wrapper .btn-done").click()
    await page.get_by_label("Find").fill("listModels")
    await page.keyboard.press("Enter")
    operation = page.locator("#operations-Models-listModels")
    await operation.get_by_role("button", name="Execute").click()
    await expect(operation.locator(".live-responses-table")).to_contain_text("stand-in-embedding", timeout=LIMIT_MS)
    stored = await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert service.alice_key not in stored


async def test_errors_and_events_are_found_with_their_examples(page: Page) -> None:
    find = page.get_by_label("Find")
    for said, place in (("stream_exp", "#error-stream_expired"), ("annotation", r"#event-response\.output_text\.ann")):
        await find.fill(said)
        await page.keyboard.press("Enter")
        assert re.search(place, page.url)
    article = page.locator("#error-stream_expired")
    await article.get_by_text("Example").click()
    await expect(article).to_contain_text('"code": "stream_expired"')
    await find.fill("nobody calls anything so")
    await expect(page.get_by_role("status")).to_be_visible()


@pytest.mark.long
async def test_it_fits_a_narrow_screen_and_follows_the_colours_of_the_system(page: Page) -> None:
    await page.set_viewport_size({"width": 320, "height": 700})
    await page.get_by_label("Find").fill("createResponse")
    await page.keyboard.press("Enter")
    await expect(page.locator("#operations-Responses-createResponse .responses-wrapper")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("html.dark-mode")).to_have_count(1)
    await page.emulate_media(color_scheme="light")
    await expect(page.locator("html.dark-mode")).to_have_count(0)


async def test_it_lists_everything_without_a_script(http: httpx.AsyncClient) -> None:
    text = (await http.get("/v1/docs")).text
    document = (await http.get("/v1/openapi.json")).json()
    visible = text[: text.index('<script id="schema"')]
    for _, _, operation in list_operations(document):
        assert f'data-operation="{operation["operationId"]}"' in visible
    anchors = {*(f"event-{kind}" for kind in EVENT_TYPES), *(f"error-{each.code}" for each in REFUSALS)}
    assert {each for each in anchors if f'id="{each}"' not in visible or f'href="#{each}"' not in visible} == set()
    assert set(re.findall(r'href="#(?!/)([^"]+)"', visible)) <= set(re.findall(r'id="([^"]+)"', visible))
    assert "`" not in visible
