"""The measured servers, on one Valkey and one instant model, one worker each unless a name says otherwise."""

import json
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from redis import Redis
from typing_extensions import override

from benchmarks import litellm, machine
from benchmarks.load_client import Job, LoadClient, open_client
from benchmarks.programs import build
from prompts.adapters.redis.keys import outbox
from prompts.domain import ids
from tests.support.processes import ServerProcess
from tests.support.servers import ColdReplica, ValkeyServer, get_status
from tests.support.service import ALICE_KEY, manage

OURS, PLAIN, BARE, LITELLM, MODEL = "ours", "plain FastAPI", "bare ASGI", "LiteLLM", "the model itself"
CONVERSATION_ID = re.compile(r'"id": ?"(conv_\w+)"')
RESPONSE_ID = re.compile(r'"id": ?"(resp_\w+)"')
# As `plain_fastapi.py` names it, which is not imported: tests run without FastAPI.
PLAIN_API_KEYS = "plain:api_keys"
# Lines of a stream that are a token.
DELTA = "event: response.output_text.delta"
CHAT_DELTA = '"content":" '
COMPLETED = "event: response.completed"
CHAT_DONE = "data: [DONE]"
LANES_THAT_CREATE = 8


class ModelServer(ServerProcess):
    """The instant model."""

    @property
    def base_url(self) -> str:
        """For `OPENAI_BASE_URL`."""
        return f"{self.url}/v1"

    @override
    def get_command(self) -> list[str]:
        return [str(build("model")), f"127.0.0.1:{self.ports[0]}"]

    @override
    def is_ready(self) -> bool:
        return get_status(self.ports[0], "/healthz") == HTTPStatus.OK


class UvicornServer(ServerProcess):
    """An ASGI application under uvicorn, with our event loop and our parser."""

    def __init__(self, directory: Path, application: str, environment: Mapping[str, str], *options: str) -> None:
        super().__init__(directory)
        self._application = application
        self._environment = environment
        self._options = options

    @override
    def get_command(self) -> list[str]:
        stack = ("--loop", "uvloop", "--http", "httptools", "--workers", "1")
        address = ("--host", "127.0.0.1", "--port", str(self.ports[0]))
        return [sys.executable, "-m", "uvicorn", self._application, *stack, *address, *self._options]

    @override
    def get_environment(self) -> Mapping[str, str]:
        return self._environment

    @override
    def is_ready(self) -> bool:
        return get_status(self.ports[0], "/healthz") == HTTPStatus.OK


class LiteLlmServer(ServerProcess):
    """LiteLLM's proxy, as its documentation starts it for production: one worker, no debug lines."""

    max_start_s = 120

    def __init__(self, directory: Path, command: Path, model: ModelServer) -> None:
        super().__init__(directory)
        self._command = command
        self._model = model

    @override
    def get_command(self) -> list[str]:
        path = litellm.write_configuration(self.directory / "config.yaml", self._model.base_url)
        address = ("--host", "127.0.0.1", "--port", str(self.ports[0]))
        return [str(self._command), "--config", str(path), *address, "--num_workers", "1"]

    @override
    def get_environment(self) -> Mapping[str, str]:
        # Without them it asks the internet for prices, and logs each request at length.
        return {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}

    @override
    def is_ready(self) -> bool:
        return get_status(self.ports[0], "/health/liveliness") == HTTPStatus.OK


class OurReplica(ColdReplica):
    """Our service as production starts it, or its application in another form (`without.py`)."""

    def __init__(self, directory: Path, environment: Mapping[str, str], application: str) -> None:
        super().__init__(directory, environment)
        self._application = application

    @override
    def get_command(self) -> list[str]:
        return [*super().get_command()[:-1], self._application]


@dataclass(frozen=True)
class Contestant:
    """A server, and how it is asked."""

    name: str
    process: ServerProcess
    key: str = ALICE_KEY
    path: str = "/v1/responses"
    has_conversations: bool = True

    @property
    def token(self) -> str:
        """What a line of a stream with a token has."""
        return DELTA if self.path == "/v1/responses" else CHAT_DELTA

    @property
    def end(self) -> str:
        """What a line of a whole stream has."""
        return COMPLETED if self.path == "/v1/responses" else CHAT_DONE

    @property
    def port(self) -> int:
        return self.process.ports[0]

    def get_cpu_s(self) -> float:
        """The CPU seconds its processes have used so far."""
        return machine.get_cpu_s(self.process.pid)

    def compose(self, method: str, path: str, body: object = None) -> str:
        """A request as text on the wire."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.key}\r\n"
        if body is None:
            return f"{head}\r\n"
        text = json.dumps(body)
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}"

    def job(self, lanes: Sequence[Sequence[str]], **options: Any) -> Job:
        """A job of streams for the load generator; `options` are those of `Job`."""
        return Job(port=self.port, lanes=lanes, token=self.token, end=self.end, **options)

    def compose_turn(self, text: str, conversation_id: str = "") -> str:
        """A streamed turn; in a conversation where there are conversations."""
        if self.path == "/v1/responses":
            return self.compose_input([{"role": "user", "content": text}], conversation_id)
        messages = [{"role": "user", "content": text}]
        return self.compose("POST", self.path, {"model": "bench", "messages": messages, "stream": True})

    def compose_input(self, messages: Sequence[Mapping[str, str]], conversation_id: str) -> str:
        """A streamed turn with these input items."""
        body = {"model": "bench", "input": messages, "conversation": conversation_id, "stream": True}
        return self.compose("POST", self.path, body)


@dataclass(frozen=True)
class Bench:
    """What runs for the whole time, and what else can be started on it."""

    directory: Path
    valkey: ValkeyServer
    model: ModelServer
    redis: Redis
    client: LoadClient
    second_client: LoadClient
    environment: Mapping[str, str]
    is_quick: bool

    def rounds(self, quick: int, whole: int) -> int:
        """How often something is measured."""
        return quick if self.is_quick else whole

    def seconds(self, quick: float, whole: float) -> float:
        """How long something is measured."""
        return quick if self.is_quick else whole

    @contextmanager
    def start_ours(
        self, name: str = OURS, application: str = "config.asgi:application", **settings: str
    ) -> Iterator[Contestant]:
        """Our service, with settings of its own."""
        directory = self.directory / re.sub(r"\W", "-", name)
        with _started(OurReplica(directory, {**self.environment, **settings}, application)) as process:
            yield Contestant(name, process)

    @contextmanager
    def start_plain(self) -> Iterator[Contestant]:
        """The same turn as plain code."""
        names = ("REDIS_URL", "OPENAI_BASE_URL", "OPENAI_API_KEY")
        environment = {name: self.environment[name] for name in names}
        server = UvicornServer(self.directory / "plain", "benchmarks.plain_fastapi:app", environment)
        with _started(server) as process:
            yield Contestant(PLAIN, process)

    @contextmanager
    def start_bare(self) -> Iterator[Contestant]:
        """The limit of the stack. It writes no log line a request; the others do, each in its default way."""
        server = UvicornServer(self.directory / "bare", "benchmarks.bare_asgi:application", {}, "--no-access-log")
        with _started(server) as process:
            yield Contestant(BARE, process, has_conversations=False)

    @contextmanager
    def start_litellm(self) -> Iterator[Contestant]:
        """LiteLLM's proxy. Raises LiteLlmMissing."""
        server = LiteLlmServer(self.directory / "litellm", litellm.install(), self.model)
        with _started(server) as process:
            yield Contestant(LITELLM, process, key=litellm.KEY, path="/v1/chat/completions", has_conversations=False)

    @property
    def model_itself(self) -> Contestant:
        """The model, asked by the load generator without a server between: the limit of both."""
        return Contestant(MODEL, self.model, path="/v1/chat/completions", has_conversations=False)

    def rest(self, contestant: Contestant) -> None:
        """Returns when the contestant has nothing left to do, or seems never to. What waits for the archive is dropped:
        it would be copied in the middle of the next measurement."""
        self.redis.delete(*(outbox(partition) for partition in ids.all_partitions()))
        machine.wait_until_quiet(contestant.process.pid)

    def create_conversations(self, contestant: Contestant, count: int) -> list[str]:
        """The ids of new conversations; of as many nothings where there are none."""
        if not contestant.has_conversations:
            return [""] * count
        request = contestant.compose("POST", "/v1/conversations", {})
        lanes = [[request] * -(-count // LANES_THAT_CREATE)] * LANES_THAT_CREATE
        report = self.client.run(Job(port=contestant.port, lanes=lanes, keep=count))
        return [found[1] for body in report.kept if (found := CONVERSATION_ID.search(body))][:count]


def find_response_id(body: str) -> str:
    """The response's id in the bytes of a stream."""
    found = RESPONSE_ID.search(body)
    assert found is not None, body[:300]
    return found[1]


@contextmanager
def _started(process: ServerProcess) -> Iterator[ServerProcess]:
    with ExitStack() as stack:
        with machine.on_server_core():
            stack.enter_context(process)
        yield process


@contextmanager
def open_bench(directory: Path, *, is_quick: bool) -> Iterator[Bench]:
    """Start Valkey, the model and the load generator on the other cores; stop them at the end."""
    with ExitStack() as stack:
        # Rewriting the file would cost CPU that belongs to no token.
        no_rewrites = ("--auto-aof-rewrite-percentage", "0")
        valkey = stack.enter_context(ValkeyServer(directory / "valkey", arguments=no_rewrites))
        model = stack.enter_context(ModelServer(directory / "model"))
        environment = {
            "REDIS_URL": valkey.url,
            "CACHE_URL": valkey.cache_url,
            "DATA_DIR": str(directory),
            "DATABASE_URL": f"sqlite:///{directory / 'db.sqlite3'}",
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "unused",
            "DEFAULT_MODEL": "bench",
            "EMBEDDING_MODEL": "none",
            "SECRET_KEY": secrets.token_urlsafe(64),
            "HTTPS": "false",
            # Counted as in production, and above what any machine does.
            "REQUESTS_PER_MINUTE": "1000000000",
            # No turn may fail because a loaded machine is slow.
            "MODEL_FIRST_TOKEN_S": "60",
            "MODEL_SILENCE_S": "60",
        }
        manage(environment, "migrate", "--verbosity", "0")
        manage(environment, "create_api_key", "alice", "--key", ALICE_KEY)
        redis = stack.enter_context(Redis.from_url(valkey.url))
        redis.hset(PLAIN_API_KEYS, ids.hash_key(ALICE_KEY), "alice")
        client, second = stack.enter_context(open_client()), stack.enter_context(open_client())
        yield Bench(directory, valkey, model, redis, client, second, environment, is_quick)
