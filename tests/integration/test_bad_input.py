"""Bad input is refused: the envelope names the place and says what to do, and nothing is stored."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from redis.asyncio import Redis

from prompts.domain.nesting import MAX_DEPTH
from tests.support.service import Service
from tests.support.upkeep import list_upkeep

JSON = {"Content-Type": "application/json"}
MAX_BODY_BYTES = 10 * 1024 * 1024
UNKNOWN_CONVERSATION = "conv_" + "0" * 32
UNKNOWN_RESPONSE = "resp_" + "0" * 32
# Text that careless code could take for a key, a pattern, a path or a header.
HOSTILE_IDS = (
    "{}",
    "*",
    "1",
    "00\n",
    "0" * 32 + "\n",
    "ü🦀",
    "../",
    "0" * 10_000,
    "",
    "0" * 31,
    "F" * 32,
    "{00}:conv:x",
)

Refused = Callable[[httpx.Response], Awaitable[dict[str, Any]]]


@pytest.fixture
async def redis(service: Service) -> AsyncIterator[Redis]:
    """The service's own Redis."""
    async with Redis.from_url(service.valkey.url) as client:
        yield client


@pytest.fixture
async def nothing_stored(redis: Redis) -> AsyncIterator[None]:
    """Check that no key appears in Redis."""
    before = set(await redis.keys()) | list_upkeep()
    yield
    assert set(await redis.keys()) <= before


async def post(http: httpx.AsyncClient, body: object, path: str = "/v1/responses") -> httpx.Response:
    """POST a body: bytes as they are, anything else as JSON."""
    return await http.post(path, content=body if isinstance(body, bytes) else json.dumps(body), headers=JSON)


def refusal(answer: httpx.Response, status: int = 400, code: str = "invalid_request_error") -> dict[str, Any]:
    """The error, checked: a sentence for people, and a code for programs."""
    assert answer.status_code == status, answer.text
    assert "x-request-id" in answer.headers
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == code
    assert error["message"].endswith((".", ")")), error["message"]
    assert "`" not in error["message"], "the words of a library"
    assert len(answer.content) < 2_000, "what a client sends does not come back to it by the megabyte"
    return error


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{", "ends too early"),
        (b'{"input":"x"', "ends too early"),
        (b'{"input":"x"} {}', "trailing characters"),
        (b'{"input":"\xff"}', "UTF-8"),
        ('{"input":"x"}'.encode("utf-16"), "not valid JSON"),
        (b'\xef\xbb\xbf{"input":"x"}', "not valid JSON"),
        (b'{"input":"x","temperature":NaN}', "invalid character at byte 27"),
        (b'{"input":"x","temperature":-Infinity}', "not valid JSON"),
        (b'{"input":"\\ud800"}', "not valid JSON"),
        (b'{"input":"\\udc00 and more"}', "surrogate"),
        (b'{"input":"a raw \x00"}', "not valid JSON"),
        (b"[]", "must be an object, not an array"),
        (b"null", "must be an object, not null"),
        (b"3", "must be an object, not an integer"),
        (b'"x"', "must be an object, not a string"),
        (b'{"input":"x","prompt":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"input":"x","prompt":' + b'{"a":' * 100_000, "nested too deeply"),
        (b'{"input":"x","metadata":{"k":1},"tools":' + b"[" * 100_000, "nested too deeply"),
    ],
)
async def test_what_is_no_json_object(http: httpx.AsyncClient, body: bytes, reason: str) -> None:
    error = refusal(await post(http, body))
    assert reason in error["message"]
    assert error["param"] is None


def say(**message: Any) -> dict[str, Any]:
    """A body whose second input item is this."""
    return {"input": [{"role": "user", "content": "Hello"}, {"role": "user", "content": "Hi"} | message]}


def part(**fields: Any) -> dict[str, Any]:
    """A body whose second input item has this content part."""
    return say(content=[fields])


def but(**parameters: Any) -> dict[str, Any]:
    """A good body with these changes."""
    return {"input": "Hello"} | parameters


WRONG: list[tuple[object, str, str]] = [
    # Types.
    ({}, "input", "Missing required parameter"),
    (but(input=1), "input", "a string or an array, not an integer"),
    (but(input=None), "input", "Missing required parameter"),
    (but(input={}), "input", "not an object"),
    (but(input=[]), "input", "at least 1 entry"),
    (but(input=["x"]), "input[0]", "an object, not a string"),
    (but(temperature="1"), "temperature", "a number, not a string"),
    (but(stream="yes"), "stream", "true or false"),
    (but(stream=1), "stream", "true or false"),
    (but(instructions=["x"]), "instructions", "a string"),
    (but(model=5), "model", "a string"),
    (but(model=""), "model", "at least 1 character"),
    (but(model="x" * 257), "model", "at most 256 characters"),
    (but(conversation=3), "conversation", "a string or an object"),
    (but(conversation={}), "conversation.id", "Missing"),
    (but(conversation={"id": 1}), "conversation.id", "a string"),
    (but(previous_response_id=3), "previous_response_id", "a string"),
    (but(tools={}), "tools", "an array"),
    (but(include=[1]), "include[0]", "a string"),
    (but(top_logprobs=False), "top_logprobs", "an integer"),
    # Items.
    (say(role=None), "input[1].role", "Missing"),
    (say(role="x"), "input[1].role", "'user', 'assistant', 'system' or 'developer', not 'x'"),
    (say(content=None), "input[1].content", "Missing required parameter"),
    (say(status="x"), "input[1].status", "'in_progress'"),
    (say(type="nonsense"), "input[1].type", "or 'item_reference', not 'nonsense'"),
    (say(type=3), "input[1].type", "a string"),
    ({"input": [{"role": "user"}]}, "input[0].content", "Missing"),
    ({"input": [{"content": "x"}]}, "input[0].role", "Missing"),
    (part(type="input_text", text=1), "input[1].content[0].text", "a string, not an integer"),
    (part(type="input_text"), "input[1].content[0].text", "Missing"),
    (part(text="x"), "input[1].content[0].type", "Missing"),
    (part(type="input_audio"), "input[1].content[0].type", "'input_text', 'input_image', 'input_file'"),
    (part(type="output_text", text="x"), "input[1].content[0].type", "Use 'input_text'"),
    (part(type="refusal", refusal="x"), "input[1].content[0].type", "Use 'input_text'"),
    # Bounds.
    (but(max_output_tokens=15), "max_output_tokens", "an integer of at least 16"),
    (but(max_output_tokens=-1), "max_output_tokens", "at least 16"),
    (but(max_output_tokens=16.5), "max_output_tokens", "an integer, not a number with a decimal point"),
    (but(max_output_tokens=2**70), "max_output_tokens", "at most 2,147,483,648"),
    (but(max_tool_calls=0), "max_tool_calls", "at least 1"),
    (but(temperature=2.1), "temperature", "a number of at most 2"),
    (but(temperature=-0.1), "temperature", "at least 0"),
    (but(temperature=2**70), "temperature", "at most 2"),
    (b'{"input":"x","temperature":1e999}', "temperature", "a smaller number"),
    (b'{"input":"x","max_output_tokens":1e999}', "max_output_tokens", ""),
    (but(top_p=1.01), "top_p", "at most 1"),
    (but(top_p=-1), "top_p", "at least 0"),
    (but(presence_penalty=2.5), "presence_penalty", "at most 2"),
    (but(frequency_penalty=-2.5), "frequency_penalty", "at least -2"),
    (but(top_logprobs=21), "top_logprobs", "at most 20"),
    ({"input": [{"role": "user", "content": "x"}] * 10_000}, "input", "at most 5,000 entries"),
    # Metadata.
    (but(metadata=[]), "metadata", "an object"),
    (but(metadata={"a": "x", "k": 1}), "metadata.k", "a string, not an integer"),
    (but(metadata={"a": "x", "k": None}), "metadata.k", "a string, not null"),
    (but(metadata={"k": {"a": "b"}}), "metadata.k", "a string, not an object"),
    (but(metadata={"k": "x" * 513}), "metadata.k", "at most 512 characters"),
    (but(metadata={"k" * 65: "x"}), "metadata." + "k" * 65, "the key must be a string of at most 64 characters"),
    (but(metadata={str(n): "x" for n in range(17)}), "metadata", "at most 16 entries"),
    # After the fault the body may be no JSON at all.
    (b'{"input":"x","metadata":{"k":1},', "metadata", "a string"),
    (b'{"metadata":{"k":1},"metadata":3,"input":"x"}', "metadata", "a string"),
    # A name ends where it ends.
    (but(input=[{"type": "function_call", "call_id": "c", "name": "abc\n", "arguments": "{}"}]), "input[0].name", ""),
    (but(tools=[{"type": "function", "name": "abc\n"}]), "tools[0].name", ""),
    # NUL, which SQL databases cannot store.
    (but(input="x\0"), "input", "NUL"),
    (but(instructions="\0"), "instructions", "NUL"),
    (but(metadata={"k": "a\0"}), "metadata.k", "NUL"),
    (but(metadata={"a\0b": "x"}), "metadata", "NUL"),
    (say(content="a\0b"), "input[1].content", "NUL"),
    (part(type="input_text", text="\0"), "input[1].content[0].text", "NUL"),
    # References.
    (but(conversation="resp_1"), "conversation", "'conv_'"),
    (but(conversation={"id": "resp_1"}), "conversation", "'conv_'"),
    (but(conversation=""), "conversation", "'conv_'"),
    (but(previous_response_id="conv_1"), "previous_response_id", "'resp_'"),
    (but(previous_response_id="ü" * 10_000), "previous_response_id", "'resp_'"),
    (
        but(conversation=UNKNOWN_CONVERSATION, previous_response_id=UNKNOWN_RESPONSE),
        "previous_response_id",
        "mutually exclusive",
    ),
]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(("body", "param", "words"), WRONG)
async def test_a_wrong_parameter_is_named_with_its_rule(
    http: httpx.AsyncClient, body: object, param: str, words: str
) -> None:
    error = refusal(await post(http, body))
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert words in error["message"]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_stream_that_cannot_begin_is_an_ordinary_refusal(http: httpx.AsyncClient, stream: bool) -> None:
    unknown = await post(http, but(model="nobody-serves-this", stream=stream))
    assert refusal(unknown, 404, "model_not_found")["param"] == "model"
    assert "'nobody-serves-this'" in unknown.text
    wrong = await post(http, but(temperature=3, stream=stream))
    assert refusal(wrong)["param"] == "temperature"


async def test_a_refused_turn_leaves_its_conversation_free(http: httpx.AsyncClient, redis: Redis) -> None:
    conversation = (await http.post("/v1/conversations")).json()
    before = set(await redis.keys()) | list_upkeep()
    faults: list[dict[str, Any]] = [{"model": "nobody-serves-this"}, {"temperature": 3}, {"tools": [{}]}]
    for fault in faults:
        assert (await post(http, but(conversation=conversation["id"], **fault))).is_client_error
    assert set(await redis.keys()) <= before
    assert (await http.get(f"/v1/conversations/{conversation['id']}")).json() == conversation


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("hostile", HOSTILE_IDS)
async def test_unknown_ids(http: httpx.AsyncClient, hostile: str) -> None:
    conversation, response = f"conv_{hostile}", f"resp_{hostile}"
    answer = await post(http, but(conversation=conversation))
    assert refusal(answer, 404, "conversation_not_found")["param"] == "conversation"
    answer = await post(http, but(previous_response_id=response))
    assert refusal(answer, 404, "previous_response_not_found")["param"] == "previous_response_id"
    answer = await http.get("/v1/conversations", params={"after": conversation})
    assert refusal(answer, 404, "conversation_not_found")["param"] == "after"
    if "/" in hostile:  # becomes another path, which does not exist
        return
    for path in (f"/v1/conversations/{quote(conversation)}", f"/v1/conversations/{quote(conversation)}/items"):
        assert refusal(await http.get(path), 404, "conversation_not_found")["param"] == "conversation_id"
    answer = await http.get(f"/v1/responses/{quote(response)}")
    assert refusal(answer, 404, "response_not_found")["param"] == "response_id"


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/v1/responses/conv_1", "resp_"),
        ("/v1/responses/%ff%00", "resp_"),
        ("/v1/responses/%F0%9F%A6%80", "resp_"),
        ("/v1/conversations/resp_1", "conv_"),
        ("/v1/conversations/msg_1/items", "conv_"),
        ("/v1/conversations?after=resp_1", "conv_"),
    ],
)
async def test_an_id_of_the_wrong_kind_is_told_its_prefix(http: httpx.AsyncClient, path: str, prefix: str) -> None:
    assert f"'{prefix}'" in refusal(await http.get(path))["message"]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/conversations", {"items": [{"role": "user", "content": "x"}] * 1_001}, "items"),
        ("/v1/conversations", {"items": [{"role": "x", "content": "x"}]}, "items[0].role"),
        ("/v1/conversations", {"metadata": {"k": 1}}, "metadata.k"),
        ("/v1/conversations", {"eps:title": 3}, "eps:title"),
        ("/v1/conversations", [], None),
        (f"/v1/conversations/{UNKNOWN_CONVERSATION}", {}, "metadata"),
        (f"/v1/conversations/{UNKNOWN_CONVERSATION}", b"", None),
        (f"/v1/conversations/{UNKNOWN_CONVERSATION}/items", {}, "items"),
        (f"/v1/conversations/{UNKNOWN_CONVERSATION}/items", {"items": []}, "items"),
        (
            f"/v1/conversations/{UNKNOWN_CONVERSATION}/items",
            {"items": [{"role": "user", "content": "\0"}]},
            "items[0].content",
        ),
    ],
)
async def test_wrong_bodies_of_conversations(
    http: httpx.AsyncClient, path: str, body: object, param: str | None
) -> None:
    assert refusal(await post(http, body, path))["param"] == param


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("query", "param", "words"),
    [
        ("limit=0", "limit", "at least 1"),
        ("limit=101", "limit", "at most 100"),
        ("limit=x", "limit", "an integer"),
        ("limit=", "limit", "an integer"),
        ("limit=1.5", "limit", "an integer"),
        (f"limit={'9' * 5_000}", "limit", ""),
        ("limit=%ff%00", "limit", "an integer"),
        ("order=foo", "order", "'asc' or 'desc'"),
        ("foo=1", "foo", "Unknown parameter"),
        ("limit[]=1", "limit[]", "Unknown parameter"),
        ("&".join(["a=1"] * 1_001), None, "too many parameters"),
    ],
)
async def test_wrong_queries(http: httpx.AsyncClient, query: str, param: str | None, words: str) -> None:
    error = refusal(await http.get(f"/v1/conversations/{UNKNOWN_CONVERSATION}/items?{query}"))
    assert error["param"] == param
    assert words in error["message"]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("starting_after=1", "invalid_request_error"),
        ("starting_after=-1&stream=true", "invalid_request_error"),
        ("include_obfuscation=x", "invalid_request_error"),
        ("stream=x", "invalid_request_error"),
        ("foo=1", "invalid_request_error"),
    ],
)
async def test_wrong_queries_of_a_response(http: httpx.AsyncClient, query: str, code: str) -> None:
    error = refusal(await http.get(f"/v1/responses/{UNKNOWN_RESPONSE}?{query}"), code=code)
    assert error["param"] == query.partition("=")[0]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "content_type", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
async def test_a_body_of_another_content_type(http: httpx.AsyncClient, content_type: str) -> None:
    answer = await http.post("/v1/responses", content=b'{"input":"x"}', headers={"Content-Type": content_type})
    assert "application/json" in refusal(answer)["message"]


@pytest.mark.parametrize(
    "content_type", ["APPLICATION/JSON", "application/json; charset=utf-16", "application/json; charset=hex", ""]
)
async def test_json_is_read_as_utf8_whatever_its_charset_says(http: httpx.AsyncClient, content_type: str) -> None:
    body = json.dumps(but(), ensure_ascii=False).encode()
    answer = await http.post("/v1/responses?x=1", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 200
    listing = await http.get("/v1/conversations?limit=1", headers={"Content-Type": content_type})
    assert listing.status_code == 200


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *((method, "/v1/responses", "POST") for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")),
        ("POST", f"/v1/responses/{UNKNOWN_RESPONSE}", "DELETE, GET"),
        ("DELETE", "/v1/conversations", "GET, POST"),
        ("PUT", f"/v1/conversations/{UNKNOWN_CONVERSATION}", "DELETE, GET, POST"),
        ("POST", "/v1/models", "GET"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    http: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await http.request(method, path)
    assert f"Use {allowed}." in refusal(answer, 405, "method_not_allowed")["message"]
    assert answer.headers["allow"] == allowed


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/foo",
        "/v1/responses/",
        "/v1//responses",
        "/v1/responses/%2e%2e%2fmodels",
        "/v1/docs/x",
        "/v1/" + "x" * 10_000,
    ],
)
async def test_an_unknown_path(http: httpx.AsyncClient, path: str) -> None:
    refusal(await http.get(path), 404, "unknown_url")


async def test_an_unknown_model_by_its_path(http: httpx.AsyncClient) -> None:
    for name in ("nope", "a/b/c", "x" * 10_000):
        assert refusal(await http.get(f"/v1/models/{name}"), 404, "model_not_found")["param"] == "model"


async def pieces(size: int) -> AsyncIterator[bytes]:
    """A body without a Content-Length."""
    for _ in range(size // 2**20):
        yield b" " * 2**20


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_of_eleven_megabytes(http: httpx.AsyncClient, is_chunked: bool) -> None:
    size = 11 * 2**20
    answer = await http.post("/v1/responses", content=pieces(size) if is_chunked else b" " * size, headers=JSON)
    assert "10 MB" in refusal(answer, 413, "request_too_large")["message"]
    assert (await http.get("/v1/models")).status_code == 200, "the connection, or a new one, goes on"


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "body",
    [
        b'{"input":[' + b"{}," * 3_300_000 + b"{}]}",
        b'{"foo":1,"input":[' + b"{}," * 3_300_000 + b"{}]}",
        b'{"input":"x","foo":[' + b"[]," * 3_300_000 + b"[]]}",
        b'{"input":"x","foo":[' + b"1," * 5_000_000 + b"1]}",
        b'{"input":"x",' + b",".join(b'"f%07d":1' % number for number in range(700_000)) + b"}",
    ],
    ids=["items", "items after an unknown field", "lists", "numbers", "unknown fields"],
)
async def test_a_body_of_millions_of_values_is_refused_before_it_is_read(http: httpx.AsyncClient, body: bytes) -> None:
    assert "500,000 values" in refusal(await post(http, body), 413, "request_too_large")["message"]


@pytest.mark.parametrize("text", ["{[,", "\\", '\\",{[', 'x\\\\",['], ids=repr)
async def test_what_stands_in_strings_is_no_value(http: httpx.AsyncClient, text: str) -> None:
    content = text * 600_000
    answer = await post(http, {"model": "stand-in", "input": content}, "/v1/responses/input_tokens")
    assert answer.status_code == 200, answer.text


async def test_a_body_at_the_limit_is_read(http: httpx.AsyncClient) -> None:
    body = json.dumps(but()).encode()
    assert (await post(http, body.ljust(MAX_BODY_BYTES))).status_code == 200
    refusal(await post(http, body.ljust(MAX_BODY_BYTES + 1)), 413, "request_too_large")


async def test_values_at_their_bounds_are_accepted(http: httpx.AsyncClient) -> None:
    metadata = {f"{n:064}": "ü" * 512 for n in range(16)}
    edges = {"temperature": 2, "top_p": 0, "presence_penalty": -2, "max_output_tokens": 16, "metadata": metadata}
    answer = await post(http, but(**edges))
    assert answer.status_code == 200
    assert answer.json()["metadata"] == metadata
    items = [{"role": "user", "content": "x"}] * 5_000
    assert (await post(http, {"input": items})).status_code == 200


async def test_of_two_equal_json_keys_the_last_one_counts(http: httpx.AsyncClient) -> None:
    answer = await post(http, b'{"input":"repeat: one","input":"repeat: two"}')
    assert answer.json()["output"][0]["content"][0]["text"] == "two"


@pytest.mark.usefixtures("nothing_stored")
async def test_nesting_at_the_interpreters_limit_is_refused_too(http: httpx.AsyncClient) -> None:
    for depth in (MAX_DEPTH, 800, *range(950, 1_000, 7), 1_500):
        body = b'{"input":"x","tools":' + b"[" * depth + b'"\\u0000"' + b"]" * depth + b"}"
        refusal(await post(http, body))


@pytest.mark.parametrize(
    ("before", "place"),
    [
        ('{"input":"x","chat_template_kwargs":', "chat_template_kwargs[0][0]"),
        ('{"input":"x","tools":[{"type":"function","name":"f","parameters":{"x":', "tools[0].parameters"),
        ('{"input":[{"role":"user","content":"x"},{"type":"web_search_call","action":', "input[1].action"),
    ],
)
async def test_a_body_is_as_deep_as_may_be_and_no_deeper(http: httpx.AsyncClient, before: str, place: str) -> None:
    after = "".join({"{": "}", "[": "]"}[mark] for mark in reversed(_list_open(before)))
    left = MAX_DEPTH - len(after)
    answer = await post(http, f"{before}{'[' * left}{']' * left}{after}".encode())
    assert answer.json()["status"] == "completed"
    for depth in (left + 1, 966, 989, 1_500):
        refused = refusal(await post(http, f"{before}{'[' * depth}{']' * depth}{after}".encode()))
        assert "nested too deeply" in refused["message"], depth
        assert refused["param"] in {place, None if depth > 900 else place}


@pytest.mark.usefixtures("nothing_stored")
async def test_arguments_of_a_call_that_few_could_read_are_refused(http: httpx.AsyncClient) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "[" * 1_500 + "]" * 1_500}
    refused = refusal(await post(http, {"input": [{"role": "user", "content": "x"}, call]}))
    assert refused["param"] == "input[1].arguments"


def _list_open(text: str) -> list[str]:
    """The brackets that are not closed; no string holds any."""
    left: list[str] = []
    for mark in text:
        if mark in "{[":
            left.append(mark)
        elif mark in "}]":
            left.pop()
    return left


@pytest.mark.usefixtures("nothing_stored")
async def test_a_megabyte_of_a_name_or_value_does_not_come_back(http: httpx.AsyncClient) -> None:
    for body in (say(role="x" * 2**20), but(metadata={"x" * 2**20: "x"})):
        refusal(await post(http, body))


@pytest.mark.parametrize("given", ["a", "req-1:2.3_4", "x" * 128])
async def test_a_sane_request_id_is_taken_over(http: httpx.AsyncClient, given: str) -> None:
    assert (await http.get("/v1/models", headers={"x-request-id": given})).headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given", [b"", b"a b", b"x" * 129, "ü".encode(), b'"', b"a,b", b"<script>", b"%0d%0a", b"\xff"]
)
async def test_another_request_id_is_replaced(http: httpx.AsyncClient, given: bytes) -> None:
    answer = await http.get("/v1/models", headers=[(b"x-request-id", given)])
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Bearer",
        b"Basic eA==",
        b"{key}",
        b"Bearer {key} x",
        b"Bearer {key}, Bearer {key}",
        b'Bearer "{key}"',
        b"Bearer \xff\xfe",
        "Bearer ключ".encode(),
        b"Bearer " + b"x" * 20_000,
        b"Token {key}",
        b"Bearer={key}",
    ],
)
async def test_an_authorization_in_an_odd_form(http: httpx.AsyncClient, service: Service, authorization: bytes) -> None:
    header = authorization.replace(b"{key}", service.alice_key.encode())
    answer = await http.post("/v1/responses", json=but(), headers=[(b"Authorization", header)])
    assert refusal(answer, 401, "invalid_api_key")["type"] == "authentication_error"
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_scheme_counts_in_any_case_and_blanks_do_not(http: httpx.AsyncClient, service: Service) -> None:
    for authorization in (f"bearer {service.alice_key}", f"BEARER   {service.alice_key}"):
        assert (await http.get("/v1/models", headers={"Authorization": authorization})).status_code == 200
