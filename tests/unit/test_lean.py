"""What is stored without its defaults is read back as it was."""

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from prompts.adapters.redis.lean import build_lean_encoder
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import Response
from prompts.domain.text import ReasoningConfig
from prompts.domain.tools import FunctionTool

ECHO = Response(id="resp_1", created_at=0, status="in_progress", model="m")


def test_what_has_its_default_is_left_out() -> None:
    encoded = build_lean_encoder(Response)(ECHO)
    assert encoded == b'{"id":"resp_1","created_at":0,"status":"in_progress","model":"m"}'
    assert msgspec.json.decode(encoded, type=Response) == ECHO


def test_all_else_is_read_back() -> None:
    echo = replace(
        ECHO,
        instructions="",
        tools=[FunctionTool(name="f", parameters={})],
        temperature=0.0,
        store=False,
        reasoning=ReasoningConfig(),
        ignored=["tools[1]"],
        metadata={"a": "b"},
    )
    encoded = build_lean_encoder(Response)(echo)
    assert msgspec.json.decode(encoded, type=Response) == echo
    assert b'"eps:ignored"' in encoded  # by its name on the wire


def test_a_field_that_is_unset_stays_so() -> None:
    request = ModelRequest(model="m", max_tool_calls=0, is_compaction=False)
    decoded = msgspec.json.decode(build_lean_encoder(ModelRequest)(request), type=ModelRequest)
    assert (decoded, decoded.options) == (request, UNSET)
