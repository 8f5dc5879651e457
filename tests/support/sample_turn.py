"""One sample turn that says `Hello`: its draft for the store, and the brief of its run."""

from collections.abc import Sequence

from prompts.answer.events import Narration
from prompts.domain.items import InputText, Message
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import ModelInput, Response
from prompts.domain.signals import Text
from prompts.ports.responses import Claim, Draft
from prompts.run.brief import Brief

OWNER = "alice"
RESPONSE_ID = "resp_0a" + "0" * 30
# `response.created` is 0, `response.in_progress` is 1.
LAST_OPENING_NUMBER = 1


def make_draft() -> Draft:
    """A response to `Hello`, in no conversation."""
    hello = Message(id="msg_0a" + "0" * 30, status="completed", role="user", content=[InputText("Hello")])
    return Draft(
        response=Response(id=RESPONSE_ID, created_at=1_700_000_000, status="in_progress", model="stand-in"),
        model_request=ModelRequest(model="stand-in"),
        input=[hello],
        anchor=None,
        claim=Claim(body_hash="of Hello"),
        model_input=make_model_input(),
        last_opening_number=LAST_OPENING_NUMBER,
    )


def make_model_input() -> ModelInput:
    """The account of a turn without a history."""
    return ModelInput(
        history_items=0,
        history_tokens=0,
        input_items=1,
        input_tokens=1,
        instructions_tokens=0,
        dropped_items=0,
        history_budget_tokens=0,
    )


def make_brief(*, shown: Sequence[str] = (), epoch: str = "1") -> Brief:
    """The brief of its run. `shown`: the text already written, in pieces, when the run takes over."""
    draft = make_draft()
    narration = Narration(draft.response)
    opening = narration.opening()
    narration.tell([Text(piece) for piece in shown])
    return Brief(
        response=draft.response,
        owner=OWNER,
        epoch=epoch,
        input=draft.input,
        model_request=draft.model_request,
        model_input=draft.model_input,
        window=[],
        narration=narration,
        opening=() if shown else opening,
    )
