"""The table of errors, row by row: status, code, place, and the words of the message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_args

import httpx
import pytest
from openai.types.responses import ResponseError

from tests.support.oracle import check_events, read_frames
from tests.support.refusals import (
    UNKNOWN_CONVERSATION,
    UNKNOWN_FILE,
    UNKNOWN_ITEM,
    UNKNOWN_PROMPT,
    UNKNOWN_RESPONSE,
    check_refusal,
)
from tests.support.service import Service
from tests.support.turns import Stream, ask, make_conversation

SLOW = "count to 500 [[standin token_s=0.05]]"
# The codes a failed response may have. OpenAI's package has the specification's list.
RESPONSE_CODES = set(get_args(ResponseError.model_fields["code"].annotation))
RESPONSE_CODES |= {"context_length_exceeded", "insufficient_quota"}  # OpenAI sends them, though its list lacks them
NOT_OURS = ("unknown", "deleted", "anothers")
INVALID = (400, "invalid_request_error")
HANDED_ON = ("/v1/chat/completions", "/v1/embeddings")


@dataclass(frozen=True)
class Row:
    """A request that must be refused, and how. Names in braces in path and body are filled in."""

    name: str
    expected: tuple[int, str]
    method: str = "POST"
    path: str = "/v1/responses"
    body: Any = None
    param: str | None = None
    words: str = ""


def turn(**body: Any) -> dict[str, Any]:
    """The body of a turn."""
    return {"input": "Hello", **body}


def find_bounds() -> list[Row]:
    """Rows whose message names the field and its bound."""
    bounds = [
        ("max_output_tokens", 15, "16"),
        ("max_output_tokens", 0, "16"),
        ("max_tool_calls", 0, "1"),
        ("temperature", -0.01, "0"),
        ("temperature", 2.01, "2"),
        ("top_p", 1.01, "1"),
        ("top_logprobs", 21, "20"),
        ("presence_penalty", 2.01, "2"),
        ("frequency_penalty", -2.01, "-2"),
    ]
    return [
        Row(f"{name}={value}", INVALID, body=turn(**{name: value}), param=name, words=w) for name, value, w in bounds
    ]


def find_shapes() -> list[Row]:
    """Malformed JSON, wrong types, values out of range, unknown enum values: the place is a path."""
    return [
        Row("malformed", INVALID, body=b'{"input": "x"', words="JSON"),
        Row("type", INVALID, body=turn(instructions=3), param="instructions"),
        Row("nested type", INVALID, body={"input": [{"role": "user", "content": 3}]}, param="input[0].content"),
        Row("if_busy", INVALID, body=turn(**{"eps:if_busy": "queue"}), param="eps:if_busy", words="'wait'"),
        Row("enum", INVALID, body={"input": [{"role": "boss", "content": "x"}]}, param="input[0].role"),
        Row("missing", INVALID, body={}, param="input"),
        Row(
            "exclusive",
            INVALID,
            body=turn(conversation=UNKNOWN_CONVERSATION, previous_response_id=UNKNOWN_RESPONSE),
            words="mutually exclusive",
        ),
        Row("items", INVALID, body={"input": [{"role": "user", "content": "x"}] * 5_001}, param="input", words="5,000"),
        *(
            Row(f"{path} {name}", INVALID, path=path, body=body, param=param, words=words)
            for path in HANDED_ON
            for name, body, param, words in (
                ("malformed", b'{"model": ', None, "JSON"),
                ("type", {"model": 3}, "model", "string"),
            )
        ),
        *(
            Row(f"{path} bytes", (413, "request_too_large"), path=path, body={"input": "x" * (10 * 1024 * 1024)})
            for path in HANDED_ON
        ),
        Row("bytes", (413, "request_too_large"), body={"input": "x" * (10 * 1024 * 1024)}, words="10 MB"),
    ]


def find_absences() -> list[Row]:
    """Unknown, deleted, or another owner's: the same answer, with the id in it."""
    rows = []
    for which in NOT_OURS:
        conv, resp, item = f"{{{which}_conv}}", f"{{{which}_resp}}", f"{{{which}_item}}"
        response, conversation = (404, "response_not_found"), (404, "conversation_not_found")
        rows += [
            Row(f"previous {which}", (404, "previous_response_not_found"), body=turn(previous_response_id=resp)),
            Row(f"conversation {which}", conversation, body=turn(conversation=conv)),
            Row(
                f"reference {which}", (404, "item_not_found"), body={"input": [{"type": "item_reference", "id": item}]}
            ),
            *(Row(f"{m} {which}", response, m, f"/v1/responses/{resp}") for m in ("GET", "DELETE")),
            Row(f"cancel {which}", response, path=f"/v1/responses/{resp}/cancel"),
            Row(f"input_items {which}", response, "GET", f"/v1/responses/{resp}/input_items"),
            Row(f"follow_ups {which}", response, path=f"/v1/responses/{resp}/follow_ups"),
            Row(f"feedback {which}", response, "PUT", f"/v1/responses/{resp}/feedback", body={"score": 1}),
            *(Row(f"{m} c {which}", conversation, m, f"/v1/conversations/{conv}") for m in ("GET", "DELETE")),
            Row(f"update c {which}", conversation, path=f"/v1/conversations/{conv}", body={"metadata": {}}),
            Row(f"items {which}", conversation, "GET", f"/v1/conversations/{conv}/items"),
            Row(f"secret {which}", conversation, path="/v1/client_secrets", body={"conversation": conv}),
            Row(f"fork {which}", conversation, path=f"/v1/conversations/{conv}/fork", body={}),
            Row(f"export {which}", conversation, "GET", f"/v1/conversations/{conv}/export"),
            *(
                Row(f"{m} i {which}", (404, "item_not_found"), m, f"/v1/conversations/{{my_conv}}/items/{item}")
                for m in ("GET", "DELETE")
            ),
        ]
    rows += [
        Row(f"{method} {path} unknown", (404, "file_not_found"), method, path.format("{unknown_file}"))
        for method, path in (("GET", "/v1/files/{}"), ("GET", "/v1/files/{}/content"), ("DELETE", "/v1/files/{}"))
    ]
    prompt = (404, "prompt_not_found")
    rows += [
        Row(f"{method} prompt unknown", prompt, method, "/v1/prompts/{unknown_prompt}", body=body, param="prompt_id")
        for method, body in (("GET", None), ("PUT", {"version": 1, "prompt": "x"}), ("DELETE", None))
    ]
    rows.append(Row("prompt unknown", prompt, body=turn(prompt={"id": "{unknown_prompt}"}), param="prompt.id"))
    unknown_model = turn(model="nobody-serves-this")
    return [
        *rows,
        Row("model", (404, "model_not_found"), body=unknown_model, param="model", words="nobody-serves-this"),
    ]


def find_wrong_kinds() -> list[Row]:
    """An id of the wrong kind: the message names the expected prefix."""
    return [
        Row("kind conversation", INVALID, body=turn(conversation="resp_1"), param="conversation", words="'conv_'"),
        Row("kind secret", INVALID, path="/v1/client_secrets", body={"conversation": "resp_1"}, words="'conv_'"),
        Row("kind previous", INVALID, body=turn(previous_response_id="conv_1"), words="'resp_'"),
        *(Row(f"kind {m}", INVALID, m, "/v1/responses/conv_1", words="'resp_'") for m in ("GET", "DELETE")),
        Row("kind cancel", INVALID, path="/v1/responses/msg_1/cancel", words="'resp_'"),
        Row("kind input_items", INVALID, "GET", "/v1/responses/conv_1/input_items", words="'resp_'"),
        Row("kind follow_ups", INVALID, path="/v1/responses/conv_1/follow_ups", words="'resp_'"),
        Row("kind feedback", INVALID, "PUT", "/v1/responses/conv_1/feedback", {"score": 1}, words="'resp_'"),
        *(Row(f"kind c {m}", INVALID, m, "/v1/conversations/resp_1", words="'conv_'") for m in ("GET", "DELETE")),
        Row("kind items", INVALID, "GET", "/v1/conversations/resp_1/items", words="'conv_'"),
        Row("kind export", INVALID, "GET", "/v1/conversations/resp_1/export", words="'conv_'"),
        Row("kind prompt", INVALID, body=turn(prompt={"id": "resp_1"}), param="prompt.id", words="'pmpt_'"),
        Row("kind p GET", INVALID, "GET", "/v1/prompts/resp_1", param="prompt_id", words="'pmpt_'"),
        Row("kind after", INVALID, "GET", "/v1/conversations?after=resp_1", words="'conv_'"),
        *(
            Row(f"kind f {m}", INVALID, m, "/v1/files/vs_1", param="file_id", words="'file-'")
            for m in ("GET", "DELETE")
        ),
        Row("kind f after", INVALID, "GET", "/v1/files?after=vs_1", param="after", words="'file-'"),
        Row("purpose", INVALID, "GET", "/v1/files?purpose=fun", param="purpose", words="'user_data'"),
        Row("limit f", INVALID, "GET", "/v1/files?limit=10001", param="limit", words="10,000"),
    ]


@pytest.fixture(scope="module")
def ids(service: Service) -> dict[str, str]:
    """The ids of existing and deleted objects, and of Bob's."""
    found = {"unknown_conv": UNKNOWN_CONVERSATION, "unknown_resp": UNKNOWN_RESPONSE, "unknown_item": UNKNOWN_ITEM}
    found["unknown_file"] = UNKNOWN_FILE
    found["unknown_prompt"] = UNKNOWN_PROMPT
    for which, key in (("deleted", service.alice_key), ("anothers", service.bob_key), ("my", service.alice_key)):
        with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {key}"}) as client:
            conversation_id = client.post("/v1/conversations", json={}).json()["id"]
            response = client.post("/v1/responses", json=turn(conversation=conversation_id)).json()
            if which == "deleted":
                client.delete(f"/v1/conversations/{conversation_id}")
        item_id = response["output"][0]["id"]
        found |= {f"{which}_conv": conversation_id, f"{which}_resp": response["id"], f"{which}_item": item_id}
    return found


def fill_in(value: Any, ids: dict[str, str]) -> Any:
    """The value with the names in braces replaced."""
    if isinstance(value, str):
        return ids.get(value[1:-1], value) if value.startswith("{") else value
    if isinstance(value, dict):
        return {key: fill_in(inner, ids) for key, inner in value.items()}
    return [fill_in(inner, ids) for inner in value] if isinstance(value, list) else value


ROWS = [*find_bounds(), *find_shapes(), *find_absences(), *find_wrong_kinds()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_row_of_the_table(http: httpx.AsyncClient, ids: dict[str, str], row: Row) -> None:
    path = row.path.format(**ids)
    body = fill_in(row.body, ids)
    content = {"content": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
    answer = await http.request(row.method, path, **content)
    status, code = row.expected
    error = check_refusal(answer, status=status, code=code, param=row.param)
    assert error["type"] == "invalid_request_error"
    assert row.words in error["message"]
    if status == 404 and code != "model_not_found":
        assert any(an_id in error["message"] for an_id in ids.values())


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer nonsense", "Basic eps-test-key", "nonsense"])
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/conversations", "/v1/responses/compact", *HANDED_ON])
async def test_without_a_good_key(http: httpx.AsyncClient, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    request = httpx.Request("POST", http.base_url.join(path), headers=headers, json=turn())
    error = check_refusal(await http.send(request), status=401, code="invalid_api_key")
    assert error["type"] == "authentication_error"


@pytest.fixture
async def busy(http: httpx.AsyncClient) -> AsyncIterator[tuple[str, str]]:
    """A conversation with an active response, and that response."""
    conversation_id = await make_conversation(http)
    stream = Stream.of_turn(http, SLOW, conversation=conversation_id)
    response_id = await stream.get_id()
    yield conversation_id, response_id
    await http.post(f"/v1/responses/{response_id}/cancel")
    await stream.leave()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_busy_conversation(http: httpx.AsyncClient, busy: tuple[str, str], stream: bool) -> None:
    conversation_id, response_id = busy
    answer = await ask(http, "Hello", conversation=conversation_id, stream=stream)
    error = check_refusal(answer, status=409, code="conversation_locked")
    assert error["active_response_id"] == response_id
    assert answer.headers["x-should-retry"] == "false"
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("if_busy", ["Wait", "", 1, ["wait"]])
async def test_a_wrong_word_for_what_to_do_when_busy(http: httpx.AsyncClient, if_busy: Any) -> None:
    answer = await ask(http, "Hello", **{"eps:if_busy": if_busy})
    error = check_refusal(answer, status=400, code="invalid_request_error", param="eps:if_busy")
    assert isinstance(if_busy, int | list) or "'reject', 'interrupt' or 'wait'" in error["message"]


async def test_a_version_that_does_not_follow_on_the_latest(http: httpx.AsyncClient) -> None:
    prompt_id = (await http.post("/v1/prompts", json={"prompt": "x"})).json()["prompt_id"]
    answer = await http.put(f"/v1/prompts/{prompt_id}", json={"version": 2, "prompt": "y"})
    error = check_refusal(answer, status=409, code="prompt_changed", param="version")
    assert error["type"] == "conflict_error"
    assert prompt_id in error["message"]
    assert answer.headers["x-should-retry"] == "false"


async def test_a_key_with_another_body(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": f"table-{id(http)}"}
    await http.post("/v1/responses", json=turn(), headers=headers)
    answer = await http.post("/v1/responses", json=turn(temperature=0.5), headers=headers)
    check_refusal(answer, status=422, code="idempotency_key_reused")


UPSTREAM = [
    ("status=400 code=context_length_exceeded", 400, "context_length_exceeded", "context_length_exceeded"),
    ("status=429 code=insufficient_quota", 429, "insufficient_quota", "insufficient_quota"),
    ("status=429 retry_after=7", 429, "rate_limit_exceeded", "rate_limit_exceeded"),
    ("status=500", 502, "upstream_error", "server_error"),
    ("status=503", 502, "upstream_error", "server_error"),
    ("headers_s=30", 504, "upstream_timeout", "server_error"),
    ("cut_after=2", 502, "upstream_error", "server_error"),
    ("garbage_after=2", 502, "upstream_error", "server_error"),
]


@pytest.mark.parametrize(("directive", "status", "code", "response_code"), UPSTREAM)
async def test_the_model_fails(
    http: httpx.AsyncClient, directive: str, status: int, code: str, response_code: str
) -> None:
    text = f"count to 9 [[standin {directive}]]"
    whole, streamed = await asyncio.gather(ask(http, text), ask(http, text, stream=True))
    check_refusal(whole, status=status, code=code)
    if code == "rate_limit_exceeded":
        assert whole.headers["retry-after"] == "7"
    if code == "insufficient_quota":
        assert whole.headers["x-should-retry"] == "false"
    assert streamed.status_code == 200
    failure = check_events(read_frames(streamed.content))
    assert (failure["status"], failure["error"]["code"]) == ("failed", response_code)
    says_when = "try again in 7 s" in failure["error"]["message"]
    assert says_when == (code == "rate_limit_exceeded")
    assert response_code in RESPONSE_CODES


async def test_every_refusal_can_be_traced(http: httpx.AsyncClient) -> None:
    headers = {"x-request-id": "trace-me-0123456789"}
    answer = await http.post("/v1/responses", json={}, headers=headers)
    assert answer.headers["x-request-id"] == headers["x-request-id"]
    with suppress(httpx.LocalProtocolError):  # the client may refuse to send it
        answer = await http.post("/v1/responses", json={}, headers={"x-request-id": "a b\tc" * 100})
        assert answer.headers["x-request-id"] != "a b\tc" * 100
