"""Conversations as Markdown: readable, and no content can pass for document structure."""

import re
import time
from itertools import pairwise
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from prompts.domain.conversations import Conversation
from prompts.domain.items import (
    Compaction,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    SummaryText,
)
from prompts.usecases.markdown import render_item, render_title
from tests.support.items import said

# As lenient as a viewer may be: HTML is allowed.
VIEWER = MarkdownIt("commonmark", {"html": True}).enable("table")

# Text that could end a quote, begin a heading, HTML, code or a link, or count as a line end.
FRAGMENTS = [
    *("\n", "\r", "\r\n", "\n\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", " ", "\t", "    "),
    *("# ", "## ", "## Assistant", "===", "---", "***", "> ", ">", "- ", "1. ", "|", "a", "é"),
    *("`", "```", "~~~", "````", "\\", "&lt;", "<", "</", "<!--", "-->", "<h2>", "</blockquote>", "<?", "<![CDATA["),
    *("<script>", "</script>", "<https://a.example>", "[a]: b", "[", "](", ")", "![", "]", "*", "_", "**"),
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)


def render(*items: Item) -> str:
    """The items of one document."""
    return "".join(line for item in items for line in render_item(item))


def read(document: str) -> tuple[list[str], list[Token]]:
    """The headings outside of quotes, as text; and everything else outside of quotes."""
    depth, outside = 0, list[Token]()
    for token in VIEWER.parse(document):
        depth -= token.type == "blockquote_close"
        if depth == 0 and not token.type.startswith("blockquote"):
            outside.append(token)
        depth += token.type == "blockquote_open"
    headings = [after.content for token, after in pairwise(outside) if token.type == "heading_open"]
    return headings, outside


def find_html(document: str) -> list[str]:
    """All HTML that a viewer would pass through."""
    tokens = [child for token in VIEWER.parse(document) for child in (token, *(token.children or ()))]
    return [token.content for token in tokens if token.type in ("html_block", "html_inline")]


def make_call(arguments: str) -> FunctionCall:
    """A function call."""
    return FunctionCall("fc_1", "completed", "call_1", "get_weather", arguments)


def test_a_message_is_a_heading_and_a_quote() -> None:
    assert render(said("user", "Hello\n\nWorld"), said("assistant", "Hi!")) == (
        "\n## User\n\n> Hello\n>\n> World\n\n## Assistant\n\n> Hi!\n"
    )


def test_a_message_that_was_cut_says_so() -> None:
    cut = Message(id="msg_1", status="incomplete", role="assistant", content=[OutputText("Once"), Refusal("No.")])
    assert render(cut) == "\n## Assistant (incomplete)\n\n> Once\n>\n> No.\n"


def test_calls_and_their_outputs_are_code() -> None:
    output = FunctionCallOutput("fco_1", "completed", "call_1", "21 <b>degrees</b>")
    assert render(make_call('{"a": 1}'), output) == (
        '\n### Called get_weather\n\n> ```\n> {"a": 1}\n> ```\n\n### It gave\n\n> ```\n> 21 <b>degrees</b>\n> ```\n'
    )


def test_outputs_of_parts_thoughts_and_summaries_are_quotes() -> None:
    output = FunctionCallOutput("fco_1", "completed", "call_1", [InputText("a"), InputText("b")])
    thought = Reasoning("rs_1", "completed", [SummaryText("In short")], [ReasoningText("At length")])
    sealed = Reasoning("rs_2", "completed", [], encrypted_content="x")
    assert render(output, thought, sealed, Compaction("cmp_1", "sealed")) == (
        "\n### It gave\n\n> a\n>\n> b\n\n### Thought\n\n> In short\n>\n> At length\n"
        "\n### What was said before was summed up for the model\n"
    )


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (InputImage("https://a.example/x y>(1).png?a=b"), "> [Image](<https://a.example/x%20y%3E(1).png?a=b>)\n"),
        (InputImage("data:image/png;base64,AAAA"), "> Image, sent along: the export as JSON holds it\n"),
        (InputFile(filename="a]\n# b", file_url="http://a.example"), "> [File a\\] # b](<http://a.example>)\n"),
        (InputFile(filename="a.pdf", file_data="AAAA"), "> File a.pdf, sent along: the export as JSON holds it\n"),
    ],
)
def test_images_and_files_are_links_where_they_have_an_address(part: InputImage | InputFile, line: str) -> None:
    assert render(Message(id="msg_1", status="completed", role="user", content=[part])) == f"\n## User\n\n{line}"


@given(TEXTS, TEXTS, TEXTS)
def test_no_text_leaves_its_quote(asked: str, given: str, answered: str) -> None:
    output = FunctionCallOutput("fco_1", "completed", "call_1", given)
    document = render(said("user", asked), make_call(given), output, said("assistant", answered))
    headings, outside = read(document)
    assert headings == ["User", "Called get_weather", "It gave", "Assistant"]
    assert {token.type for token in outside} == {"heading_open", "inline", "heading_close"}
    assert find_html(document) == []
    assert [line for line in document.splitlines() if line.startswith("#")] == [
        *("## User", "### Called get_weather", "### It gave", "## Assistant")
    ]


# As naive as a viewer may be: every address is a link.
NAIVE = MarkdownIt("commonmark", {"html": True})
NAIVE.validateLink = bool  # type: ignore[method-assign, assignment]  # what real viewers differ in
LINKS = [
    *(
        "[x](",
        "![x](",
        "[x]: ",
        "[x]:",
        "[x]",
        "[x][x]",
        "](",
        "]:",
        "<",
        "< ",
        ">",
        ")",
        " ",
        "\n",
        "\n> ",
        "\n- ",
        "\n\n",
        "\t",
    ),
    *(
        "javascript:alert(1)",
        "JaVaScRiPt:",
        "data:text/html,x",
        "vbscript:",
        "file:///etc",
        "javascript",
        ":",
        "&colon;",
    ),
    *(
        "java&#115;cript:",
        "java&Tab;script:",
        "java\tscript:",
        "\\",
        "java\\",
        "&#x6A;avascript&#58;",
        "&#0000106;avascript:",
    ),
    *(
        "https://a.example",
        "mailto:a@b.example",
        "/path:x",
        "#a:b",
        "?a:b",
        "a.md",
        "x",
        "`",
        "```\n",
        '"',
        "'",
        "(",
        "%6a",
    ),
]


def find_addresses(document: str) -> list[str]:
    """Where links and images lead, as a browser reads it."""
    tokens = [child for token in NAIVE.parse(document) for child in (token.children or ())]
    addresses = [str(token.attrs.get("href") or token.attrs.get("src") or "") for token in tokens]
    return [unquote(address).translate(dict.fromkeys(range(33))).lower() for address in addresses]


@given(st.lists(st.sampled_from(LINKS), max_size=12).map("".join))
@settings(max_examples=500)
def test_no_text_holds_a_link_that_runs_code(text: str) -> None:
    schemes = [re.match(r"[a-z][a-z0-9+.-]*:", address) for address in find_addresses(render(said("user", text)))]
    assert {scheme[0] for scheme in schemes if scheme} <= {"http:", "https:", "mailto:"}


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "![x](data:text/html;base64,AAAA)",
        "[x]( \n javascript:alert(1))",
        "> [x](\n> javascript:alert(1))",
        "[x](<javascript:alert(1)>)",
        "[x](< javascript:alert(1)>)",
        "[x](javascript\\:alert(1))",
        "[x](java&#115;cript:alert(1))",
        "[x](&#106" + ";&#97;vascript&colon;alert(1))",
        "[x][y]\n\n[y]: javascript:alert(1)",
        "[x]\n\n[x]:\n  <java&Tab;script:alert(1)>",
        "<javascript:alert(1)>",
        "<a href=javascript:alert(1)>x</a>",
        "[x](vbscript:x) [y](file:///etc/passwd) [z](blob:x) [w](ms-word:x)",
        "[x](" + "&#0000106;" * 200 + ":)",
        "[x](" + " " * 200 + "javascript:alert(1))",
    ],
)
def test_a_link_that_would_run_code_is_text(text: str) -> None:
    document = render(said("assistant", text))
    assert find_addresses(document).count("") == len(find_addresses(document))
    assert find_html(document) == []


@pytest.mark.parametrize(
    "text",
    [
        "[x](https://a.example/b:c) ![y](HTTP://a.example) [z](mailto:a@b.example) [w](/a:b) [v](#a:b) [u](a.md)",
        "[x][1]\n\n[1]: https://a.example",
        "Call `handlers[name](event)`, then `if x[0]: return y[1:2]`, see [1]: a note.",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    quoted = "".join(f"> {line}\n" if line else ">\n" for line in text.split("\n"))
    assert render(said("assistant", text)) == f"\n## Assistant\n\n{quoted}"


def test_a_text_of_nothing_but_links_takes_no_time_to_speak_of() -> None:
    began = time.process_time()
    for each in ("](", "]: ", "](<&", "](" + " " * 98):
        render(said("user", each * (200_000 // len(each))))
    assert time.process_time() - began < 10


@given(TEXTS.map(lambda text: f"x{text}"))
def test_code_is_kept_to_the_letter(text: str) -> None:
    [fence] = [token for token in VIEWER.parse(render(make_call(text))) if token.type == "fence"]
    assert fence.content.splitlines() == text.splitlines()


@given(TEXTS)
def test_a_title_is_one_heading(text: str) -> None:
    conversation = Conversation(id="conv_1", created_at=1_700_000_000, title=f"a{text}")
    document = render_title(conversation)
    headings, outside = read(document)
    assert len(headings) == 1
    assert find_html(document) == []
    assert [token.content for token in outside if token.type == "inline"][1:] == ["conv_1, begun 2023-11-14 22:13 UTC"]


def test_without_a_title_the_id_stands_for_it() -> None:
    assert render_title(Conversation(id="conv_1", created_at=0)).startswith("# conv_1\n")


@given(filename=TEXTS, words=TEXTS)
def test_sources_are_named_and_pass_for_nothing_else(filename: str, words: str) -> None:
    notes = [
        {"type": "file_citation", "file_id": "file-1", "filename": filename, "index": 0},
        {"type": "file_citation", "file_id": "file-1", "filename": filename, "index": 1},
        *("text", {"type": "file_citation"}, {"type": "file_citation", "filename": 7}, {"type": "url_citation"}),
    ]
    cited = Message("msg_1", "completed", "assistant", [OutputText(words, notes)])
    headings, _ = read(render(cited, said("user", "Next")))
    assert [heading for heading in headings if heading != "Sources"] == ["Assistant", "User"]
    assert headings.count("Sources") == bool(filename)


def test_a_source_is_named_once() -> None:
    note = {"type": "file_citation", "file_id": "file-1", "filename": "a [1].md", "index": 0}
    cited = Message("msg_1", "completed", "assistant", [OutputText("So.", [note, {**note, "index": 2}])])
    assert render(cited).endswith("\n### Sources\n\n> - a \\[1\\].md\n")
