"""What the views are given: the ports this process opened, found in `scope["state"]`."""

from dataclasses import dataclass
from typing import cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from prompts.follow import Followers
from prompts.follow_ups import FollowUps
from prompts.ports import (
    ApiKeys,
    Calibration,
    ChatModel,
    Compactions,
    ConversationStore,
    Eraser,
    EventLog,
    Histories,
    ResponseNotes,
    ResponseStore,
    Sealer,
)
from prompts.runner import Runner


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
