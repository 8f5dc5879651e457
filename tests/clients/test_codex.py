"""The Codex CLI from npm, unchanged but for the configuration that `manage.py configure codex` writes.

It runs commands and applies patches for real, as the model says, in a folder of the test's own.
"""

import asyncio
import base64
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config.codex import KEY_VARIABLE, PROVIDER, add_settings, compose_settings
from launcher.smollm2 import MODEL as SMOLLM2
from tests.clients.scenario import Answer
from tests.support.model_calls import ModelCalls
from tests.support.npm import install_npm_packages
from tests.support.processes import REPO_ROOT
from tests.support.server_fixtures import StartReplica
from tests.support.service import Service
from tests.support.smollm2 import SmolLM2Server

PACKAGE = REPO_ROOT / "tests/clients/codex"
# One program of 315 MB: 8 s with a warm cache, once.
MAX_INSTALL_S = 240
# A turn takes about a second on an idle machine.
MAX_TURN_S = 45
# A real model reads Codex's thousand tokens first: 5 s on an idle machine, but this one runs other tests.
MAX_REAL_TURN_S = 200

# An install takes longer than a test may.
pytestmark = pytest.mark.timeout(MAX_INSTALL_S + 60)

PROTOCOLS = ["chat_completions", pytest.param("responses", marks=pytest.mark.long)]

SECRET = "The code word is heliotrope."
READ = 'My name is Ada. Call exec_command cmd="cat notes.txt"'
PATCH = """*** Begin Patch
*** Add File: greeting.txt
+Hello from
+the model
*** Update File: notes.txt
@@
-The code word is heliotrope.
+The code word is marigold.
*** End Patch"""
# One pixel.
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
# What Codex asks of the model when it shortens a history by itself.
OWN_COMPACTION = "CONTEXT CHECKPOINT COMPACTION"

Event = dict[str, Any]


@dataclass(frozen=True)
class Codex:
    """Codex with a home and a project of its own."""

    program: Path
    home: Path
    project: Path
    key: str

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write its file, as `manage.py configure codex` does."""
        (self.home / "config.toml").write_text(add_settings("", settings))

    async def ask(self, *arguments: str, within_s: float = MAX_TURN_S) -> list[Event]:
        """The events of a turn that must succeed. The last argument is the prompt."""
        status, events, complaints = await self.run(*arguments, within_s=within_s)
        assert status == 0, f"{complaints}\n{events}"
        assert events[-1]["type"] == "turn.completed"
        return events

    async def run(self, *arguments: str, within_s: float = MAX_TURN_S) -> tuple[int | None, list[Event], str]:
        """One turn: its exit code, its events, and what else it printed."""
        sandboxless = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
        process = await asyncio.create_subprocess_exec(
            *(str(self.program), "exec", "--json", *sandboxless, *arguments),
            cwd=self.project,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "CODEX_HOME": str(self.home),
                KEY_VARIABLE: self.key,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # npm's program starts the real one
        )
        try:
            async with asyncio.timeout(within_s):
                printed, complaints = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.communicate()
        return process.returncode, [json.loads(line) for line in printed.splitlines()], complaints.decode()


def find_items(events: list[Event], kind: str) -> list[dict[str, Any]]:
    """The items of one kind that a turn completed."""
    return [event["item"] for event in events if event["type"] == "item.completed" and event["item"]["type"] == kind]


def get_answer(events: list[Event]) -> str:
    """The last thing that the model said."""
    return str(find_items(events, "agent_message")[-1]["text"])


@pytest.fixture(scope="module")
def program() -> Path:
    """Codex, installed."""
    install_npm_packages(PACKAGE, within_s=MAX_INSTALL_S)
    return PACKAGE / "node_modules/.bin/codex"


@pytest.fixture
def codex(program: Path, service: Service, tmp_path: Path) -> Codex:
    """Codex as `manage.py configure codex` points it here, in a project with a note."""
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    (project / "notes.txt").write_text(f"{SECRET}\n")
    codex = Codex(program, home, project, service.alice_key)
    codex.configure(compose_settings(service.api_url, "stand-in"))
    return codex


async def test_it_answers(codex: Codex) -> None:
    events = await codex.ask("My name is Ada. What is my name?")
    assert get_answer(events) == "Your name is Ada."
    assert find_items(events, "error") == []  # it found the model in the catalogue
    assert events[-1]["usage"]["input_tokens"] > 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_it_reads_and_writes_files_and_remembers(
    codex: Codex, service: Service, start_replica: StartReplica, protocol: str
) -> None:
    """A custom tool is a function to a model of the one protocol, and itself to one of the other."""
    replica = start_replica({**service.environment, "MODEL_PROTOCOL": protocol})
    codex.configure(compose_settings(f"{replica.url}/v1", "stand-in"))
    read = await codex.ask(READ)
    (command,) = find_items(read, "command_execution")
    assert (command["exit_code"], command["aggregated_output"]) == (0, f"{SECRET}\n")
    assert SECRET in get_answer(read)

    written = await codex.ask("resume", "--last", f"Call apply_patch <<END\n{PATCH}\nEND")
    (change,) = find_items(written, "file_change")
    assert [one["kind"] for one in change["changes"]] == ["add", "update"]
    assert (codex.project / "greeting.txt").read_text() == "Hello from\nthe model\n"
    assert (codex.project / "notes.txt").read_text() == "The code word is marigold.\n"
    assert "Success" in get_answer(written)

    thread_id = read[0]["thread_id"]
    remembered = await codex.ask("resume", thread_id, "What is my name, and what is the code word?")
    assert remembered[0]["thread_id"] == thread_id
    assert get_answer(remembered) == "Your name is Ada. The code word is marigold."


@pytest.mark.long
async def test_it_starts_an_agent_by_a_tool_of_a_namespace(codex: Codex) -> None:
    events = await codex.ask('multi_agent_v1__spawn_agent message="Hello"')
    (call,) = find_items(events, "collab_tool_call")
    assert (call["tool"], call["prompt"], call["status"]) == ("spawn_agent", "Hello", "completed")
    assert "agent_id" in get_answer(events)


@pytest.mark.long
async def test_it_shows_pictures_and_gets_data(codex: Codex) -> None:
    picture, schema = codex.project / "picture.png", codex.project / "schema.json"
    picture.write_bytes(base64.b64decode(PICTURE))
    seen = await codex.ask("-i", str(picture), "--", "What do you see?")
    assert get_answer(seen).startswith("I see 1 image and no files.\nImage 1: image/png, ")
    viewed = await codex.ask('Call view_image path="picture.png"')
    assert find_items(viewed, "error") == []
    schema.write_text(json.dumps(Answer.model_json_schema() | {"additionalProperties": False}))
    told = await codex.ask("--output-schema", str(schema), "My name is Ada. What is my name?")
    assert Answer.model_validate_json(get_answer(told)) == Answer(answer="Your name is Ada.")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_it_works_over_a_websocket(
    codex: Codex, service: Service, start_replica: StartReplica, protocol: str
) -> None:
    """It warms up, sends only what is new, stores nothing, and asks again over a new connection when it resumes."""
    replica = start_replica({**service.environment, "MODEL_PROTOCOL": protocol, "METRICS_PORT": "0"})
    settings = compose_settings(f"{replica.url}/v1", "stand-in")
    settings["model_providers"][PROVIDER]["supports_websockets"] = True
    codex.configure(settings)
    read = await codex.ask(READ)
    (command,) = find_items(read, "command_execution")
    assert (command["exit_code"], command["aggregated_output"]) == (0, f"{SECRET}\n")
    assert find_items(read, "error") == []
    remembered = await codex.ask("resume", "--last", "What is my name, and what is the code word?")
    assert get_answer(remembered) == f"Your name is Ada. {SECRET}"
    lines = [json.loads(line) for line in replica.log.splitlines() if '"websocket_' in line or '"request"' in line]
    assert [line["path"] for line in lines if line["event"] == "request" and line["path"] == "/v1/responses"] == []
    turns = [line["outcome"] for line in lines if line["event"] == "websocket_turn"]
    assert len(turns) >= 4  # a warm-up, the call, what it gave, and what was remembered
    assert set(turns) <= {"answered", "left"}


async def test_where_there_is_no_websocket_it_goes_on_over_http(
    codex: Codex, service: Service, start_replica: StartReplica
) -> None:
    replica = start_replica({**service.environment, "WEBSOCKETS": "false"})
    settings = compose_settings(f"{replica.url}/v1", "stand-in")
    settings["model_providers"][PROVIDER]["supports_websockets"] = True
    codex.configure(settings)
    assert get_answer(await codex.ask("My name is Ada. What is my name?")) == "Your name is Ada."


@pytest.mark.long
async def test_without_the_catalogue_it_patches_by_its_shell(codex: Codex, service: Service) -> None:
    settings = compose_settings(service.api_url, "stand-in")
    del settings["model_providers"][PROVIDER]["model_catalog_url"]
    codex.configure(settings)
    shell = f"exec_command cmd=<<END\napply_patch <<'EOF'\n{PATCH}\nEOF\nEND"
    events = await codex.ask(shell)
    assert len(find_items(events, "file_change")) == 1
    assert (codex.project / "greeting.txt").read_text() == "Hello from\nthe model\n"


@pytest.mark.parametrize(
    ("provider_name", "is_asked_for_an_item"),
    [("Enhanced Prompt Service", False), pytest.param("OpenAI", True, marks=pytest.mark.long)],
)
async def test_its_compaction_keeps_what_was_said(
    codex: Codex, model_calls: ModelCalls, provider_name: str, is_asked_for_an_item: bool
) -> None:
    """Of a provider with OpenAI's name it asks for a `compaction` item, of others for a summary, as a turn."""
    named = ("-c", f'model_providers.{PROVIDER}.name="{provider_name}"')
    await codex.ask(*named, READ)
    compact = ("-c", "model_auto_compact_token_limit=1000")
    events = await codex.ask(*named, *compact, "resume", "--last", "What is the code word, and what is my name?")
    assert get_answer(events) == f"{SECRET} Your name is Ada."
    *_, summing_up, answering = [str(body["messages"]) for body in await model_calls.list_bodies()]
    assert (OWN_COMPACTION in summing_up) is not is_asked_for_an_item
    assert ("transcript" in summing_up) is is_asked_for_an_item
    assert READ in answering
    assert "tool_call_id" not in answering  # what the tool said is in the summary only


async def test_a_refusal_is_shown(codex: Codex) -> None:
    status, events, _ = await codex.run("-m", "no-such-model", "Hello")
    assert status == 1
    assert "The model 'no-such-model' does not exist" in str(events[-1])


@pytest.mark.long
async def test_a_small_real_model_answers_it(
    codex: Codex, service: Service, smollm2: SmolLM2Server, start_replica: StartReplica
) -> None:
    # Greedy, and a question with a short answer: a model of this size can go on for minutes.
    real = {"OPENAI_BASE_URL": smollm2.base_url, "DEFAULT_MODEL": SMOLLM2, "MODEL_OPTIONS": '{"temperature": 0}'}
    patient = {"MODEL_FIRST_TOKEN_S": "180", "MODEL_SILENCE_S": "60"}
    replica = start_replica({**service.environment, **real, **patient})
    codex.configure(compose_settings(f"{replica.url}/v1", SMOLLM2))
    events = await codex.ask("What is 2 plus 2? Answer with one number.", within_s=MAX_REAL_TURN_S)
    assert get_answer(events).strip()
