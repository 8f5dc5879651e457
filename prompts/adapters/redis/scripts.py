"""Lua scripts by name, and the one place where redis-py's errors become ours."""

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoScriptError, OutOfMemoryError, RedisError

from prompts.errors import StorageFull, Unavailable

# What a script takes; redis-py would take more, but not turn it into what was meant.
Arg: TypeAlias = str | bytes | int

# One call of a script: its keys and its arguments.
Call: TypeAlias = tuple[Sequence[str], Sequence[Arg]]

LUA = Path(__file__).parent / "lua"
INCLUDES = re.compile(r"^-- INCLUDES (.+)$", re.MULTILINE)
# How long Redis remembers a call that removes something: the client's own second try comes within its time limits.
CALL_KEPT_S = 60
# What goes to Redis together: enough to save round trips, little enough to hold nobody up.
CALLS_A_PIPELINE = 100


@contextmanager
def translated_errors() -> Iterator[None]:
    """Whatever the driver raises means: not now. Its text stays in the logs, by way of the exception's cause."""
    try:
        yield
    except OutOfMemoryError as exc:
        raise StorageFull("The conversation store is full. Try again later.") from exc
    except AuthenticationError as exc:
        raise Unavailable("The conversation store refuses this server. Try again later.", retry_after_s=5) from exc
    except (RedisError, OSError) as exc:
        raise Unavailable("The conversation store cannot be reached right now. Try again in a moment.") from exc


async def read_fields(redis: Redis, key: str, fields: Sequence[str]) -> list[bytes | None]:
    """A hash's fields, None for each that is not there. Raises Unavailable."""
    with translated_errors():
        # The client never decodes (config/clients.py); its types cannot know that.
        return cast("list[bytes | None]", await redis.hmget(key, list(fields)))


def new_call_id() -> str:
    """Tells the client's second try of one call, after a lost answer, from another call with the same arguments."""
    return secrets.token_hex(8)


class Scripts:
    """The scripts of `lua/`, called by name; each call is one EVALSHA."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = {path.stem: redis.register_script(read_script(path.stem)) for path in LUA.glob("*.lua")}

    async def call(self, name: str, *, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Run a script; its RETURNS line says what comes back. Raises Unavailable."""
        with translated_errors():
            return await self.call_raw(name, keys=keys, args=args)

    async def call_raw(self, name: str, *, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """The same, with the driver's own errors."""
        return await self._scripts[name](keys=keys, args=args)

    async def call_many(self, name: str, calls: Sequence[Call]) -> list[Any]:
        """Run a script once a call, many in a round trip. Raises Unavailable."""
        answers: list[Any] = []
        with translated_errors():
            for start in range(0, len(calls), CALLS_A_PIPELINE):
                answers += await self.call_together(name, calls[start : start + CALLS_A_PIPELINE])
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    async def call_together(self, name: str, calls: Sequence[Call]) -> list[Any]:
        """Run a script once a call, all in one round trip; what a call raised stands in place of its answer."""
        sha = str(self._scripts[name].sha)
        pipeline = self._redis.pipeline(transaction=False)
        for keys, args in calls:
            pipeline.evalsha(sha, len(keys), *keys, *args)
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as exc:
            return [exc] * len(calls)
        # A server that was restarted has forgotten the script; a call by itself loads it again.
        return [
            await self._call_alone(name, call) if isinstance(answer, NoScriptError) else answer
            for call, answer in zip(calls, answers, strict=True)
        ]

    async def _call_alone(self, name: str, call: Call) -> Any:
        try:
            return await self.call_raw(name, keys=call[0], args=call[1])
        except (RedisError, OSError) as exc:
            return exc


def read_script(name: str) -> str:
    """A script's text, behind the parts that it includes: a script cannot load another one."""
    script = (LUA / f"{name}.lua").read_text("utf-8")
    return "".join([*_read_parts(script), script])


def _read_parts(script: str) -> list[str]:
    """The parts that a script, or another part, includes: each once, behind those that it includes itself."""
    parts: dict[str, None] = {}  # a set that keeps its order
    for names in INCLUDES.findall(script):
        for name in names.split():
            part = (LUA / "parts" / f"{name}.lua").read_text("utf-8")
            parts |= dict.fromkeys([*_read_parts(part), part])
    return list(parts)
