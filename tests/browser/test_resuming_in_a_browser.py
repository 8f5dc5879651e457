"""`docs/examples/resume.mjs` in a real Chromium, as a page of the service would use it."""

import json

from playwright.async_api import Browser

from tests.support.processes import REPO_ROOT
from tests.support.service import Service

EXAMPLE = (REPO_ROOT / "docs" / "examples" / "resume.mjs").read_text("utf-8")
# The connection is broken off once, behind the third word.
RUN = """(async ([url, key]) => {
  %s
  const really = globalThis.fetch;
  let cut = new AbortController(), asked = 0, text = "";
  globalThis.fetch = (place, options) => really(place, { ...options, signal: asked++ ? undefined : cut.signal });
  for await (const event of follow(url, key, "count to 9 [[standin token_s=0.05]]")) {
    if (event.type === "response.output_text.delta") text += event.delta;
    if (text.endsWith("3")) cut.abort();
  }
  return [text, asked];
})(%s)"""


async def test_it_reads_the_whole_answer_over_a_cut(chromium: Browser, service: Service) -> None:
    page = await chromium.new_page()
    await page.goto(service.url)
    places = json.dumps([service.api_url, service.alice_key])
    text, asked = await page.evaluate(RUN % (EXAMPLE.replace("export ", ""), places))
    assert text == "1 2 3 4 5 6 7 8 9"
    assert asked == 2
