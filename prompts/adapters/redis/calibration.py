"""How models count tokens, learned by all replicas together: one small hash in Redis, read every few seconds."""

import asyncio
from dataclasses import dataclass

import msgspec
import structlog
from redis.asyncio import Redis

from prompts.adapters.redis import keys
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
MAX_MODELS = 1_000


@dataclass(slots=True)
class Sample:
    """Tokens of the answers since the replicas last agreed."""

    estimated: int = 0
    reported: int = 0
    answers: int = 0


class RedisCalibration:
    """`Calibration` on Redis. `get_factor` and `learn` touch memory only."""

    def __init__(self, redis: Redis, *, max_models: int = MAX_MODELS) -> None:
        self._scripts = Scripts(redis)
        self._max_models = max_models
        self._factors: dict[str, float] = {}
        self._samples: dict[str, Sample] = {}

    def get_factor(self, model: str) -> float:
        """See `Calibration.get_factor`."""
        return self._factors.get(model, 1.0)

    def learn(self, model: str, *, estimated: int, reported: int) -> None:
        """See `Calibration.learn`."""
        if estimated <= 0 or reported <= 0 or (model not in self._samples and len(self._samples) >= self._max_models):
            return
        sample = self._samples.setdefault(model, Sample())
        sample.estimated += estimated
        sample.reported += reported
        sample.answers += 1

    async def agree(self) -> None:
        """Share what was learned here, and read what all replicas know. Raises Unavailable."""
        samples, self._samples = self._samples, {}
        learned = [(model, each.reported / each.estimated, each.answers) for model, each in samples.items()]
        reply = await self._scripts.call(
            "calibrate",
            factors_key=keys.CALIBRATION,
            samples=encode(learned),
            lowest=str(LOWEST),
            highest=str(HIGHEST),
            share=str(SHARE),
            max_models=self._max_models,
        )
        known = zip(reply[::2], reply[1::2], strict=True)
        self._factors = {model.decode(): float(value.split()[0]) for model, value in known}

    async def keep_agreed(self) -> None:
        """Agree now and every few seconds, until cancelled. What was learned while Redis is away is lost."""
        while True:
            try:
                await self.agree()
            except Unavailable:
                log.debug("not_calibrated")  # readiness reports it
            await asyncio.sleep(AGREE_S)
