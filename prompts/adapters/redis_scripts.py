"""Lua scripts by name, and the one place where redis-py's errors become ours."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, OutOfMemoryError, RedisError

from prompts.errors import Unavailable

# What a script takes; redis-py would take more, but not turn it into what was meant.
Arg: TypeAlias = str | bytes | int

LUA = Path(__file__).parent / "lua"


@contextmanager
def translated_errors() -> Iterator[None]:
    """Whatever the driver raises means: not now. Its text stays in the logs, by way of the exception's cause."""
    try:
        yield
    except OutOfMemoryError as exc:
        raise Unavailable("The conversation store is full. Try again later.", retry_after_s=30) from exc
    except AuthenticationError as exc:
        raise Unavailable("The conversation store refuses this server. Try again later.", retry_after_s=5) from exc
    except (RedisError, OSError) as exc:
        raise Unavailable("The conversation store cannot be reached right now. Try again in a moment.") from exc


async def read_fields(redis: Redis, key: str, fields: Sequence[str]) -> list[bytes | None]:
    """A hash's fields, None for each that is not there. Raises Unavailable."""
    with translated_errors():
        # The client never decodes (config/clients.py); its types cannot know that.
        return cast("list[bytes | None]", await redis.hmget(key, list(fields)))


class Scripts:
    """The scripts of `lua/`, called by name; each call is one EVALSHA."""

    def __init__(self, redis: Redis) -> None:
        self._scripts = {path.stem: redis.register_script(path.read_text("utf-8")) for path in LUA.glob("*.lua")}

    async def call(self, name: str, *, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Run a script; its RETURNS line says what comes back. Raises Unavailable."""
        with translated_errors():
            return await self._scripts[name](keys=keys, args=args)
