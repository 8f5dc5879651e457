"""The OpenAPI document for a client's developer: every path, every answer, a meaning for every field."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from prompts.api.urls import urlpatterns
from prompts.api.wire.ids import COMPACTION_TRIGGER, REFERENCE
from prompts.domain.item_kinds import KINDS_BY_TYPE
from tests.support.oracle import EVENTS

METHODS = ("get", "post", "put", "delete")
ALWAYS = {"200", "401", "403", "429", "500", "503"}
# Other statuses an operation may answer with, except 413 for its body.
ALSO = {
    "listModels": {"400", "502", "504"},
    "getModel": {"400", "404", "502", "504"},
    "createResponse": {"400", "404", "409", "410", "422", "502", "504"},
    "getResponse": {"400", "404", "410"},
    "compactHistory": {"400", "404", "409", "422", "502", "504"},
    "countInputTokens": {"400", "404", "409", "502", "504"},
    "suggestFollowUps": {"400", "404", "409", "502", "504"},
    "cancelResponse": {"400", "404", "409"},
    "createChatCompletion": {"400", "404", "502", "504"},
    "createEmbeddings": {"400", "404", "502", "504"},
    "createConversationItems": {"400", "404", "409"},
    "uploadFile": {"400"},
    "createPrompt": {"400"},
    "updatePrompt": {"400", "404", "409"},
}


@pytest.fixture
async def document(http: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get("/v1/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and operation."""
    for path, item in document["paths"].items():
        yield from ((path, item[method]) for method in METHODS if method in item)


async def test_it_has_every_endpoint(document: dict[str, Any]) -> None:
    routes = {"/v1/" + re.sub(r"<\w+:(\w+)>", r"{\1}", str(each.pattern)) for each in urlpatterns}
    assert set(document["paths"]) == routes
    assert document["openapi"].startswith("3.1")


async def test_an_operation_has_a_name_for_programs_and_a_sentence_for_people(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(name.isalpha() for name in names)
    tags = {tag["name"] for tag in document["tags"] if tag["description"]}
    for path, operation in operations(document):
        assert operation["summary"], path
        assert set(operation["tags"]) <= tags
        [needed] = operation["security"]
        assert needed["api_key"] in (["read"], ["write"], ["admin"])


async def test_an_operation_names_each_status_it_may_answer(document: dict[str, Any]) -> None:
    for _, operation in operations(document):
        also = ALSO.get(operation["operationId"], {"400", "404"})
        body = {"413"} if "requestBody" in operation else set()
        assert set(operation["responses"]) == ALWAYS | also | body, operation["operationId"]


async def test_a_refusal_is_the_envelope_and_says_when_to_come_back(document: dict[str, Any]) -> None:
    for _, operation in operations(document):
        for status, answer in operation["responses"].items():
            assert answer["headers"]["x-request-id"]["required"]
            told = {name for name in answer["headers"] if name.startswith("x-ratelimit-")}
            assert told == (set(document["components"]["headers"]) if status in ("200", "429") else set())
            if status == "200":
                continue
            assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorEnvelope"}
            assert ("Retry-After" in answer["headers"]) == (status in ("409", "429", "503"))


@pytest.mark.parametrize(("path", "method"), [("/v1/responses", "post"), ("/v1/responses/{response_id}", "get")])
async def test_an_answer_may_be_an_event_stream(document: dict[str, Any], path: str, method: str) -> None:
    answer = document["paths"][path][method]["responses"]["200"]
    assert set(answer["content"]) == {"application/json", "text/event-stream"}
    stream = answer["content"]["text/event-stream"]
    assert all(example["value"].startswith("event: response.") for example in stream["examples"].values())
    assert stream["schema"]["else"]["properties"]["data"]["contentSchema"] == {
        "$ref": "#/components/schemas/StreamEvent"
    }
    assert set(stream["schema"]["properties"]["event"]["enum"]) - {"keepalive", "message"} <= set(EVENTS)


async def test_what_is_handed_on_may_be_a_stream_of_chunks(document: dict[str, Any]) -> None:
    answer = document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]
    [example] = answer["content"]["text/event-stream"]["examples"].values()
    assert example["value"].endswith("data: [DONE]\n\n")


async def test_a_parameter_has_a_meaning_of_its_own_and_is_never_null(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert "/v1/" not in parameter["description"], (path, parameter["name"])
            assert "null" not in str(parameter["schema"])
            assert parameter.get("required", False) == (parameter["in"] == "path")


async def test_a_body_may_be_left_out_where_nothing_in_it_is_needed(document: dict[str, Any]) -> None:
    optional = {
        operation["operationId"]
        for _, operation in operations(document)
        if "requestBody" in operation and not operation["requestBody"].get("required")
    }
    assert optional == {"createClientSecret", "createConversation", "createVectorStore", "forkConversation"}


async def test_every_key_of_a_response_is_always_there(document: dict[str, Any]) -> None:
    response = document["components"]["schemas"]["Response"]
    assert set(response["properties"]) - set(response["required"]) == {
        *("conversation", "prompt", "eps:model_input", "eps:ignored", "eps:usage_estimated", "eps:notices"),
    }


async def test_no_mark_of_ours_is_left_in_it(document: dict[str, Any]) -> None:
    assert "x-" not in {key[:2] for schema in document["components"]["schemas"].values() for key in schema}


async def test_what_stands_for_a_variable_has_its_types(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    [given, _null] = schemas["PromptParam"]["properties"]["variables"]["anyOf"]
    parts = [each["$ref"].rpartition("/")[2] for each in given["additionalProperties"]["anyOf"] if "$ref" in each]
    assert parts == ["InputTextPart", "InputImagePart", "InputFilePart"]
    assert set(parts) < set(schemas)


async def test_the_options_of_a_search_have_their_bounds(document: dict[str, Any]) -> None:
    """Another struct of the same name would take their place."""
    schemas = document["components"]["schemas"]
    place = schemas["SearchVectorStore"]["properties"]["ranking_options"]["anyOf"][0]["$ref"]
    options = schemas[place.rpartition("/")[2]]
    assert options["additionalProperties"] is False
    assert set(options["properties"]) == {"ranker", "score_threshold"}
    assert "default-2024-11-15" in str(options["properties"]["ranker"])


async def test_an_input_item_is_one_of_its_kinds(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    kinds = [schemas[each["$ref"].rpartition("/")[2]] for each in schemas["InputItem"]["oneOf"]]
    assert len(kinds) == len(KINDS_BY_TYPE) + len((REFERENCE, COMPACTION_TRIGGER))
    assert all(kind["additionalProperties"] is False for kind in kinds)
    assert [kind["title"] for kind in kinds if "type" not in kind["required"]] == ["InputMessage"]
