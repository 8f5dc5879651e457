"""How models count tokens, as all replicas have seen it: one small hash in Redis, looked at every few seconds."""

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

# A tokenizer does not change: nobody needs to know sooner.
AGREE_S = 5.0
# No tokenizer is as far from four characters a token as this; a server that reports nonsense is not believed beyond it.
LOWEST, HIGHEST = 0.25, 4.0
# Of a moving mean: some ten answers, so that a model that was replaced under the same name is known within minutes.
SHARE = 0.1
# Clients name models; where the model's server does not say which there are, they could name any number.
MAX_MODELS = 1_000


@dataclass(slots=True)
class Sample:
    """What answers have shown since the replicas last agreed."""

    estimated: int = 0
    reported: int = 0
    answers: int = 0


class RedisCalibration:
    """`Calibration` on Redis; asking and noting cost nothing."""

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
        """Tell the others what was noted here, and learn what they know. Raises Unavailable."""
        samples, self._samples = self._samples, {}
        noted = [(model, each.reported / each.estimated, each.answers) for model, each in samples.items()]
        reply = await self._scripts.call(
            "calibrate",
            factors_key=keys.CALIBRATION,
            samples=encode(noted),
            lowest=str(LOWEST),
            highest=str(HIGHEST),
            share=str(SHARE),
            max_models=self._max_models,
        )
        known = zip(reply[::2], reply[1::2], strict=True)
        self._factors = {model.decode(): float(value.split()[0]) for model, value in known}

    async def keep_agreed(self) -> None:
        """Agree now and every few seconds, until cancelled. What was noted while Redis was away is forgotten."""
        while True:
            try:
                await self.agree()
            except Unavailable:
                log.debug("not_calibrated")  # readiness says so in its own words
            await asyncio.sleep(AGREE_S)
