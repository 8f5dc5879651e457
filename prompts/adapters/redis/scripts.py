"""Calls of Lua scripts, and the one place where redis-py's errors become ours."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoScriptError, OutOfMemoryError, RedisError, ResponseError

from prompts.adapters.redis.lua_files import SCRIPTS, Arg, Call, LuaScript
from prompts.adapters.redis.multiplexed import MultiplexedRedis
from prompts.errors import BrokenRecord, ServiceError, StorageFull, Unavailable

encode = msgspec.json.Encoder().encode

# How long Redis remembers the id of a call that deleted something. The second try of the same call comes sooner.
CALL_KEPT_S = 60
# Enough to save round trips, few enough to delay no other client.
CALLS_A_PIPELINE = 100
AWAY = "The conversation store cannot be reached right now. Try again in a moment."
# Errors that a server answers with while it cannot serve begin with a word like BUSY or MISCONF.
_PASSING = re.compile(r"(?!WRONGTYPE )[A-Z]{3,} ")


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise the driver's errors as ours. The driver's text reaches the logs only, as the exception's cause."""
    try:
        yield
    except (RedisError, OSError) as exc:
        raise translate(exc) from exc


def translate(error: BaseException) -> BaseException:
    """Our error for one of the driver's, with that as its cause; any other error is given back as it is."""
    match error:
        case OutOfMemoryError():
            ours: ServiceError = StorageFull("The conversation store is full. Try again later.")
        case AuthenticationError():
            ours = Unavailable("The conversation store refuses this server. Try again later.", retry_after_s=5)
        case ResponseError() if type(error) is ResponseError and not _PASSING.match(str(error)):
            ours = BrokenRecord("The conversation store cannot read what it holds here. Try again later.")
        case RedisError() | OSError():
            ours = Unavailable(AWAY)
        case _:
            return error
    ours.__cause__ = error
    return ours


async def read_fields(redis: Redis, key: str, fields: Sequence[str]) -> list[bytes | None]:
    """A hash's fields, None for each that is not there. Raises Unavailable."""
    try:
        # The client never decodes (config/connections.py); its types cannot know that.
        return cast("list[bytes | None]", await redis.hmget(key, list(fields)))
    except (RedisError, OSError) as exc:
        raise translate(exc) from exc


async def find_owned(redis: Redis, key: str, owner: str, fields: Sequence[str]) -> list[bytes | None] | None:
    """The same, of a hash that is this owner's; None for another's. Raises Unavailable."""
    found = await Scripts(redis).call("read_owned", key=key, owner=owner, fields=_name_fields(tuple(fields)))
    return cast("list[bytes | None]", found) or None


async def is_owned(redis: Redis, key: str, owner: str) -> bool:
    """Whether a hash is there and this owner's. Raises Unavailable."""
    [found_owner] = await read_fields(redis, key, ["owner"])
    return found_owner is not None and found_owner.decode() == owner


@cache
def _name_fields(fields: tuple[str, ...]) -> bytes:
    """As the script takes them; there are a few dozen lists of them, and all are ours."""
    return encode(fields)


def new_call_id() -> str:
    """An id for one call. When an answer is lost, redis-py sends the same call again, with the same id."""
    return secrets.token_hex(8)


class Scripts:
    """The scripts of `lua/`, called by their names and the names of what they take; each call is one EVALSHA."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def call(self, name: str, /, **values: Arg) -> Any:
        """Run a script; its RETURNS line says what comes back. Raises Unavailable."""
        script = SCRIPTS[name]
        call = script.arrange(values)
        try:  # no context manager, nor a coroutine that is not needed: this is called several times a turn
            try:
                return await self._run(script, call)
            except NoScriptError:
                return await self._load_and_run(script, call)
        except (RedisError, OSError) as exc:
            raise translate(exc) from exc

    async def call_many(self, name: str, calls: Sequence[Mapping[str, Arg]]) -> list[Any]:
        """Run a script once a call, many in a round trip. Raises Unavailable."""
        arranged = [SCRIPTS[name].arrange(values) for values in calls]
        answers: list[Any] = []
        with translated_errors():
            for start in range(0, len(arranged), CALLS_A_PIPELINE):
                answers += await self.call_together(name, arranged[start : start + CALLS_A_PIPELINE])
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    async def call_together(self, name: str, calls: Sequence[Call]) -> list[Any]:
        """Run a script once a call, all in one round trip. The answer of a call that failed is its exception."""
        script = SCRIPTS[name]
        answers = await self._send_together(script, calls)
        # A restarted server does not have the script any more; a call by itself loads it again.
        return [
            await self._call_alone(script, call) if isinstance(answer, NoScriptError) else answer
            for call, answer in zip(calls, answers, strict=True)
        ]

    def send(self, script: LuaScript, keys: Sequence[str], args: Sequence[Arg]) -> asyncio.Future[Any]:
        """Run a script, in the same write as whatever else is sent in this pass of the event loop. This makes no task.

        The future has redis-py's errors, also NoScriptError of a server that does not know the script yet.
        """
        if isinstance(self._redis, MultiplexedRedis):
            return self._redis.send("EVALSHA", script.sha, len(keys), *keys, *args)
        return asyncio.ensure_future(self._send_apart(script, (keys, args)))

    async def load(self, script: LuaScript) -> None:
        """Give the server a script that it does not know. Raises nothing: who calls it next is told."""
        with suppress(RedisError, OSError):
            await self._redis.script_load(script.text)

    async def _send_apart(self, script: LuaScript, call: Call) -> Any:
        [answer] = await self._send_together(script, [call])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _send_together(self, script: LuaScript, calls: Sequence[Call]) -> list[Any]:
        if isinstance(self._redis, MultiplexedRedis):
            sent = [self._redis.send("EVALSHA", script.sha, len(keys), *keys, *args) for keys, args in calls]
            return await asyncio.gather(*sent, return_exceptions=True)
        pipeline = self._redis.pipeline(transaction=False)
        for keys, args in calls:
            pipeline.evalsha(script.sha, len(keys), *keys, *args)
        try:
            return await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as exc:
            return [exc] * len(calls)

    def _run(self, script: LuaScript, call: Call) -> Awaitable[Any]:
        keys, args = call
        if isinstance(self._redis, MultiplexedRedis):
            return self._redis.send("EVALSHA", script.sha, len(keys), *keys, *args)
        run: Callable[..., Awaitable[Any]] = self._redis.execute_command
        return run("EVALSHA", script.sha, len(keys), *keys, *args)

    async def _call(self, script: LuaScript, call: Call) -> Any:
        try:
            return await self._run(script, call)
        except NoScriptError:
            return await self._load_and_run(script, call)

    async def _load_and_run(self, script: LuaScript, call: Call) -> Any:
        """On a new server, or one that was restarted."""
        await self._redis.script_load(script.text)
        return await self._run(script, call)

    async def _call_alone(self, script: LuaScript, call: Call) -> Any:
        try:
            return await self._call(script, call)
        except (RedisError, OSError) as exc:
            return exc
