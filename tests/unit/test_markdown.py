"""Conversations as Markdown: readable, and no content can pass for document structure."""

from itertools import pairwise

import pytest
from hypothesis import given
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
