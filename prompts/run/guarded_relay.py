"""A relay whose failures the breaker of the model's server counts."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prompts.errors import UpstreamError, UpstreamTimeout
from prompts.ports.relay import Relay, RelayedAnswer, RelayPath
from prompts.run.breaker import Breaker
from prompts.run.guarded_model import counted_failures


class GuardedRelay:
    """`Relay` that tells the breaker how its requests went, as `GuardedModel` does of its calls."""

    def __init__(self, relay: Relay, breaker: Breaker) -> None:
        self._relay = relay
        self._breaker = breaker

    def resolve(self, model: str) -> str:
        """See `Relay.resolve`."""
        return self._relay.resolve(model)

    @asynccontextmanager
    async def open(
        self, path: RelayPath, body: bytes, *, is_stream: bool, quiet_s: float
    ) -> AsyncGenerator[RelayedAnswer, None]:
        """See `Relay.open`."""
        with counted_failures(self._breaker):
            async with self._relay.open(path, body, is_stream=is_stream, quiet_s=quiet_s) as answer:
                if isinstance(answer.failure, (UpstreamError, UpstreamTimeout)):
                    self._breaker.fail()
                elif answer.failure is None:
                    self._breaker.succeed()
                yield answer
