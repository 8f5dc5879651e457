"""Pictures of the page for people who look at them: light, dark and on a phone, into `.run/screenshots`."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.person import Person
from tests.support.processes import REPO_ROOT

FOLDER = REPO_ROOT / ".run/screenshots"
DESK, PHONE, SMALL = ({"width": width, "height": height} for width, height in ((1280, 800), (390, 844), (320, 640)))
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "has_touch": True, "is_mobile": True},
    "small-dark": {"viewport": SMALL, "color_scheme": "dark", "has_touch": True, "is_mobile": True},
}
LEASE = "# Berlin office\n\nThe notice period for the Berlin office is three months.\n\nThe rent is due on the third.\n"
QUESTION = "How do I solve a quadratic equation in Python?"
RICH = """For $ax^2 + bx + c = 0$ with $a \\ne 0$ there are **at most two** real solutions:

$$
x_{1,2} = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}
$$

| discriminant | solutions |
|---|--:|
| $b^2 > 4ac$ | 2 |
| $b^2 = 4ac$ | 1 |
| $b^2 < 4ac$ | 0 |

```python
from math import sqrt

def solve(a: float, b: float, c: float) -> list[float]:
    root = sqrt(b * b - 4 * a * c)  # a real one
    return [(-b + root) / (2 * a), (-b - root) / (2 * a)]
```

1. Take care of `a == 0`.
2. Nearly equal roots lose digits: see [Kahan](https://example.com/kahan).

> A formula is a program that has not been tested.
"""


def take(person: Person, name: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    person.page.wait_for_timeout(400)  # what fades in is there
    person.page.screenshot(path=FOLDER / f"{name}.png")


@pytest.mark.long
@pytest.mark.parametrize("look", LOOKS)
def test_pictures_of_the_page(open_page: OpenPage, look: str, tmp_path: Path) -> None:
    options = LOOKS[look]
    stranger = open_page("dora", storage_state=None, **options)
    take(stranger, f"{look}-sign-in")
    dora = open_page("dora", **options)
    take(dora, f"{look}-empty")
    with dora.open_api() as api:
        items = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": RICH}]
        made = api.post("/conversations", json={"eps:title": "Quadratic equations", "items": items}).json()
    dora.page.goto(f"/?c={made['id']}")
    expect(dora.last.locator("math").first).to_be_visible()
    take(dora, f"{look}-answer-end")
    dora.talk.evaluate("region => region.scrollTo(0, 0)")
    take(dora, f"{look}-answer")
    path = tmp_path / "lease.md"
    path.write_text(LEASE, "utf-8")
    with dora.page.expect_file_chooser() as chooser:
        dora.page.get_by_role("button", name="Attach files").click()
    chooser.value.set_files(path)
    dora.message.fill("What is the notice period for the Berlin office?")
    expect(dora.send_button).to_be_enabled()
    take(dora, f"{look}-attached")
    dora.send_button.click()
    dora.expect_end()
    dora.last.get_by_role("button", name="Source 1").click()
    expect(dora.page.get_by_role("complementary", name="Sources").get_by_role("article").first).to_be_visible()
    take(dora, f"{look}-sources")
    dora.page.keyboard.press("Escape")
    dora.send('write 60 words [[standin reason="The question is about words." token_s=0.1]]')
    expect(dora.last.locator(".prose")).not_to_be_empty()
    take(dora, f"{look}-writing")
    dora.stop_button.click()
    dora.expect_end()
    dora.last.get_by_role("button", name="Details").click()
    take(dora, f"{look}-details")
    dora.page.keyboard.press("Escape")
    if "phone" in look or "small" in look:
        dora.page.get_by_role("button", name="Show conversations").click()
        take(dora, f"{look}-list")
