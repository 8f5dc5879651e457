"""`/v1/client_secrets`: short-lived secrets that a server makes for a browser, which then never holds its key."""

from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from django.http import HttpResponse
from dmr import ResponseSpec, validate
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import Meta, Struct

from prompts.api.controller import ApiController
from prompts.api.openapi.document import BODY_ERRORS
from prompts.api.openapi.examples import CREATE_CLIENT_SECRET
from prompts.api.wire.ids import ConversationId
from prompts.domain import ids
from prompts.ports.client_secrets import LIFE_S, MAX_LIFE_S, MIN_LIFE_S, Scope
from prompts.usecases.client_secrets import MadeSecret, make_secret
from prompts.usecases.public_ids import check_kind

encode = msgspec.json.Encoder().encode


class ExpiresAfter(Struct, forbid_unknown_fields=True):
    """How long the secret opens anything: OpenAI's words and bounds."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=MIN_LIFE_S, le=MAX_LIFE_S)] = LIFE_S


class CreateClientSecret(Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/client_secrets`; empty: what the key may read and write, for ten minutes."""

    expires_after: ExpiresAfter | None = None
    scopes: (
        Annotated[
            list[Scope],
            Meta(min_length=1, max_length=10, description="Default: `read` and `write`, where the key may."),
        ]
        | None
    ) = None
    conversation: ConversationId | None = None


class ClientSecretBody(Struct):
    """A client secret as the API shows it, once."""

    value: str
    expires_at: int
    scopes: list[Scope]
    conversation: str | None
    object: Literal["client_secret"] = "client_secret"


class ClientSecretsController(ApiController):
    """Make client secrets."""

    tags = ["Client secrets"]
    change_scope = "admin"

    @validate(
        ResponseSpec(ClientSecretBody, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="createClientSecret"
    )
    async def post(
        self, parsed_body: Annotated[BodyMsgspec[CreateClientSecret | None], CREATE_CLIENT_SECRET]
    ) -> HttpResponse:
        """A secret for a browser: it opens what this key does, or less, until it expires or the key is revoked."""
        body = parsed_body or CreateClientSecret()
        conversation = body.conversation
        if conversation is not None:
            check_kind(conversation, ids.CONVERSATION, param="conversation")
        made = await make_secret(
            self.caller,
            life_s=LIFE_S if body.expires_after is None else body.expires_after.seconds,
            scopes=None if body.scopes is None else frozenset(body.scopes),
            conversation=conversation,
            conversations=self.state.conversations,
            sealer=self.state.sealer,
        )
        answer = self.render(encode_secret(made))
        answer["Cache-Control"] = "no-store"
        return answer


def encode_secret(made: MadeSecret) -> bytes:
    """The secret as JSON."""
    return encode(ClientSecretBody(made.value, made.expires_at, sorted(made.scopes), made.conversation))
