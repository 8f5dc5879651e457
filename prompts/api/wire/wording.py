"""What msgspec says of a value that does not fit, in words that tell a client what to do."""

import re

from prompts.api.wire.ids import REFERENCE
from prompts.domain.item_kinds import KINDS_BY_TYPE
from prompts.errors import InvalidRequest

# msgspec ends its messages with the place: "Expected `str`, got `int` - at `$.input[0].role`". The key of a dictionary
# it does not tell: "… - at `$.metadata[...]`" is a value's fault, "… - at `key` in `$.metadata`" a key's.
_PLACE = re.compile(r"(?P<what>.*?)(?: - at (?P<of_key>`key` in )?`\$\.?(?P<path>.*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?P<fault>contains unknown|missing required) field `(?P<field>.*)`", re.DOTALL)
_BOUND = re.compile(r"Expected `(?P<type>\w+)` (?P<length>of length )?(?P<sign>[<>]=) (?P<bound>\S+)")
_TYPES = re.compile(r"Expected `(?P<types>[^`]*)`(?:, got `(?P<got>\w+)`)?")
_CHOICE = re.compile(r"Invalid (?:enum )?value '?(?P<value>.*?)'?", re.DOTALL)

_NOUNS = {
    "array": "an array",
    "bool": "true or false",
    "float": "a number",
    "int": "an integer",
    "null": "null",
    "object": "an object",
    "str": "a string",
}
_SIGNS = {">=": "at least", "<=": "at most"}
_UNITS = {"str": "characters", "array": "entries", "object": "entries"}
# By the end of the path; msgspec does not say which values it would take.
_CHOICES = (
    (
        re.compile(r"^variables\[\d+\]\.type$|^variable_details\[\d+\]\.type$"),
        "'any', 'string', 'number', 'enum', 'image' or 'file'",
    ),
    (re.compile(r"^prompt\.variables\..*\.type$"), "'input_text', 'input_image' or 'input_file'"),
    (re.compile(r"^knowledge\.when$"), "'always' or 'auto'"),
    (
        re.compile(r"\.content\[\d+\]\.type$"),
        "'input_text', 'input_image', 'input_file', 'output_text', 'refusal' or 'reasoning_text'",
    ),
    (re.compile(r"\.output\[\d+\]\.type$"), "'input_text', 'input_image' or 'input_file'"),
    (re.compile(r"\.summary\[\d+\]\.type$"), "'summary_text'"),
    (re.compile(r"^tools.*format\.type$"), "'text' or 'grammar'"),
    (re.compile(r"format\.type$"), "'text', 'json_object' or 'json_schema'"),
    (
        re.compile(r"^tool_choice\.type$"),
        "'function', 'custom', 'namespace', 'tool_search', 'local_shell' or 'allowed_tools'",
    ),
    (re.compile(r"^tool_choice(\.mode)?$"), "'none', 'auto' or 'required'"),
    (re.compile(r"\]\.type$"), f"{', '.join(map(repr, KINDS_BY_TYPE))} or {REFERENCE!r}"),
    (re.compile(r"\.phase$"), "'commentary' or 'final_answer'"),
    (re.compile(r"^truncation$"), "'auto' or 'disabled'"),
    (re.compile(r"\.role$"), "'user', 'assistant', 'system' or 'developer'"),
    (re.compile(r"\.status$"), "'in_progress', 'completed' or 'incomplete'"),
    (re.compile(r"chunking_strategy\.type$"), "'auto' or 'static'"),
    (re.compile(r"^expires_after\.anchor$"), "'last_active_at'"),
    (re.compile(r"^ranking_options\.ranker$"), "'auto', 'none' or 'default-2024-11-15'"),
    (re.compile(r"^filter$"), "'in_progress', 'completed', 'failed' or 'cancelled'"),
    (re.compile(r"^format$"), "'json' or 'markdown'"),
    (re.compile(r"^score$"), "-1, 0 or 1"),
    (re.compile(r"^purpose$"), "'assistants', 'batch', 'fine-tune', 'vision', 'user_data' or 'evals'"),
    (re.compile(r"^order$"), "'asc' or 'desc'"),
    (re.compile(r"^eps:if_busy$"), "'reject', 'interrupt' or 'wait'"),
)


def invalid(reason: str, *, key: str | None = None, under: str = "") -> InvalidRequest:
    """An InvalidRequest for msgspec's words; `key` is the dictionary's key that msgspec did not tell.

    `under` is the place of what was looked at, when that was not the whole body.
    """
    place = _PLACE.fullmatch(reason)
    assert place is not None  # the pattern matches any text
    path, of_key = place["path"] or "", place["of_key"] is not None
    is_query = path.startswith("parsed_query")
    path = path.removeprefix("parsed_body").removeprefix("parsed_query").removeprefix(".").removesuffix("[...]")
    if under:
        path = f"{under}{path}" if path.startswith("[") else f"{under}.{path}".removesuffix(".")
    if key is not None:
        path = f"{path}.{key}"
    if at_field := _FIELD.fullmatch(place["what"]):
        path = f"{path}.{at_field['field']}" if path else at_field["field"]
        fault = "Unknown parameter" if at_field["fault"] == "contains unknown" else "Missing required parameter"
        return InvalidRequest(f"{fault}: '{path}'.", param=path)
    rule = _rule(place["what"], path, is_query)
    if not path:
        return InvalidRequest(f"The body {rule}.")
    return InvalidRequest(f"Invalid '{path}': {'the key ' if of_key else ''}{rule}.", param=path)


def _rule(what: str, path: str, is_query: bool) -> str:
    """What the value must be: "must be an integer of at least 16"."""
    if bound := _BOUND.fullmatch(what):
        limit = f"{_SIGNS[bound['sign']]} {float(bound['bound']):,g}" if bound["type"] == "float" else ""
        limit = limit or f"{_SIGNS[bound['sign']]} {int(bound['bound']):,}"
        return f"must be {_NOUNS[bound['type']]} of {limit}{_unit(bound)}"
    if "matching regex" in what:
        return "must be 1 to 64 letters, digits, '_' or '-'"
    if types := _TYPES.fullmatch(what):
        wanted = [name for name in types["types"].split(" | ") if name != "null"] or ["null"]
        got = "" if types["got"] is None or is_query else f", not {_got(types['got'], wanted)}"
        return f"must be {' or '.join(_NOUNS.get(name, name) for name in wanted)}{got}"
    if choice := _CHOICE.fullmatch(what):
        allowed = next((allowed for end, allowed in _CHOICES if end.search(path)), None)
        return f"must be {allowed or 'one of the values the API knows'}, not '{choice['value']}'"
    if "out of range" in what:
        return "must be a smaller number"
    return f"is not valid ({what.replace('`', chr(39))})"


def _unit(bound: re.Match[str]) -> str:
    if bound["length"] is None:
        return ""
    unit = _UNITS[bound["type"]]
    return f" {unit}" if bound["bound"] != "1" else f" {'entry' if unit == 'entries' else 'character'}"


def _got(got: str, wanted: list[str]) -> str:
    if got == "float" and "int" in wanted:
        return "a number with a decimal point"
    return "a boolean" if got == "bool" else _NOUNS.get(got, got)


def shorten(value: str) -> str:
    """A client's own word as an error repeats it."""
    return value[:80].encode("ascii", "backslashreplace").decode()
