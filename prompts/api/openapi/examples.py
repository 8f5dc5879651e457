"""Bodies to begin from, for the OpenAPI document: each is one that the service takes as it stands."""

from typing import Any

from dmr.openapi.objects import Example, MediaTypeMetadata


def _examples(**values: Any) -> MediaTypeMetadata:
    """Named in words: `a_string` is shown as "A string"."""
    return MediaTypeMetadata(
        examples={
            name: Example(summary=name.replace("_", " ").capitalize(), value=value) for name, value in values.items()
        }
    )


_WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_CHAT_MESSAGE = {"role": "user", "content": "Say hello in three languages."}
_GREETING = {"type": "message", "role": "user", "content": "Hello!"}

CREATE_RESPONSE = _examples(
    a_string={"input": "Say hello in three languages."},
    a_stream={"input": "Say hello in three languages.", "stream": True},
    messages={
        "instructions": "Answer in one sentence.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "What is a fjord?"}]}],
        "metadata": {"ticket": "4711"},
    },
    a_tool={"input": "What is the weather in Bergen?", "tools": [_WEATHER]},
    json_after_a_schema={
        "input": "Name a city.",
        "text": {"format": {"type": "json_schema", "name": "city", "schema": _WEATHER["parameters"]}},
    },
)
_GREET = "You welcome {{name}} in the words of {{place}}."
_VARIABLES = [{"name": "place", "type": "enum", "values": ["Bergen", "Berlin"], "default": "Bergen"}]
CREATE_PROMPT = _examples(
    a_text={"prompt": "Answer in one sentence.", "name": "Brief"},
    with_variables={"prompt": _GREET, "variables": ["name", *_VARIABLES], "parameters": {"temperature": 0.2}},
)
EXAMPLE_VERSION = 1
UPDATE_PROMPT = _examples(a_new_text={"version": EXAMPLE_VERSION, "prompt": "Answer in two sentences."})
SET_DEFAULT_VERSION = _examples(the_first={"version": 1})
COMPACT_HISTORY = _examples(messages={"model": "stand-in", "input": [_GREETING]})
COUNT_INPUT = _examples(a_string={"input": "How long is this?"})
CREATE_CONVERSATION = _examples(empty={}, with_items={"items": [_GREETING], "metadata": {"ticket": "4711"}})
UPDATE_CONVERSATION = _examples(metadata={"metadata": {"ticket": "4712"}})
FORK_CONVERSATION = _examples(all_of_it={})
CREATE_ITEMS = _examples(a_message={"items": [_GREETING]})
CREATE_CHAT_COMPLETION = _examples(
    a_message={"messages": [_CHAT_MESSAGE]}, a_stream={"messages": [_CHAT_MESSAGE], "stream": True}
)
CREATE_EMBEDDINGS = _examples(texts={"input": ["A fjord is a long arm of the sea.", "Bergen has seven mountains."]})
PUT_FEEDBACK = _examples(a_thumb_up={"score": 1, "comment": "Exactly what I needed."})

EXAMPLE_FILE_ID = "file-0701982f4c2a7b3c1e5d8f90a1b2c3d4"
_SUPPORT = {"type": "eq", "key": "team", "value": "support"}
CREATE_VECTOR_STORE = _examples(
    empty={}, a_handbook={"name": "Handbook", "expires_after": {"anchor": "last_active_at", "days": 30}}
)
UPDATE_VECTOR_STORE = _examples(a_name={"name": "Rules"}, kept_for_ever={"expires_after": None})
ATTACH_FILE = _examples(a_file={"file_id": EXAMPLE_FILE_ID, "attributes": {"team": "support", "year": 2026}})
SET_FILE_ATTRIBUTES = _examples(attributes={"attributes": {"team": "sales"}})
CREATE_FILE_BATCH = _examples(
    file_ids={"file_ids": [EXAMPLE_FILE_ID]},
    files={"files": [{"file_id": EXAMPLE_FILE_ID, "attributes": {"team": "support"}}]},
)
SEARCH_VECTOR_STORE = _examples(
    a_question={"query": "How many days of holiday are there?"},
    with_a_filter={"query": "holiday", "filters": _SUPPORT, "max_num_results": 3},
)
