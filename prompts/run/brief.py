"""What a run is given."""

from collections.abc import Sequence

from msgspec import Struct

from prompts.answer.events import Event, Narration
from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import ModelInput, Response
from prompts.domain.usage import Usage


class Brief(Struct, frozen=True, kw_only=True):
    """Whose response a run writes and under which epoch, and what the model is asked.

    `narration` stands where the log ends: at the opening, or where a lost run has left it.
    """

    response: Response
    owner: str
    epoch: str
    input: Sequence[Item]
    window: Sequence[Item]
    """The history that the model is given, oldest first."""
    model_request: ModelRequest
    model_input: ModelInput
    narration: Narration
    opening: Sequence[Event] = ()
    """The events of an admission, which nobody has seen yet."""
    is_remembered: bool = False
    """Whether a connection remembers what is not stored: it has what the model's server wants back with its calls."""
    lost: Usage | None = None
    """About what the run before had used, when it was lost."""
