"""What the views are given: the ports this process opened, found in `scope["state"]`."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from prompts.api.wire.unknown import ReadingRules, Unknown
from prompts.archive.knowledge_erasing import ErasurePorts
from prompts.ports.api_keys import ApiKeys
from prompts.ports.conversations import ConversationStore
from prompts.ports.eraser import Eraser
from prompts.ports.observer import Observer
from prompts.ports.origins import Origins
from prompts.ports.past_conversations import PastConversations
from prompts.ports.project_limits import ProjectLimits
from prompts.ports.response_notes import ResponseNotes
from prompts.ports.said_search import SaidSearch
from prompts.ports.sealing import Sealer
from prompts.ports.user_proofs import UserProofs
from prompts.usecases.compaction import HistoryPorts
from prompts.usecases.files import FilePorts
from prompts.usecases.follow_ups import FollowUps
from prompts.usecases.prompts import PromptPorts
from prompts.usecases.relay import RelayPorts
from prompts.usecases.search import SearchPorts
from prompts.usecases.turns import TurnPorts
from prompts.usecases.vector_stores import VectorStorePorts


@dataclass(frozen=True, slots=True)
class State:
    """The opened ports by use; the lifespan puts it under `scope["state"]["prompts"]`."""

    turns: TurnPorts
    histories: HistoryPorts
    conversations: ConversationStore
    past: PastConversations
    said: SaidSearch
    eraser: Eraser
    notes: ResponseNotes
    follow_ups: FollowUps
    api_keys: ApiKeys
    user_proofs: UserProofs
    origins: Origins
    project_limits: ProjectLimits
    sealer: Sealer
    observer: Observer
    reading: ReadingRules
    relay: RelayPorts
    files: FilePorts
    vector_stores: VectorStorePorts
    search: SearchPorts
    prompts: PromptPorts
    erasing: ErasurePorts


class WithAnswerHeaders(Protocol):
    """A request that says something of itself in its answer."""

    answer_headers: list[tuple[bytes, bytes]]
    """Headers of its answer, whatever that is."""


class WithBody(Protocol):
    """A request whose body is still to come."""

    async def read_body(self) -> None:
        """Make `body` what was sent. Raises BodyTooLarge, BodyTooSlow, Overloaded."""

    def stream_body(self, *, max_bytes: int) -> AsyncIterator[bytes]:
        """What was sent, as it comes. Raises BodyTooLarge, BodyTooSlow."""


def get_state(scope: Mapping[str, Any]) -> State:
    """The state of the process that serves this connection, from its ASGI scope."""
    state: State = scope["state"]["prompts"]
    return state


def get_unknown(request: HttpRequest) -> Unknown:
    """What of this request is left out; the same object, whoever asks for it."""
    unknown: Unknown | None = getattr(request, "unknown", None)
    if unknown is None:
        unknown = Unknown(get_state(cast(ASGIRequest, request).scope).reading)
        request.unknown = unknown  # type: ignore[attr-defined]  # what this function finds the next time
    return unknown
