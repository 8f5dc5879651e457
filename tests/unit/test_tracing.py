"""What is traced, and when: the variables, spans of runs and of calls, and what is said in them."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

from config.tracing import TracingRefused, find_exporters, has_content
from prompts.adapters.opentelemetry.chat_model import TracedModel
from prompts.adapters.opentelemetry.messages import write_input
from prompts.adapters.opentelemetry.tracing import OpenTelemetryTracing
from prompts.domain.items import InputFile, InputImage, InputText, Item, Message, Part, Reasoning, ReasoningText
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import ConversationRef, IncompleteDetails, Response
from prompts.domain.signals import Argued, Called, Finished, Signal, Text, Thought
from prompts.domain.usage import InputTokensDetails, OutputTokensDetails, Usage
from prompts.errors import ServiceError, UpstreamError
from tests.support.fakes.chat_model import ScriptedModel, Step
from tests.support.items import called, returned, said

RESPONSE = Response(id="resp_1", created_at=1, status="in_progress", model="m", conversation=ConversationRef("conv_1"))
REQUEST = ModelRequest(model="m", temperature=0.5)
USAGE = Usage(7, 12, 19, InputTokensDetails(cached_tokens=3), OutputTokensDetails(reasoning_tokens=2))
LOST_TRACE, LOST_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Traced:
    """A tracer, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("tests")

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """Those that have ended, in the order of their ends."""
        return self._exporter.get_finished_spans()

    def find(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def get_only(self) -> ReadableSpan:
        [span] = self.spans
        return span


@pytest.fixture
def traced() -> Traced:
    return Traced()


def get_attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


# --- the variables ---


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, []),
        ({"OTEL_SERVICE_NAME": "mine"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, ["otlp"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, ["otlp"]),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ["otlp"]),
        ({"OTEL_TRACES_EXPORTER": " Console , OTLP "}, ["console", "otlp"]),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, []),
        ({"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ["otlp"]),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["console"]),
    ],
)
def test_traces_are_off_unless_the_standard_variables_ask_for_them(
    variables: dict[str, str], expected: list[str]
) -> None:
    assert find_exporters(variables) == expected


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
    ],
)
def test_what_cannot_be_done_is_named(variables: dict[str, str]) -> None:
    with pytest.raises(TracingRefused, match=r"OTEL_\w+ can be"):
        find_exporters(variables)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", False), ("false", False), ("no_content", False), ("event_only", False), ("True", True), ("SPAN_ONLY", True)],
)
def test_contents_are_captured_only_when_asked_for(value: str, expected: bool) -> None:
    assert has_content({"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": value}) == expected


# --- runs ---


def test_a_run_belongs_to_the_request_that_it_answers(traced: Traced) -> None:
    tracing = OpenTelemetryTracing(traced.tracer)
    assert tracing.find_traceparent() is None
    with traced.tracer.start_as_current_span("request") as request:
        traceparent = tracing.find_traceparent()
        with tracing.trace_run(RESPONSE, REQUEST, is_takeover=False) as run:
            ended = replace(RESPONSE, status="completed", usage=USAGE)
            run.end("completed", response=ended, code=None)
    context = request.get_span_context()
    assert traceparent is not None
    assert traceparent.startswith(f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-")
    span = traced.spans[0]
    assert span.parent == context
    expected = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.id": "resp_1",
        "gen_ai.conversation.id": "conv_1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 12,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "eps.run.ending": "completed",
    }
    assert expected.items() <= get_attributes(span).items()
    assert "gen_ai.request.top_p" not in get_attributes(span)


def test_a_takeover_links_to_what_it_goes_on_with(traced: Traced) -> None:
    request = replace(REQUEST, traceparent=f"00-{LOST_TRACE}-{LOST_SPAN}-01")
    with (
        traced.tracer.start_as_current_span("sweep"),
        OpenTelemetryTracing(traced.tracer).trace_run(RESPONSE, request, is_takeover=True),
    ):
        pass
    run = traced.spans[0]
    assert run.parent is None
    [link] = run.links
    assert (link.context.trace_id, link.context.span_id) == (int(LOST_TRACE, 16), int(LOST_SPAN, 16))


@pytest.mark.parametrize("request_of_lost", [REQUEST, replace(REQUEST, traceparent="nonsense")], ids=["none", "broken"])
def test_a_takeover_of_what_nobody_traced_has_no_link(traced: Traced, request_of_lost: ModelRequest) -> None:
    with OpenTelemetryTracing(traced.tracer).trace_run(RESPONSE, request_of_lost, is_takeover=True):
        pass
    assert traced.get_only().links == ()


def test_a_run_that_fails_says_why(traced: Traced) -> None:
    with OpenTelemetryTracing(traced.tracer).trace_run(RESPONSE, REQUEST, is_takeover=False) as run:
        run.end("failed", response=replace(RESPONSE, status="failed"), code="upstream_error")
    span = traced.get_only()
    assert get_attributes(span)["error.type"] == "upstream_error"
    assert not span.status.is_ok


def test_a_run_that_is_cancelled_is_no_error(traced: Traced) -> None:
    with (
        suppress(asyncio.CancelledError),
        OpenTelemetryTracing(traced.tracer).trace_run(RESPONSE, REQUEST, is_takeover=False) as run,
    ):
        run.end("handed_over", response=None, code=None)
        raise asyncio.CancelledError
    assert traced.get_only().status.is_unset
    assert traced.get_only().events == ()


@pytest.mark.parametrize(
    ("reason", "expected"), [("max_output_tokens", "length"), ("content_filter", "content_filter")]
)
def test_an_incomplete_answer_says_what_cut_it_off(traced: Traced, reason: str, expected: str) -> None:
    ended = replace(RESPONSE, status="incomplete", incomplete_details=IncompleteDetails(reason))
    with OpenTelemetryTracing(traced.tracer).trace_run(RESPONSE, REQUEST, is_takeover=False) as run:
        run.end("incomplete", response=ended, code=None)
    assert get_attributes(traced.get_only())["gen_ai.response.finish_reasons"] == (expected,)


# --- calls ---


async def ask(traced: Traced, *steps: Step, has_content: bool = False, shown: str = "") -> list[Sequence[Signal]]:
    """All that the model says, on its way through these steps."""
    model = TracedModel(
        ScriptedModel(steps), traced.tracer, base_url="https://model.example.com/v1", has_content=has_content
    )
    async with model.stream(REQUEST, [said("user", "Hello")], shown=shown) as answer:
        return [signals async for signals in answer]


async def test_a_call_is_a_span_and_leaves_the_answer_as_it_is(traced: Traced) -> None:
    end: list[Signal] = [Finished("stop", USAGE)]
    steps: list[Step] = [[Text("One")], [Text(" two")], end]
    assert await ask(traced, *steps) == steps
    span = traced.get_only()
    assert (span.name, span.kind) == ("chat m", SpanKind.CLIENT)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.output_tokens": 12,
        "server.address": "model.example.com",
        "server.port": 443,
    }
    assert expected.items() <= get_attributes(span).items()
    assert not [name for name in get_attributes(span) if "messages" in name]


async def test_each_step_of_a_call_belongs_to_it_and_nothing_between(traced: Traced) -> None:
    async def note() -> None:
        with traced.tracer.start_as_current_span("request to the server"):
            pass

    with traced.tracer.start_as_current_span("run"):
        model = TracedModel(
            ScriptedModel([note, [Text("One")], note, [Finished("stop")]]),
            traced.tracer,
            base_url="http://127.0.0.1:8000",
            has_content=False,
        )
        async with model.stream(REQUEST, []) as answer:
            async for _ in answer:
                with traced.tracer.start_as_current_span("append"):
                    pass
    [run], [call] = traced.find("run"), traced.find("chat m")
    assert [span.parent for span in traced.find("request to the server")] == [call.context] * 2
    assert [span.parent for span in traced.find("append")] == [run.context] * 2


async def test_a_failed_call_says_why(traced: Traced) -> None:
    with suppress(ServiceError):
        await ask(traced, [Text("One")], UpstreamError("It broke off."))
    assert get_attributes(traced.get_only())["error.type"] == "upstream_error"
    assert not traced.get_only().status.is_ok


async def test_a_call_that_is_left_ends_its_span(traced: Traced) -> None:
    calling = asyncio.create_task(ask(traced, [Text("One")], asyncio.Event()))
    await asyncio.sleep(0)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    assert traced.get_only().status.is_unset


async def test_what_is_said_is_written_down_on_demand(traced: Traced) -> None:
    steps: list[Step] = [
        [Thought("Hm.")],
        [Text(" three")],
        [Called(0, "call_1", "ping"), Argued(0, '{"to":'), Argued(0, '"Ada"}')],
        [Finished("stop", USAGE)],
    ]
    await ask(traced, *steps, has_content=True, shown="One two")
    attributes = get_attributes(traced.get_only())
    assert json.loads(attributes["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Hello"}]}
    ]
    assert json.loads(attributes["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "text", "content": "One two three"},
                {"type": "tool_call", "id": "call_1", "name": "ping", "arguments": '{"to":"Ada"}'},
            ],
            "finish_reason": "tool_call",
        }
    ]


def test_every_kind_of_item_is_written_without_its_data() -> None:
    seen: list[Part] = [
        InputText("Look:"),
        InputImage(image_url="data:image/png;base64,AAAA"),
        InputFile(filename="a.pdf"),
    ]
    items: list[Item] = [
        said("system", "Be kind."),
        Message(id="", status="completed", role="user", content=seen),
        Reasoning(id="", status="completed", summary=[], content=[ReasoningText("Hm.")]),
        called("call_1", "ping", '{"to":"Ada"}'),
        returned("call_1", "pong"),
        returned("call_2", [InputText("pong")]),
    ]
    text = {"type": "text", "content": "pong"}
    assert json.loads(write_input(items)) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
        {
            "role": "user",
            "parts": [{"type": "text", "content": "Look:"}, {"type": "image"}, {"type": "file", "name": "a.pdf"}],
        },
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "call_1", "name": "ping", "arguments": '{"to":"Ada"}'}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "pong"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_2", "response": [text]}]},
    ]
