"""Whatever is sent to any endpoint: never a server error, always the envelope."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.oracle import check_error
from tests.support.turns import ask, make_conversation

CONVERSATION, RESPONSE = "/v1/conversations/{conv}", "/v1/responses/{resp}"
# Method and path; names in braces are filled in.
ENDPOINTS = [
    ("POST", "/v1/responses"),
    ("POST", "/v1/responses/compact"),
    ("POST", "/v1/responses/input_tokens"),
    ("GET", RESPONSE),
    ("DELETE", RESPONSE),
    ("POST", f"{RESPONSE}/cancel"),
    ("GET", f"{RESPONSE}/input_items"),
    ("POST", f"{RESPONSE}/follow_ups"),
    ("PUT", f"{RESPONSE}/feedback"),
    ("GET", "/v1/conversations"),
    ("POST", "/v1/conversations"),
    ("GET", CONVERSATION),
    ("POST", CONVERSATION),
    ("DELETE", CONVERSATION),
    ("POST", f"{CONVERSATION}/fork"),
    ("GET", f"{CONVERSATION}/items"),
    ("POST", f"{CONVERSATION}/items"),
    ("GET", f"{CONVERSATION}/items/{{item}}"),
    ("DELETE", f"{CONVERSATION}/items/{{item}}"),
    ("GET", f"{CONVERSATION}/export"),
]
WITH_BODY = [endpoint for endpoint in ENDPOINTS if endpoint[0] in ("POST", "PUT")]
WITH_ID = [endpoint for endpoint in ENDPOINTS if "{" in endpoint[1]]

HEX = "0" * 32
ODD_IDS = [
    *(f"{kind}_{HEX}" for kind in ("resp", "conv", "msg", "fc", "fco", "rs", "cmp", "file", "vs", "pmpt", "tl", "rep")),
    *(
        "resp_",
        "conv_",
        "_",
        "x",
        "null",
        "undefined",
        "0",
        "-1",
        "%00",
        "%ff%fe",
        "%0a",
        "%0d%0aSet-Cookie:x",
        "*",
        "{x}",
    ),
    *(
        "resp_%00",
        "conv_%F0%9F%A6%80",
        "conv_" + "0" * 5_000,
        "resp_'; DROP TABLE x; --",
        "resp_[a-z]*",
        "%2e%2e",
    ),
    *("resp_ED%A0%80", "conv_%ED%A0%80", "RESP_" + HEX, " resp_" + HEX, f"resp_{HEX}.json", f"resp_{HEX}%2Fcancel"),
]

DEEP = 20_000
NUL, SURROGATE = '"a\\u0000b"', '"\\ud800"'
VALUES = ["null", "[]", "{}", "3", '"x"', "true", "1e999", "-1e999", str(2**70), "0.1", NUL, SURROGATE]


def build_bodies() -> list[bytes]:
    """Every odd value in every field that means something somewhere."""
    fields = ("input", "items", "metadata", "model", "conversation", "previous_response_id", "before", "after", "score")
    more = ("comment", "tools", "tool_choice", "text", "include", "reasoning", "context_management", "stream", "store")
    whole = [*VALUES, "", " ", "{", "[", '{"a"', '{"input":"x"}{}', "NaN", "{'input': 'x'}", "\ufeff{}"]
    deep = ["[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, '{"input":' + "[" * DEEP]
    each = [f'{{"input":"x","{name}":{value}}}' for name in (*fields, *more) for value in VALUES if name != "stream"]
    keys = [
        '{"input":"x","input":3}',
        '{"input":3,"input":"x"}',
        '{"metadata":{"a":"1","a":2}}',
        '{"":1}',
        '{"__proto__":1}',
    ]
    items = [f'{{"input":[{value}],"items":[{value}]}}' for value in VALUES]
    parts = [f'{{"input":[{{"role":"user","content":[{value}]}}]}}' for value in VALUES]
    typed = [f'{{"input":[{{"type":{value}}}],"items":[{{"type":{value}}}]}}' for value in VALUES]
    raw = [b"\xff\xfe", b"\x00", '{"input":"x"}'.encode("utf-16"), b'{"input":"\xed\xa0\x80"}', b'{"input":"\xff"}']
    return [body.encode() for body in (*whole, *deep, *each, *keys, *items, *parts, *typed)] + raw


BODIES = build_bodies()


@pytest.fixture
async def ids(http: httpx.AsyncClient) -> dict[str, str]:
    """The ids of existing objects."""
    conversation_id = await make_conversation(http)
    response = (await ask(http, "Hello", conversation=conversation_id)).json()
    return {"conv": conversation_id, "resp": response["id"], "item": response["output"][0]["id"]}


def check(answer: httpx.Response, what: object) -> None:
    """Check: no server error; a refusal is a short envelope."""
    assert answer.status_code < 500, f"{what!r}: {answer.text[:500]}"
    assert answer.headers["x-request-id"]
    if answer.status_code >= 400:
        check_error(answer.json())
        assert len(answer.content) < 2_000
    assert "set-cookie" not in answer.headers


@pytest.fixture
async def raw(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """The client without the oracle, which would take most of the time; what is accepted is not tested here."""
    http.event_hooks = {}
    return http


@pytest.mark.parametrize(("method", "path"), WITH_ID)
async def test_odd_ids(raw: httpx.AsyncClient, ids: dict[str, str], method: str, path: str) -> None:
    name = path.rpartition("{")[2].partition("}")[0]
    body = {"json": {"score": 1, "metadata": {}, "items": []}} if method in ("POST", "PUT") else {}
    for odd in ODD_IDS:
        url = path.format(**ids | {name: odd if "%" in odd else quote(odd, safe="")})
        answer = await raw.request(method, url, **body)  # type: ignore[arg-type]  # a body or none
        check(answer, odd)
        assert answer.status_code >= 400, odd


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
async def test_odd_bodies(raw: httpx.AsyncClient, ids: dict[str, str], method: str, path: str) -> None:
    for body in BODIES:
        answer = await raw.request(
            method, path.format(**ids), content=body, headers={"Content-Type": "application/json"}
        )
        check(answer, body[:200])


CONTENT_TYPES = [
    *("text/plain", "application/xml", "multipart/form-data", "multipart/form-data; boundary=x", "application/json/x"),
    *(
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-7",
        "x",
        ";",
        "application/octet-stream",
        "🦀",
    ),
]


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
async def test_odd_content_types(raw: httpx.AsyncClient, ids: dict[str, str], method: str, path: str) -> None:
    for kind in CONTENT_TYPES:
        headers = {b"Content-Type": kind.encode()}
        check(await raw.request(method, path.format(**ids), content=b'{"input":"x"}', headers=headers), kind)


QUERIES = [
    *("limit=0", "limit=-1", "limit=1e3", f"limit={'9' * 400}", "limit=%00", "limit[]=1", "limit=1&limit=2", "after="),
    *(
        "after=%00",
        "after=%ff",
        "after=" + "x" * 5_000,
        "order=",
        "order=%F0%9F%A6%80",
        "stream=maybe",
        "stream=true&x=1",
    ),
    *(
        "starting_after=1e9&stream=true",
        f"limit={'9' * 5_000}",  # more digits than Python makes a number of
        f"starting_after={'9' * 5_000}&stream=true",
        f"starting_after={2**70}&stream=true",
        "include=x",
        "include[]=x",
        "include[0]=x",
    ),
    *("format=xml", "format=%00", "before=x", "query=%00", "=", "&&&", "%", "a" * 8_000, "&".join(["a=1"] * 1_001)),
]


@pytest.mark.parametrize(("method", "path"), [endpoint for endpoint in ENDPOINTS if endpoint[0] == "GET"])
async def test_odd_queries(raw: httpx.AsyncClient, ids: dict[str, str], method: str, path: str) -> None:
    for query in QUERIES:
        check(await raw.request(method, f"{path.format(**ids)}?{query}"), query)


HEADERS: list[dict[str, Any]] = [
    {"Authorization": b"Bearer \xff\xfe"},
    {"Authorization": "Bearer " + "x" * 5_000},
    {"Authorization": "Bearer a b c"},
    {"Idempotency-Key": "x" * 300},
    {"Idempotency-Key": "ü".encode()},
    {"x-stainless-retry-count": "-1"},
    {"x-stainless-retry-count": "9" * 400},
    {"x-stainless-retry-count": "9" * 5_000},  # more digits than Python makes a number of
    {"x-request-id": "x" * 5_000},
    {"Accept": "text/html"},
    {"Accept": "\xff".encode("latin-1")},
    {"Content-Encoding": "gzip"},
    {"Expect": "100-continue"},
    {"X-HTTP-Method-Override": "DELETE"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: next(iter(headers)))
async def test_odd_headers(raw: httpx.AsyncClient, headers: dict[str, Any]) -> None:
    for method, path in (("POST", "/v1/responses"), ("GET", "/v1/conversations"), ("POST", "/v1/conversations")):
        body = {"input": "x"} if path == "/v1/responses" else None
        check(await raw.request(method, path, headers=headers, json=body), headers)


@pytest.mark.parametrize("path", sorted({path for _, path in ENDPOINTS}))
async def test_odd_methods(raw: httpx.AsyncClient, ids: dict[str, str], path: str) -> None:
    known = {method for method, other in ENDPOINTS if other == path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - known:
        answer = await raw.request(method, path.format(**ids))
        check(answer, method)
        assert answer.status_code >= 400 or method == "OPTIONS"


async def test_a_string_of_every_kind_of_character_survives(http: httpx.AsyncClient) -> None:
    text = "".join(chr(code) for code in (*range(1, 0x300), *range(0x2000, 0x2070), 0xFEFF, 0xFFFF, 0x1F980, 0x10FFFF))
    response = (await ask(http, "", input=[{"role": "user", "content": text}], metadata={"k": text[:512]})).json()
    page = (await http.get(f"/v1/responses/{response['id']}")).json()
    assert page["metadata"] == {"k": text[:512]}
    conversation = {"items": [{"role": "user", "content": text}]}
    made = (await http.post("/v1/conversations", content=json.dumps(conversation).encode())).json()["id"]
    items = (await http.get(f"/v1/conversations/{made}/items")).json()
    assert items["data"][0]["content"][0]["text"] == text
