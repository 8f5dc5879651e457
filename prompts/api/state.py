"""What the views are given: the ports this process opened, found in `scope["state"]`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from prompts.ports.api_keys import ApiKeys
from prompts.ports.conversations import ConversationStore
from prompts.ports.eraser import Eraser
from prompts.ports.response_notes import ResponseNotes
from prompts.ports.sealing import Sealer
from prompts.usecases.compaction import HistoryPorts
from prompts.usecases.follow_ups import FollowUps
from prompts.usecases.turns import TurnPorts


@dataclass(frozen=True, slots=True)
class State:
    """The opened ports by use; the lifespan puts it under `scope["state"]["prompts"]`."""

    turns: TurnPorts
    histories: HistoryPorts
    conversations: ConversationStore
    eraser: Eraser
    notes: ResponseNotes
    follow_ups: FollowUps
    api_keys: ApiKeys
    sealer: Sealer


def get_state(scope: Mapping[str, Any]) -> State:
    """The state of the process that serves this connection, from its ASGI scope."""
    return cast(State, scope["state"]["prompts"])
