"""The model's server for requests that are handed on as they are: nothing of them is ours but the way."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeAlias

from prompts.domain.usage import Usage
from prompts.errors import ServiceError

RelayPath: TypeAlias = Literal["/chat/completions", "/embeddings"]
"""Where a request goes, below the server's base URL."""


class RelayedAnswer(Protocol):
    """What the model's server answers, as it is."""

    status: int
    content_type: str
    failure: ServiceError | None
    """What the answer is in our words, where it is a refusal of the server's that may be told as it is."""
    retry_after_s: float | None
    """How long the server wants to be left alone."""
    whole: bytes | None
    """All of the body, where it is no stream and was short enough to wait for."""

    @property
    def usage(self) -> Usage | None:
        """What the server has reported, as far as the answer was read."""

    def read(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, read only as fast as it is taken.

        Of a stream empty parts, too: each time that nothing came for a while, but never in the middle of an event.
        Raises UpstreamError for a body that breaks off or is without end, UpstreamTimeout for one that stands still.
        """


class Relay(Protocol):
    """Hands requests on to the model's server."""

    def resolve(self, model: str) -> str:
        """The server's id of a model, as it was listed last; a name that is not known here is left to the server."""

    def open(
        self, path: RelayPath, body: bytes, *, is_stream: bool, quiet_s: float
    ) -> AbstractAsyncContextManager[RelayedAnswer]:
        """Send the body, and open the answer; leaving the context closes the connection.

        `is_stream`: whether a stream was asked for; `quiet_s`: after how long of silence it gives an empty part.

        A refusal in OpenAI's envelope is an answer, too. Raises, on entering, what any other failure of the server's is
        in our words: RateLimited, UpstreamError, UpstreamTimeout, InvalidPrompt, NotFound.
        """
