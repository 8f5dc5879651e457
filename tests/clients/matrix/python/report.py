"""What the drivers in Python share: where to ask, what to say, and one JSON line a step."""

import asyncio
import inspect
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
MODEL = os.environ["MODEL"]
WORDS = json.loads(os.environ["WORDS"])
IMAGE = bytes.fromhex(WORDS["image"])

# Some clients print. Only what is reported goes to the pipe; the rest to where complaints go.
REPORT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

Step = Callable[[], Any]


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


def run(*, ways: Mapping[str, Step], steps: Mapping[str, Step]) -> None:
    """Run two turns, and a turn that is left, in each way to remember; then the other steps.

    A way opens a talk with two methods: `ask` returns the whole streamed answer, `leave` only begins to read it.
    """
    turns = {name: _bind(_take_two_turns, open_talk) for name, open_talk in ways.items()}
    left = {f"{name}, left": _bind(_leave_and_ask_again, open_talk) for name, open_talk in ways.items()}
    asyncio.run(_run_all({**turns, **left, **steps}))


def _bind(step: Callable[[Any], Awaitable[Any]], open_talk: Step) -> Step:
    return lambda: step(open_talk)


async def _take_two_turns(open_talk: Step) -> list[str]:
    talk = await _settle(open_talk())
    return [await _settle(talk.ask(WORDS[words])) for words in ("first", "second")]


async def _leave_and_ask_again(open_talk: Step) -> str:
    talk = await _settle(open_talk())
    await _settle(talk.ask(WORDS["fact"]))
    await _settle(talk.leave(WORDS["slow"]))
    return await _settle(talk.ask(WORDS["second"]))


async def _settle(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def _run_all(steps: Mapping[str, Step]) -> None:
    """Print what each step said, or what the client shows of an error."""
    for name, step in steps.items():
        try:
            line = {"step": name, "ok": True, "detail": await _settle(step())}
        except Exception as error:
            line = {"step": name, "ok": False, "detail": f"{type(error).__name__}: {error}"}
        REPORT.write(json.dumps(line) + "\n")
        REPORT.flush()
