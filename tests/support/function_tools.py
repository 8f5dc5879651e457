"""Two functions that a model may call, and the items of calls."""

import json
from typing import Any

# Any: the SDK takes its own TypedDicts, plain HTTP takes anything.
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
TIME: Any = {
    "type": "function",
    "name": "get_time",
    "description": "The time of a zone.",
    "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    "strict": False,
}
ASK_WEATHER = "Call get_weather city=Paris"
ASK_BOTH = "Call get_weather city=Paris and get_time zone=UTC"


def find_calls(response: dict[str, Any]) -> list[dict[str, Any]]:
    """The function calls of a response."""
    return [item for item in response["output"] if item["type"] == "function_call"]


def read_calls(response: dict[str, Any]) -> list[tuple[str, Any]]:
    """The names and arguments of its calls."""
    return [(call["name"], json.loads(call["arguments"])) for call in find_calls(response)]


def compose_output(call: dict[str, Any], output: Any) -> dict[str, Any]:
    """The item with the output of a call."""
    return {"type": "function_call_output", "call_id": call["call_id"], "output": output}
