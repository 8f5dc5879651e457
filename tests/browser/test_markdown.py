"""Markdown as elements, in a real browser: the same while it grows as at its end, and never a script."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person

SAMPLE = """# One *two*

A paragraph with `code`, **bold**, ~~gone~~ and $x^2 + y_1$;
a second line, prices of $5 and $10, a [link](https://example.com/a?b=1&c=2 "title") and https://example.com.

$$
\\int_0^1 x\\,dx = \\frac{1}{2}
$$

- one
- two
  1. inner $z$
  2. inner

- [ ] to do
- [x] done

| a | b |
|:--|--:|
| 1 | **2** |

> quoted
> > twice

```python
def f(x):
    return x  # <b>
```

    indented

***

[reference] and <b>bold</b>, H<sub>2</sub>O, a<br>b, &copy; &lt;script&gt;

[reference]: https://example.com/reference

1. a

2. b

last *line
"""

RENDER = """async ([text, options]) => {
  const { MarkdownView } = await import('/static/page/markdown.js');
  const place = document.createElement('div');
  document.querySelector('main').append(place);
  const view = new MarkdownView(place);
  for (let end = 0; end < text.length; end += options.step) {
    view.update(text.slice(0, end), options);
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  view.update(text, { ...options, isFinal: true });
  await Promise.all([import('/static/page/vendor/temml.js'), import('/static/page/vendor/highlight.js')]);
  await new Promise((resolve) => setTimeout(resolve));
  const { innerHTML, innerText } = place;
  place.remove();
  return { html: innerHTML, text: innerText };
}"""


def render(
    person: Person, text: str, *, step: int | None = None, annotations: list[dict[str, Any]] | None = None
) -> Any:
    """The elements of a text that is shown at once, or grows by `step` characters a frame."""
    options = {"step": step or len(text) + 1, "annotations": annotations or []}
    return person.page.evaluate(RENDER, [text, options])


@pytest.mark.long
def test_a_text_that_has_grown_looks_like_one_that_came_whole(module_page: Person) -> None:
    whole = render(module_page, SAMPLE)["html"]
    for step in (3, 40):
        assert render(module_page, SAMPLE, step=step)["html"] == whole


def test_what_is_written_in_markdown_becomes_its_elements(module_page: Person) -> None:
    html = render(module_page, SAMPLE)["html"]
    for part in (
        '<h3 class="heading-1">One <em>two</em></h3>',
        "<code>code</code>",
        "<del>gone</del>",
        "prices of $5 and $10",
        'href="https://example.com/a?b=1&amp;c=2" target="_blank" rel="noopener noreferrer"',
        '<input type="checkbox" disabled="" aria-label="Done">',
        '<td class="align-right"><strong>2</strong></td>',
        "<blockquote><p>quoted</p><blockquote><p>twice</p></blockquote></blockquote>",
        '<span class="code-keyword">def</span>',
        '<a href="https://example.com/reference"',
        "H<sub>2</sub>O, a<br>b, © &lt;script&gt;",
        "<msup><mi>x</mi>",
        "<mfrac>",
    ):
        assert part in html, part


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<a href=javascript:alert(1)>x</a>",
    "<math><mtext></mtext><mglyph><style><img src=x onerror=alert(1)></style></mglyph></math>",
    "<details open ontoggle=alert(1)>",
    "<b onmouseover=alert(1)>x</b>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<form action=https://evil.example><input name=x></form>",
    "<base href=https://evil.example/>",
    "<div id=message></div><a name=body>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](\u0001javascript:alert(1))",
    "[x](\tjavascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:msgbox(1))",
    "[x](//evil.example)",
    "[x](/sign-out/)",
    "<javascript:alert(1)>",
    '[x](https://ok.example/" onclick="alert(1))',
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)",
    '![x](data:image/png;base64,AAAA" onerror="alert(1))',
    "[r]: javascript:alert(1)\n\n[r]",
    "$\\href{javascript:alert(1)}{x}$",
    "$\\style{background:url(https://evil.example)}{x}$",
    "$\\htmlId{message}{x}$ $\\label{message}$ $\\class{x}{y}$",
    "$\\includegraphics{https://evil.example/x.png}$",
    "$$\\text{</math><script>alert(1)</script>}$$",
    "$\\def\\a{\\a\\a}\\a$",
    "$\\rule{9999999em}{9999999em}$",
    "```<script>alert(1)</script>\n<img src=x onerror=alert(1)>\n```",
    "```html\n<img src=x onerror=alert(1)>\n```",
    "`<img src=x onerror=alert(1)>`",
    "| <img src=x onerror=alert(1)> |\n|---|\n| <script>alert(1)</script> |",
    "- [ ] <img src=x onerror=alert(1)>",
    "# <img src=x onerror=alert(1)>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php alert(1) ?>",
    "\u202egnp.exe \u2066\u2067",
    "".join(f"a{chr(0x300 + number % 80)}" * 20 for number in range(40)),
]
ALLOWED = {
    *(
        "a",
        "article",
        "b",
        "blockquote",
        "br",
        "button",
        "code",
        "del",
        "div",
        "em",
        "figcaption",
        "figure",
        "h3",
        "hr",
        "i",
    ),
    *(
        "img",
        "input",
        "kbd",
        "li",
        "mark",
        "ol",
        "p",
        "pre",
        "s",
        "span",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
    ),
    *("th", "thead", "tr", "u", "ul"),
}
# Elements and attributes that no hostile text may bring in.
INSPECT = """async ([text, allowed]) => {
  const { MarkdownView } = await import('/static/page/markdown.js');
  await import('/static/page/vendor/temml.js');
  const place = document.createElement('div');
  document.querySelector('main').append(place);
  new MarkdownView(place).update(text, { isFinal: true });
  await new Promise((resolve) => setTimeout(resolve));
  const bad = [];
  for (const each of place.querySelectorAll('*')) {
    const isMath = each.namespaceURI.endsWith('MathML');
    if (!isMath && !allowed.includes(each.localName)) bad.push(each.outerHTML);
    for (const { name, value } of each.attributes) {
      const isStyleOfMath = isMath && name === 'style';
      const isForbidden = /^on|^(id|name|srcset|action|formaction|style|srcdoc)$/.test(name);
      if (isForbidden && !isStyleOfMath) bad.push(`${name}=${value}`);
      if (name === 'href' && !/^(https?:|mailto:)/.test(value)) bad.push(`${name}=${value}`);
      if (name === 'src' && !/^data:image.(png|jpeg|gif|webp);/.test(value)) bad.push(`${name}=${value}`);
    }
  }
  const size = place.getBoundingClientRect().width;
  place.remove();
  return { bad, size };
}"""


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_shown_and_does_nothing(module_page: Person, text: str) -> None:
    found = module_page.page.evaluate(INSPECT, [text, sorted(ALLOWED)])
    assert found["bad"] == []


def test_a_citation_is_a_button_at_its_place(module_page: Person) -> None:
    cite = {"type": "file_citation", "file_id": "file-1", "filename": "a<b>.md", "eps:passage": 3}
    text = "Grüße 🌍 here. And *there*."
    html = render(
        module_page, text, step=3, annotations=[{**cite, "index": 13}, {**cite, "index": 26, "eps:passage": 5}]
    )["html"]
    button = '<button type="button" class="citation" aria-label="Source 1: a&lt;b&gt;.md" data-number="1"'
    assert f"<p>Grüße 🌍 here.{button}" in html
    assert 'data-passage="5">2</button></p>' in html


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("see [a link](https://example.com) here", 7),
        ("`code`", 3),
        ("```\nx\n```", 9),
        ("| a |\n|---|\n| b |", 19),
        ("$x$", 2),
    ],
)
def test_a_citation_is_never_lost(module_page: Person, text: str, index: int) -> None:
    cite = {"type": "file_citation", "file_id": "file-1", "filename": "a.md", "eps:passage": 1, "index": index}
    html = render(module_page, text, annotations=[cite])["html"]
    assert html.count('class="citation"') == 1
    assert "⸨" not in html
    assert "<a" not in html or html.index("</a>") < html.index("<button")


LONG = "Some words of *many* in a paragraph that is as long as others are, with `code` and $x$.\n\n" * 5_000


def test_a_long_answer_stays_smooth_while_it_grows(module_page: Person) -> None:
    measured = module_page.page.evaluate(
        """async ([text]) => {
          const { MarkdownView } = await import('/static/page/markdown.js');
          const place = document.createElement('div');
          document.querySelector('main').append(place);
          const view = new MarkdownView(place);
          view.update(text, { isFinal: false });
          const frame = () => new Promise((resolve) => requestAnimationFrame(() => resolve(performance.now())));
          while (place.children.length < 100) await frame();
          await new Promise((resolve) => setTimeout(resolve, 500));
          const waits = [];
          for (let words = 0; words < 60; words += 1) {
            const start = await frame();
            view.update(text + ' word'.repeat(words));
            waits.push(await frame() - start);
          }
          place.remove();
          return waits.sort((one, other) => one - other)[Math.floor(waits.length / 2)];
        }""",
        [LONG],
    )
    assert measured < 100  # the median of frames, at 450,000 characters


def test_code_is_copied_by_its_button(alice: Person) -> None:
    alice.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = alice.ask("repeat: ```python\nprint('<b>')\n```")
    answer.get_by_role("button", name="Copy code").click()
    expect(answer.get_by_role("button", name="Code copied")).to_be_visible()
    assert alice.page.evaluate("navigator.clipboard.readText()") == "print('<b>')"
