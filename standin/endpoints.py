"""The model's API: chat completions, responses, embeddings and models."""

from collections.abc import Callable

import msgspec
import orjson

from standin.answers.answer import compose_answer
from standin.answers.continuation import refuse_prefix_if_asked
from standin.answers.conversation import (
    compute_fingerprint,
    count_prompt_tokens,
    find_last_user_text,
    split_continuation,
)
from standin.chat_completions.request import ChatRequest, decode_chat
from standin.chat_completions.writer import ChatWriter
from standin.client import Client
from standin.control.call_log import LoggedCall, Outcome
from standin.control.directives import Directives, compose_directives, find_directives
from standin.control.state import State
from standin.delivery.deliver import deliver_stream, deliver_whole
from standin.delivery.faults import apply_fail_count, raise_requested_status
from standin.delivery.pieces import Reply, compose_reply
from standin.delivery.writer import Writer
from standin.embeddings import compose_embeddings, decode_embedding
from standin.errors import StandInError
from standin.responses.chat_request import compose_chat_request
from standin.responses.request import decode_responses
from standin.responses.writer import ResponsesWriter

OpenWriter = Callable[[Reply, str, Directives], Writer]

CHAT_MODEL = "stand-in"
EMBEDDING_MODEL = "stand-in-embedding"
_CREATED = 1_735_689_600  # the start of 2025; a model needs a date, any will do


async def answer_chat(client: Client, state: State, call: LoggedCall) -> Outcome:
    """`POST /v1/chat/completions`."""
    request = decode_chat(call.body)

    def open_writer(reply: Reply, fingerprint: str, directives: Directives) -> Writer:
        return ChatWriter(request, reply, fingerprint, has_usage=not directives.no_usage)

    return await _answer(client, state, call, request, open_writer)


async def answer_responses(client: Client, state: State, call: LoggedCall) -> Outcome:
    """`POST /v1/responses`: read as a Chat Completions request, so the answer is the same."""
    request = decode_responses(call.body)
    wants_summary = request.reasoning is not None and bool(
        request.reasoning.summary or request.reasoning.generate_summary
    )

    def open_writer(reply: Reply, fingerprint: str, directives: Directives) -> Writer:
        return ResponsesWriter(request, reply, fingerprint, has_usage=not directives.no_usage)

    return await _answer(client, state, call, compose_chat_request(request), open_writer, wants_summary=wants_summary)


async def answer_embeddings(client: Client, state: State, call: LoggedCall) -> Outcome:
    """`POST /v1/embeddings`. It obeys default directives only, and of these only what acts before an answer."""
    request = decode_embedding(call.body)
    _require_model(request.model, EMBEDDING_MODEL)
    directives = apply_fail_count(compose_directives(state.defaults), state, "embeddings")
    await _wait_for_headers(client, directives)
    await client.reply_json(200, orjson.dumps(compose_embeddings(request)))
    return "finished"


async def answer_models(client: Client, wanted: str | None) -> None:
    """`GET /v1/models` and `GET /v1/models/{id}`."""
    models = [
        {"id": name, "object": "model", "created": _CREATED, "owned_by": "enhanced-prompt-service"}
        for name in (CHAT_MODEL, EMBEDDING_MODEL)
        if wanted in (None, name)
    ]
    if not models and wanted is not None:
        _require_model(wanted, CHAT_MODEL)
    await client.reply_json(200, orjson.dumps({"object": "list", "data": models} if wanted is None else models[0]))


async def _answer(
    client: Client,
    state: State,
    call: LoggedCall,
    request: ChatRequest,
    open_writer: OpenWriter,
    *,
    wants_summary: bool = False,
) -> Outcome:
    """Answer in the protocol of `open_writer`. `wants_summary`: whether the client asked for a reasoning summary."""
    _require_model(request.model, CHAT_MODEL)
    base, _ = split_continuation(request.messages)
    fingerprint = compute_fingerprint(base)
    directives = compose_directives(state.defaults, find_directives(find_last_user_text(base)))
    directives = apply_fail_count(directives, state, fingerprint)
    if not wants_summary:
        directives = msgspec.structs.replace(directives, summary="")
    await _wait_for_headers(client, directives)
    refuse_prefix_if_asked(directives, request.messages)
    reply = _compose_reply(request, directives)
    deliver = deliver_stream if request.stream else deliver_whole
    return await deliver(client, reply, open_writer(reply, fingerprint, directives), directives, call)


def _compose_reply(request: ChatRequest, directives: Directives) -> Reply:
    return compose_reply(
        compose_answer(request, directives),
        prompt_tokens=count_prompt_tokens(request.messages),
        max_tokens=request.max_completion_tokens or request.max_tokens,
        interleave=directives.interleave,
    )


async def _wait_for_headers(client: Client, directives: Directives) -> None:
    if directives.headers_s:
        await client.pause(directives.headers_s)
    raise_requested_status(directives)


def _require_model(name: str, served: str) -> None:
    if name != served:
        message = f"The model '{name}' does not exist here; this is served: '{served}'."
        raise StandInError(404, message, code="model_not_found", param="model")
