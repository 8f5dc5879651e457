"""Who asks: the caller behind an `Authorization` header, over whichever transport."""

from prompts.errors import InvalidApiKey, RateLimited
from prompts.ports.api_keys import ApiKeys, Caller
from prompts.ports.client_secrets import PREFIX


async def authenticate(authorization: str | None, *, api_keys: ApiKeys) -> Caller:
    """The caller whose key or client secret the header carries, this request counted.

    Raises InvalidApiKey, ClientSecretExpired, Unavailable.
    """
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise InvalidApiKey("You did not provide an API key. Send it as 'Authorization: Bearer <key>'.")
    caller = await api_keys.find_caller(key.strip())
    if caller is None and key.strip().startswith(PREFIX):
        message = "This client secret is not valid, or whoever made it has revoked it. Get another one from them."
        raise InvalidApiKey(message)
    if caller is None:
        raise InvalidApiKey("Incorrect API key provided. Ask the operator of this server for a valid one.")
    return caller


def check_rate(caller: Caller) -> None:
    """Raises RateLimited when the caller has no request left in this minute."""
    if not caller.may_ask:
        message = f"You asked {caller.limit} times within a minute, the limit."
        raise RateLimited(message, retry_after_s=caller.reset_s)
