"""All probes of a server, one after another, and what follows from them."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from openai import AsyncOpenAI

from prompts.adapters.openai.chat_model import OpenAIChatModel
from prompts.adapters.openai.model import OpenAIModel
from prompts.adapters.openai.probing.probes import PROBES, Finding, Probe, Probed
from prompts.adapters.openai.probing.server import ProbedServer, stream_turn
from prompts.adapters.openai.quirks import ModelQuirks
from prompts.adapters.openai.responses_model import OpenAIResponsesModel
from prompts.adapters.openai.streams import Patience
from prompts.errors import ServiceError

# The first that answers a turn is recommended; Chat Completions is what nearly every server does best.
PROTOCOLS: Mapping[str, type[OpenAIModel]] = {"chat_completions": OpenAIChatModel, "responses": OpenAIResponsesModel}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one probe may take, and all of them; seconds."""

    probe_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, by probe; what to set; whether the server can serve turns at all."""

    findings: Mapping[str, Finding]
    settings: Mapping[str, str]
    can_serve: bool


async def probe_model(client: AsyncOpenAI, model: str, quirks: ModelQuirks, limits: Limits) -> Report:
    """Ask a server what one of its models can. Nothing is raised: what fails is a `?` with its reason."""
    deadline = time.monotonic() + limits.total_s
    patience = Patience(min(5.0, limits.probe_s), limits.probe_s, limits.probe_s)
    findings: dict[str, Finding] = {}
    spoken: dict[str, OpenAIModel] = {}
    for protocol, kind in PROTOCOLS.items():
        turns = kind(client, patience, quirks)
        name = f"a turn, {protocol}"
        probed = Probed(ProbedServer(client, model), turns)
        findings[name] = await _run(_probe_turn, probed, limits, deadline)
        if findings[name].result == "yes":
            spoken[protocol] = turns
    for name, probe in PROBES.items():
        if "chat_completions" not in spoken:
            reason = "asked in Chat Completions only, which this server does not answer"
            findings[name] = Finding("?", f"not asked: {reason if spoken else 'no turn was answered'}")
            continue
        probed = Probed(ProbedServer(client, model), spoken["chat_completions"])
        findings[name] = await _run(probe, probed, limits, deadline)
    settings = {name: value for finding in findings.values() for name, value in finding.settings.items()}
    if spoken:
        settings = {"MODEL_PROTOCOL": next(iter(spoken)), **settings}
    return Report(findings, settings, bool(spoken))


async def _probe_turn(probed: Probed) -> Finding:
    await probed.turns.list_models()  # its names are known from then on
    turn = await stream_turn(probed.turns, probed.server.model, "Say hello.")
    return Finding("yes", f"streamed, {len(turn.text)} characters, ended with {turn.reason!r}")


async def _run(probe: Probe, probed: Probed, limits: Limits, deadline: float) -> Finding:
    left_s = min(limits.probe_s, deadline - time.monotonic())
    if left_s <= 0:
        return Finding("?", f"not asked: {limits.total_s:g} s were over")
    try:
        async with asyncio.timeout(left_s):
            return await probe(probed)
    except TimeoutError:
        return Finding("?", f"no answer within {left_s:.0f} s")
    except ServiceError as error:
        return Finding("?", f"failed ({error.code}): {error.message}")
