"""Commands to Redis as spans: a script by its name, any other command by its own."""

from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Tracer
from redis.asyncio import ConnectionPool, Redis
from typing_extensions import override

from prompts.adapters.redis.lua_files import SCRIPTS

SCRIPT_NAMES = {script.sha: name for name, script in SCRIPTS.items()}


class TracedRedis(Redis):
    """A client whose commands are spans of the work that gives them; what nobody traces, such as chores, makes none.

    Pipelines make none either: one carries the groups of many runs.
    """

    def __init__(self, pool: ConnectionPool, tracer: Tracer) -> None:
        """It closes the pool when it is closed."""
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        self._tracer = tracer

    @override
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See redis-py."""
        if not trace.get_current_span().is_recording():
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py has no types here
        command = str(args[0])
        attributes = {"db.system.name": "redis", "db.operation.name": command}
        name = command
        if command == "EVALSHA" and (script := SCRIPT_NAMES.get(str(args[1]))) is not None:
            attributes["db.stored_procedure.name"] = script
            name = f"{command} {script}"
        with self._tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py has no types here
