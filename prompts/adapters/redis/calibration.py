"""How models count tokens, learned by all replicas together: a small hash an owner, read every few seconds.

What is sent decides how a tokenizer fares: of blanks it makes fewer tokens than estimated, of rare letters more. So an
owner's factors are learned from their own answers, and none can move another's.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import structlog
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.lua_files import Arg
from prompts.adapters.redis.scripts import Scripts
from prompts.errors import Unavailable

log = structlog.get_logger(__name__)

encode = msgspec.json.Encoder().encode

# A model's tokenizer does not change, so it is early enough to know in some seconds.
AGREE_S = 5.0
# The bounds of a factor. No tokenizer is further from four characters a token; a report beyond them is nonsense.
LOWEST, HIGHEST = 0.25, 4.0
# The share of one answer in the moving mean: after a model was replaced under its name, ten answers are enough to know.
SHARE = 0.1
# Clients name the models. Where the model's server lists none, they could name any number.
MAX_MODELS = 100
# Of which owners this process keeps the factors, those that were asked for last.
MAX_OWNERS = 10_000
# An owner whom this process has not met is looked up at once, and many of them together.
MEET_S = 0.1
# Who asks nothing for so long begins again.
KEPT_S = 30 * 24 * 3600


@dataclass(slots=True)
class Sample:
    """Tokens of the answers since the replicas last agreed."""

    estimated: int = 0
    reported: int = 0
    answers: int = 0


class RedisCalibration:
    """`Calibration` on Redis. `get_factor` and `learn` touch memory only."""

    def __init__(self, redis: Redis, *, max_models: int = MAX_MODELS, max_owners: int = MAX_OWNERS) -> None:
        self._scripts = Scripts(redis)
        self._max_models = max_models
        self._max_owners = max_owners
        self._factors: OrderedDict[str, Mapping[str, float]] = OrderedDict()
        """By owner, the one that was asked for last at the end."""
        self._samples: dict[str, dict[str, Sample]] = {}
        self._asked: set[str] = set()
        self._met = asyncio.Event()

    def get_factor(self, model: str, *, owner: str) -> float:
        """See `Calibration.get_factor`."""
        if len(self._asked) < self._max_owners:
            self._asked.add(owner)
        factors = self._factors.get(owner)
        if factors is None:
            self._met.set()
            return 1.0
        self._factors.move_to_end(owner)
        return factors.get(model, 1.0)

    def learn(self, model: str, *, owner: str, estimated: int, reported: int) -> None:
        """See `Calibration.learn`."""
        if estimated <= 0 or not LOWEST * estimated <= reported <= HIGHEST * estimated:
            return
        if owner not in self._samples and len(self._samples) >= self._max_owners:
            return
        samples = self._samples.setdefault(owner, {})
        if model not in samples and len(samples) >= self._max_models:
            return
        sample = samples.setdefault(model, Sample())
        sample.estimated += estimated
        sample.reported += reported
        sample.answers += 1

    async def agree(self) -> None:
        """Share what was learned here, and read what all replicas know of the owners here. Raises Unavailable."""
        samples, self._samples = self._samples, {}
        owners, self._asked = [*samples, *(self._asked - samples.keys())], set()
        self._met.clear()
        replies = await self._scripts.call_many(
            "calibrate", [self._build_call(owner, samples.get(owner, {})) for owner in owners]
        )
        for owner, reply in zip(owners, replies, strict=True):
            known = zip(reply[::2], reply[1::2], strict=True)
            self._factors[owner] = {model.decode(): float(value.split()[0]) for model, value in known}
            self._factors.move_to_end(owner)
        while len(self._factors) > self._max_owners:
            self._factors.popitem(last=False)

    def _build_call(self, owner: str, samples: Mapping[str, Sample]) -> Mapping[str, Arg]:
        learned = [(model, each.reported / each.estimated, each.answers) for model, each in samples.items()]
        return {
            "factors_key": keys.calibration(owner),
            "samples": encode(learned),
            "lowest": str(LOWEST),
            "highest": str(HIGHEST),
            "share": str(SHARE),
            "max_models": self._max_models,
            "kept_s": KEPT_S,
        }

    async def keep_agreed(self) -> None:
        """Agree every few seconds, and when an owner is new here, until cancelled.

        What was learned while Redis is away is lost.
        """
        while True:
            try:
                await self.agree()
            except Unavailable:
                log.debug("not_calibrated")  # readiness reports it
            await asyncio.sleep(MEET_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(AGREE_S - MEET_S):
                    await self._met.wait()
