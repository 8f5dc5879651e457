"""`/v1/responses/compact` and `/v1/responses/input_tokens`: a history made short, and how long one is."""

from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from django.http import HttpResponse
from dmr import ResponseSpec, validate
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import Meta, Struct

from prompts.api.controller import ApiController
from prompts.api.openapi.document import BODY_ERRORS, IDEMPOTENCY_KEY, MODEL_ERRORS, refusals
from prompts.api.openapi.examples import COMPACT_HISTORY, COUNT_INPUT
from prompts.api.wire.create_response import (
    CacheKey,
    ConversationParam,
    read_claim,
    read_conversation_id,
)
from prompts.api.wire.formats import ReasoningParam, TextParam, Word, read_reasoning, read_text
from prompts.api.wire.ids import ConversationId, ResponseId
from prompts.api.wire.item_reader import place_call, read_input
from prompts.api.wire.items import MAX_INPUT_ITEMS, InputItem
from prompts.api.wire.prompts import PromptParam, read_prompt
from prompts.api.wire.tool_choice import ToolChoiceParam, read_tool_choice
from prompts.api.wire.tools import Tools, read_tools
from prompts.domain.model_request import ModelRequest, Truncation
from prompts.domain.responses import CompactedHistory
from prompts.errors import InvalidRequest, UnknownCall
from prompts.ports.responses import Claim
from prompts.usecases.anchors import read_anchor, read_previous
from prompts.usecases.ask import Ask
from prompts.usecases.compaction import compact_history, count_input

encode = msgspec.json.Encoder().encode

ModelName = Annotated[str, Meta(min_length=1, max_length=256)]


class CompactHistory(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/responses/compact`."""

    model: ModelName
    input: str | Annotated[list[InputItem], Meta(min_length=1, max_length=MAX_INPUT_ITEMS)] | None = None
    previous_response_id: ResponseId | None = None
    instructions: str | None = None
    prompt_cache_key: CacheKey | None = None
    service_tier: Word | None = None


class CountInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/responses/input_tokens`: what of a create body decides on the model's input."""

    model: ModelName | None = None
    input: str | Annotated[list[InputItem], Meta(max_length=MAX_INPUT_ITEMS)] | None = None
    instructions: str | None = None
    conversation: ConversationId | ConversationParam | None = None
    previous_response_id: ResponseId | None = None
    tools: Tools | None = None
    tool_choice: ToolChoiceParam | None = None
    parallel_tool_calls: bool | None = None
    text: TextParam | None = None
    reasoning: ReasoningParam | None = None
    truncation: Truncation | None = None
    prompt: PromptParam | None = None


class InputTokens(Struct):
    """How many tokens an input has; an estimate."""

    input_tokens: int
    object: Literal["response.input_tokens"] = "response.input_tokens"


class CompactController(ApiController):
    """Compact a history."""

    tags = ["Responses"]
    header_parameters = (IDEMPOTENCY_KEY,)

    @validate(
        ResponseSpec(CompactedHistory, status_code=HTTPStatus.OK),
        *BODY_ERRORS,
        *MODEL_ERRORS,
        *refusals(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
        operation_id="compactHistory",
    )
    async def post(self, parsed_body: Annotated[BodyMsgspec[CompactHistory], COMPACT_HISTORY]) -> HttpResponse:
        """The user's messages and one sealed item for all the rest; its id works as `previous_response_id`."""
        body = parsed_body
        if body.input is None and body.previous_response_id is None:
            message = "Missing required parameter: 'input'. Send it, or a 'previous_response_id'."
            raise InvalidRequest(message, param="input")
        anchor = read_previous(body.previous_response_id)
        request = ModelRequest(model=body.model, prompt_cache_key=body.prompt_cache_key, service_tier=body.service_tier)
        new_input = read_input(body.input, sender=self.sender)
        try:
            compacted, is_replay = await compact_history(
                owner=self.owner,
                new_input=new_input,
                anchor=anchor,
                instructions=body.instructions,
                model_request=request,
                claim=read_claim(self.request, body),
                ports=self.state.histories,
                limits=self.caller.token_limits,
            )
        except UnknownCall as error:
            raise place_call(error, body.input, param="input") from None
        response = self.render(compacted)
        if is_replay:
            response["idempotency-replayed"] = "true"
        return response


class InputTokensController(ApiController):
    """Count the tokens of an input."""

    tags = ["Responses"]
    changes_nothing = True

    @validate(
        ResponseSpec(InputTokens, status_code=HTTPStatus.OK),
        *BODY_ERRORS,
        *MODEL_ERRORS,
        *refusals(HTTPStatus.CONFLICT),
        operation_id="countInputTokens",
    )
    async def post(self, parsed_body: Annotated[BodyMsgspec[CountInput], COUNT_INPUT]) -> HttpResponse:
        """How many tokens the model would be given, history included, without asking it; an estimate."""
        body, state = parsed_body, self.state
        anchor = read_anchor(read_conversation_id(body.conversation), body.previous_response_id)
        tools = read_tools(body.tools, self.unknown)
        ask = Ask(
            owner=self.owner,
            input=read_input(body.input, sender=self.sender),
            claim=Claim(body_hash=""),
            anchor=anchor,
            model=body.model,
            instructions=body.instructions,
            tools=tools,
            tool_choice=read_tool_choice(body.tool_choice, tools, self.unknown, has_prompt=body.prompt is not None),
            text=None if body.text is None else read_text(body.text),
            reasoning=read_reasoning(body.reasoning),
            prompt=read_prompt(body.prompt, self.unknown),
        )
        counted = await count_input(ask, state.histories)
        return self.render(encode(InputTokens(counted)))
