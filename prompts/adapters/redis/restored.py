"""Calls about what Redis may have let go: it is restored, and they are made again."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, TypeVar, cast

from prompts.errors import NotFound
from prompts.ports.restoring import Restorer

Result = TypeVar("Result")
Method = TypeVar("Method", bound=Callable[..., Awaitable[Any]])

# An item that is not in a conversation is another matter.
CODES = ("conversation_not_found", "response_not_found", "previous_response_not_found")


async def call_restored(
    restorer: Restorer, public_id: str, owner: str, call: Callable[[], Awaitable[Result]]
) -> Result:
    """Make the call; when the conversation or response is not found, and can be restored, once more."""
    try:
        return await call()
    except NotFound as error:
        if error.code not in CODES or not await restorer.restore(public_id, owner=owner):
            raise
    return await call()


def restored(method: Method) -> Method:
    """A method of a store with a `restorer`, whose first argument is the id that may be restored, for its `owner`."""

    @wraps(method)
    async def call(self: Any, public_id: str, *args: Any, owner: str, **kwargs: Any) -> Any:
        attempt = partial(method, self, public_id, *args, owner=owner, **kwargs)
        return await call_restored(self.restorer, public_id, owner, attempt)

    return cast(Method, call)
