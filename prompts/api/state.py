"""What the views are given: the ports this process opened, found in `scope["state"]`."""

from dataclasses import dataclass
from typing import cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from prompts.ports.api_keys import ApiKeys
from prompts.ports.calibration import Calibration
from prompts.ports.chat_model import ChatModel
from prompts.ports.compactions import Compactions
from prompts.ports.conversations import ConversationStore, Histories
from prompts.ports.eraser import Eraser
from prompts.ports.event_log import EventLog
from prompts.ports.response_notes import ResponseNotes
from prompts.ports.responses import ResponseStore
from prompts.ports.sealing import Sealer
from prompts.run.following import Followers
from prompts.run.runner import Runner
from prompts.usecases.follow_ups import FollowUps


@dataclass(frozen=True, slots=True)
class State:
    """The opened ports and what is configured of a turn; the lifespan puts it under `scope["state"]["prompts"]`."""

    responses: ResponseStore
    notes: ResponseNotes
    follow_ups: FollowUps
    histories: Histories
    compactions: Compactions
    conversations: ConversationStore
    event_log: EventLog
    eraser: Eraser
    api_keys: ApiKeys
    model: ChatModel
    runner: Runner
    sealer: Sealer
    calibration: Calibration
    followers: Followers
    default_model: str
    history_tokens: int


def get_state(request: HttpRequest) -> State:
    """The state of the process that serves this request."""
    return cast(State, cast(ASGIRequest, request).scope["state"]["prompts"])
