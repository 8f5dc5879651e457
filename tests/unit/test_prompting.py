"""A template in a turn: its text with the values in their places, and what it fills in."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from prompts.domain import ids
from prompts.domain.items import InputFile, InputImage, InputText, Message
from prompts.domain.prompts import (
    EVERYBODY,
    Knowledge,
    Parameters,
    PromptContent,
    UsedPrompt,
    Variable,
    VariableType,
    VariableValue,
)
from prompts.domain.text import JsonObject, ReasoningConfig, TextConfig
from prompts.domain.tools import AllowedTools, FileSearchChoice, FileSearchTool, FunctionTool
from prompts.errors import InvalidRequest, NotFound
from prompts.history.prompt_text import count_filled, fill, list_places
from prompts.ports.prompts import Publication
from prompts.ports.responses import Claim
from prompts.run.file_search import find_searched_owner
from prompts.usecases.ask import Ask, AskedPrompt, Defaults, build_echo, build_model_request
from prompts.usecases.prompting import MAX_FILLED_CHARACTERS, apply_prompt, place_variable
from tests.support.fakes.published_prompts import FakePublishedPrompts
from tests.support.items import said

ID = ids.new_id(ids.PROMPT, "07")
OWNER = "alice"
IMAGE, FILE = InputImage("https://example.com/a.png"), InputFile(filename="a.txt", file_data="aGk=")
STORE = "vs_" + "0" * 32
DEFAULTS = Defaults(model="default", history_tokens=1_000)

# Texts that look like places, and parts of places, more often than chance would have it.
PIECES = ("{{", "}}", "{{a}}", "{{ b }}", "{{\n c}}", "{", "}", " ", "a")
texts = st.lists(st.text(max_size=8) | st.sampled_from(PIECES)).map("".join)
values = st.dictionaries(
    st.sampled_from(["a", "b", "c"]) | st.from_regex(r"\w{1,8}", fullmatch=True), texts, max_size=4
)


@given(texts, values)
def test_each_place_has_its_value_and_all_else_stays(text: str, given_values: dict[str, str]) -> None:
    assert fill(text, given_values) == "".join(
        given_values.get(name, written) if name else written for written, name in scan(text)
    )


def scan(text: str) -> Iterator[tuple[str, str]]:
    """The text from the left, piece by piece: each place with its name, and what is no place."""
    start = 0
    while start < len(text):
        end, name = read_place(text, start)
        yield text[start:end], name
        start = end


def read_place(text: str, start: int) -> tuple[int, str]:
    """Where the place ends that begins here, and its name; or the end of one character."""
    if text[start : start + 2] == "{{":
        begin = skip(text, start + 2, str.isspace)
        end = skip(text, begin, lambda character: character.isalnum() or character == "_")
        closed = skip(text, end, str.isspace)
        if end > begin and text[closed : closed + 2] == "}}":
            return closed + 2, text[begin:end]
    return start + 1, ""


def skip(text: str, start: int, is_meant: Callable[[str], bool]) -> int:
    """The first character from here on that is not meant."""
    return next((place for place in range(start, len(text)) if not is_meant(text[place])), len(text))


@given(texts, values)
def test_the_length_is_known_before_it_is_made(text: str, given_values: dict[str, str]) -> None:
    assert count_filled(text, given_values) == len(fill(text, given_values))


@given(texts)
def test_a_value_with_places_stays_as_it_is(value: str) -> None:
    assert fill("{{a}}|{{b}}", {"a": value, "b": "B"}) == f"{value}|B"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("{{a}} {{ b }} {{\tc\n}} {{a}}", ["a", "b", "c"]),
        ("{{größe}} {{名前}} {{x_1}} {{1}}", ["größe", "名前", "x_1", "1"]),
        ("{{}} {{ }} {{a b}} {{a-b}} {a} {{a} {a}} {{#if}} {{a.b}}", []),
        ("{{{a}}} {{{{b}}}}", ["a", "b"]),
    ],
)
def test_places_are_names_in_two_braces(text: str, places: list[str]) -> None:
    assert list_places(text) == places


# --- a turn ---


def build_ask(**fields: Any) -> Ask:
    """A turn of Alice's with the template."""
    given_fields = {"prompt": AskedPrompt(ID, None, fields.pop("variables", {})), **fields}
    return Ask(owner=OWNER, input=[said("user", "Hello")], claim=Claim(body_hash=""), **given_fields)


async def apply(content: PromptContent, *, owner: str = OWNER, **fields: Any) -> Ask:
    """The turn as its template makes it."""
    prompts = FakePublishedPrompts({ID: Publication(ID, owner, 1, 3, {3: content})})
    ask = await apply_prompt(build_ask(**fields), prompts)
    assert prompts.reads == 1
    return ask


def declare(*variables: Variable | str, text: str = "{{x}}") -> PromptContent:
    """A template with these variables."""
    declared = [Variable(name=each) if isinstance(each, str) else each for each in variables]
    return PromptContent(text=text, variables=declared)


async def test_without_a_template_nothing_is_read() -> None:
    ask, prompts = replace(build_ask(), prompt=None), FakePublishedPrompts()
    assert await apply_prompt(ask, prompts) is ask
    assert prompts.reads == 0


async def test_the_text_comes_first_and_the_own_instructions_behind_it() -> None:
    content = declare("x", text="Dear {{x}}.")
    ask = await apply(content, variables={"x": "Ada {{x}}"}, instructions="Be brief.")
    assert ask.instructions == "Dear Ada {{x}}.\n\nBe brief."
    assert (await apply(content, variables={"x": "Ada"})).instructions == "Dear Ada."
    assert ask.used_prompt == UsedPrompt(ID, "3", {"x": "Ada {{x}}"})
    echo = build_echo(ask, build_model_request(ask, DEFAULTS))
    assert (echo.prompt, echo.instructions) == (ask.used_prompt, ask.instructions)


async def test_the_template_fills_in_what_the_request_leaves_open() -> None:
    text = TextConfig(JsonObject())
    parameters = Parameters(
        temperature=0.0,
        top_p=0.5,
        presence_penalty=1.0,
        frequency_penalty=-1.0,
        max_output_tokens=99,
        reasoning=ReasoningConfig("low"),
        text=text,
    )
    content = PromptContent(text="x", model="its", parameters=parameters, follow_ups=True, history_tokens=70)
    ask = await apply(content)
    request, echo = build_model_request(ask, DEFAULTS), build_echo(ask, build_model_request(ask, DEFAULTS))
    for made in (request, echo):
        assert (made.model, made.temperature, made.top_p, made.max_output_tokens) == ("its", 0.0, 0.5, 99)
        assert (made.presence_penalty, made.frequency_penalty) == (1.0, -1.0)
        assert (made.reasoning, made.text) == (ReasoningConfig("low"), text)
    assert (request.wants_follow_ups, DEFAULTS.get_history_tokens(ask)) == (True, 70)


async def test_what_the_request_says_counts() -> None:
    parameters = Parameters(temperature=1.0, max_output_tokens=99, text=TextConfig(JsonObject()))
    content = PromptContent(text="x", model="its", parameters=parameters, history_tokens=10**6)
    own: dict[str, Any] = {"model": "own", "temperature": 0.0, "max_output_tokens": 16, "text": TextConfig()}
    request = build_model_request(ask := await apply(content, **own), DEFAULTS)
    assert {name: getattr(request, name) for name in own} == own
    assert DEFAULTS.get_history_tokens(ask) == DEFAULTS.history_tokens  # a template may ask for less only


VALUES: dict[str, tuple[VariableType, VariableValue, str | None]] = {
    "a text": ("any", "x", "x"),
    "an empty text": ("string", "", ""),
    "a part of text": ("string", InputText("x"), "x"),
    "an integer": ("number", "-3", "-3"),
    "a number": ("number", "2.5e-3", "2.5e-3"),
    "a value": ("enum", "b", "b"),
    "an image": ("image", IMAGE, "[Image 1: x]"),
    "a file": ("file", FILE, "[File 1: x]"),
    "an image for any": ("any", IMAGE, "[Image 1: x]"),
    "a text for a number": ("number", "two", None),
    "infinity": ("number", "inf", None),
    "digits of another script": ("number", "٣", None),
    "a number with a line break": ("number", "3\n", None),
    "no value": ("enum", "c", None),
    "an image for a text": ("string", IMAGE, None),
    "an image for a value": ("enum", IMAGE, None),
    "an image for a number": ("number", IMAGE, None),
    "a text for an image": ("image", "https://example.com/a.png", None),
    "a file for an image": ("image", FILE, None),
    "an image for a file": ("file", IMAGE, None),
}


@pytest.mark.parametrize("name", VALUES)
async def test_a_value_is_of_its_type(name: str) -> None:
    kind, value, shown = VALUES[name]
    variable = Variable(name="x", type=kind, values=["a", "b"] if kind == "enum" else [])
    if shown is not None:
        assert (await apply(declare(variable), variables={"x": value})).instructions == shown
        return
    with pytest.raises(InvalidRequest) as raised:
        await apply(declare(variable), variables={"x": value})
    assert raised.value.param == "prompt.variables.x"


@pytest.mark.parametrize(
    ("variables", "given_values", "param", "words"),
    [
        (["x"], {}, "prompt.variables.x", "Missing"),
        (["x"], {"x": "1", "city": "2"}, "prompt.variables.city", "It has 'x'"),
        ([], {"x": "1"}, "prompt.variables.x", "It has none"),
    ],
)
async def test_a_missing_and_an_unknown_variable_are_named(
    variables: list[str], given_values: Mapping[str, VariableValue], param: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await apply(declare(*variables, text="{{x}}" if variables else "-"), variables=given_values)
    assert raised.value.param == param
    assert words in raised.value.message


async def test_a_default_stands_for_what_is_not_given_and_is_not_echoed() -> None:
    content = declare(Variable(name="x", default="Bergen {{y}}"), Variable(name="y", default=""), text="{{x}}{{y}}")
    ask = await apply(content)
    assert ask.instructions == "Bergen {{y}}"
    assert ask.used_prompt == UsedPrompt(ID, "3", {})
    assert (await apply(content, variables={"x": "Oslo"})).instructions == "Oslo"


async def test_what_the_text_has_no_place_for_may_be_left_out() -> None:
    content = declare("unused", Variable(name="photo", type="image"), text="-")
    assert (await apply(content)).instructions == "-"
    assert len((await apply(content, variables={"unused": "x"})).input) == 1
    assert len((await apply(content, variables={"photo": IMAGE})).input) == 2


async def test_images_and_files_come_as_the_users_message_before_the_input() -> None:
    content = declare("a", "b", "c", text="{{c}} {{b}} {{a}} {{a}}")
    ask = await apply(content, variables={"b": "text", "c": FILE, "a": IMAGE})
    assert ask.instructions == "[File 2: c] text [Image 1: a] [Image 1: a]"
    first, second = ask.input
    assert isinstance(first, Message)
    assert (first.role, first.content, ask.attached) == ("user", [IMAGE, FILE], ("a", "c"))
    assert second == said("user", "Hello")


@pytest.mark.parametrize(
    ("param", "shown"),
    [
        ("input[0].content[0].file_id", "prompt.variables.a.file_id"),
        ("input[0].content[1].file_id", "prompt.variables.c.file_id"),
        ("input[1].content[0].file_id", "input[0].content[0].file_id"),
        ("input[12].output[1].file_id", "input[11].output[1].file_id"),
        ("input[0].id", "input[0].id"),  # a stored item that is named
        ("input[12].id", "input[12].id"),
        ("model", "model"),
        (None, None),
    ],
)
async def test_what_is_refused_of_the_input_is_placed_in_the_request(param: str | None, shown: str | None) -> None:
    ask = await apply(declare("a", "c", text="-"), variables={"a": IMAGE, "c": FILE})
    error = InvalidRequest(f"Invalid '{param}': no.", param=param)
    place_variable(error, ask)
    assert (error.param, error.message) == (shown, f"Invalid '{shown}': no.")


async def test_a_warm_up_has_no_follow_ups_which_would_ask_the_model() -> None:
    ask = await apply(PromptContent(text="-", follow_ups=True))
    assert build_model_request(ask, DEFAULTS).wants_follow_ups is True
    assert build_model_request(replace(ask, is_warm_up=True), DEFAULTS).wants_follow_ups is UNSET


async def test_a_long_value_in_many_places_is_refused_before_it_is_made() -> None:
    content = declare("x", text="{{x}}" * 10_000)
    longest = MAX_FILLED_CHARACTERS // 10_000
    assert len((await apply(content, variables={"x": "v" * longest})).instructions or "") == MAX_FILLED_CHARACTERS
    with pytest.raises(InvalidRequest, match="1,000,000") as raised:
        await apply(content, variables={"x": "v" * 9_000_000})
    assert raised.value.param == "prompt.variables"


@pytest.mark.parametrize("number", [None, 2])
async def test_what_is_unknown_is_a_refusal_of_the_request(number: int | None) -> None:
    prompts = FakePublishedPrompts({ID: Publication(ID, OWNER, 1, 3, {3: declare(text="-")})} if number else {})
    with pytest.raises(NotFound) as raised:
        await apply_prompt(build_ask(prompt=AskedPrompt(ID, number)), prompts)
    assert raised.value.param == ("prompt.version" if number else "prompt.id")
    with pytest.raises(NotFound):
        await apply_prompt(build_ask(prompt=AskedPrompt("pmpt_../x")), prompts)
    assert prompts.reads == 1  # an id that cannot be ours leads to no key


# --- knowledge ---


def search(when: Any = "always", owner: str | None = None) -> PromptContent:
    """A template that searches."""
    return PromptContent(text="-", knowledge=Knowledge(vector_store_ids=[STORE], when=when, owner=owner))


@pytest.mark.parametrize(("when", "told"), [("always", "always"), ("auto", UNSET)])
async def test_a_template_brings_its_search_beside_the_own_tools(when: str, told: Any) -> None:
    function = FunctionTool(name="f")
    ask = await apply(search(when), tools=[function])
    assert ask.tools == [function, FileSearchTool(vector_store_ids=[STORE], when=told)]


async def test_an_own_search_takes_its_place() -> None:
    own = FileSearchTool(vector_store_ids=["vs_other"])
    ask = await apply(search(owner="team"), owner=EVERYBODY, tools=[own])
    assert (ask.tools, ask.granted_stores) == ([own], {})


@pytest.mark.parametrize(
    ("owner", "stores_owner", "searched"),
    [(EVERYBODY, "team", "team"), (EVERYBODY, None, OWNER), (OWNER, None, OWNER), (OWNER, "team", OWNER)],
)
async def test_only_everybodys_templates_let_others_stores_be_searched(
    owner: str, stores_owner: str | None, searched: str
) -> None:
    request = build_model_request(await apply(search(owner=stores_owner), owner=owner), DEFAULTS)
    [tool] = request.tools
    assert isinstance(tool, FileSearchTool)
    assert find_searched_owner(request, tool, asking=OWNER) == searched
    mixed = FileSearchTool(vector_store_ids=[STORE, "vs_other"])
    assert find_searched_owner(request, mixed, asking=OWNER) == OWNER


@pytest.mark.parametrize("choice", [FileSearchChoice(), AllowedTools([FileSearchChoice()]), "required"])
async def test_a_choice_may_be_of_the_templates_search(choice: Any) -> None:
    assert (await apply(search(), tool_choice=choice)).tool_choice == choice
    with pytest.raises(InvalidRequest) as raised:
        await apply(declare(text="-"), tool_choice=choice)
    assert raised.value.param == "tool_choice"
