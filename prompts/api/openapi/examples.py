"""Bodies to begin from, for the OpenAPI document: each is one that the service takes as it stands.

What it answers is in `recorded.json` beside this file; `make examples` asks again, and writes it anew.
"""

from typing import Any

from dmr.openapi.objects import Example, MediaTypeMetadata

from prompts.api.openapi.ids import (
    EXAMPLE_CONVERSATION,
    EXAMPLE_FILE,
    EXAMPLE_ITEM,
    EXAMPLE_PROMPT,
    EXAMPLE_RESPONSE,
    EXAMPLE_STORE,
)


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
    a_stream={"input": "Count to 3", "stream": True},
    messages={
        "instructions": "Answer in one sentence.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "What is a fjord?"}]}],
        "metadata": {"ticket": "4711"},
    },
    in_a_conversation={"conversation": EXAMPLE_CONVERSATION, "input": "And in Norwegian?"},
    after_a_response={"previous_response_id": EXAMPLE_RESPONSE, "input": "And in Norwegian?"},
    with_a_prompt={"prompt": {"id": EXAMPLE_PROMPT, "variables": {"name": "Ada"}}, "input": "Hello!"},
    in_the_background={"input": "Say hello in three languages.", "background": True},
    nothing_is_kept={"input": "Say hello in three languages.", "store": False},
    a_tool={"input": "Call get_weather with city=Bergen", "tools": [_WEATHER]},
    what_the_tool_returned={
        "input": [
            {"role": "user", "content": "What is the weather in Bergen?"},
            {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city": "Bergen"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "Rain, 8 °C"},
        ],
        "tools": [_WEATHER],
    },
    from_your_files={
        "input": "How many days of holiday are there?",
        "tools": [{"type": "file_search", "vector_store_ids": [EXAMPLE_STORE], "eps:when": "always"}],
    },
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
COMPACT_HISTORY = _examples(
    messages={"model": "stand-in", "input": [_GREETING]},
    after_a_response={"model": "stand-in", "previous_response_id": EXAMPLE_RESPONSE},
)
COUNT_INPUT = _examples(
    a_string={"input": "How long is this?"},
    in_a_conversation={"conversation": EXAMPLE_CONVERSATION, "input": "How long is all of this?"},
)
CREATE_CONVERSATION = _examples(empty={}, with_items={"items": [_GREETING], "metadata": {"ticket": "4711"}})
UPDATE_CONVERSATION = _examples(
    metadata={"metadata": {"ticket": "4712"}}, a_title={"metadata": {}, "eps:title": "Hello in three languages"}
)
FORK_CONVERSATION = _examples(
    all_of_it={},
    before_an_item={"before": EXAMPLE_ITEM},
    named={"eps:title": "Another way", "metadata": {"place": "1"}},
)
CREATE_ITEMS = _examples(a_message={"items": [_GREETING]})
CREATE_CHAT_COMPLETION = _examples(
    a_message={"messages": [_CHAT_MESSAGE]},
    a_stream={"messages": [{"role": "user", "content": "Count to 3"}], "stream": True},
)
CREATE_EMBEDDINGS = _examples(texts={"input": ["A fjord is a long arm of the sea.", "Bergen has seven mountains."]})
CREATE_CLIENT_SECRET = _examples(
    for_ten_minutes={},
    for_one_conversation={"conversation": EXAMPLE_CONVERSATION},
    to_read_only={"scopes": ["read"], "expires_after": {"anchor": "created_at", "seconds": 3600}},
)
PUT_FEEDBACK = _examples(a_thumb_up={"score": 1, "comment": "Exactly what I needed."})

_SUPPORT = {"type": "eq", "key": "team", "value": "support"}
CREATE_VECTOR_STORE = _examples(
    empty={},
    a_handbook={"name": "Handbook", "expires_after": {"anchor": "last_active_at", "days": 30}},
    with_a_file={"name": "Handbook", "file_ids": [EXAMPLE_FILE]},
)
UPDATE_VECTOR_STORE = _examples(a_name={"name": "Rules"}, kept_for_ever={"expires_after": None})
ATTACH_FILE = _examples(a_file={"file_id": EXAMPLE_FILE, "attributes": {"team": "support", "year": 2026}})
SET_FILE_ATTRIBUTES = _examples(attributes={"attributes": {"team": "sales"}})
CREATE_FILE_BATCH = _examples(
    file_ids={"file_ids": [EXAMPLE_FILE]},
    files={"files": [{"file_id": EXAMPLE_FILE, "attributes": {"team": "support"}}]},
)
SEARCH_VECTOR_STORE = _examples(
    a_question={"query": "How many days of holiday are there?"},
    with_a_filter={"query": "holiday", "filters": _SUPPORT, "max_num_results": 3},
)
