"""How models count tokens, learned by all replicas together: a small hash an owner, read every few seconds.

What is sent decides how a tokenizer fares: of blanks it makes fewer tokens than estimated, of rare letters more. So an
owner's factors are learned from their own answers, and none can move another's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import structlog
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.lua_files import Arg
from prompts.adapters.redis.met_owners import MAX_OWNERS, MetOwners
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
        self._factors: MetOwners[Mapping[str, float]] = MetOwners(pace_s=AGREE_S, max_owners=max_owners)
        self._samples: dict[str, dict[str, Sample]] = {}

    def get_factor(self, model: str, *, owner: str) -> float:
        """See `Calibration.get_factor`."""
        factors = self._factors.find(owner)
        return 1.0 if factors is None else factors.get(model, 1.0)

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
        owners = [*samples, *(self._factors.take_asked() - samples.keys())]
        replies = await self._scripts.call_many(
            "calibrate", [self._build_call(owner, samples.get(owner, {})) for owner in owners]
        )
        for owner, reply in zip(owners, replies, strict=True):
            known = zip(reply[::2], reply[1::2], strict=True)
            self._factors.keep(owner, {model.decode(): float(value.split()[0]) for model, value in known})

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
            await self._factors.wait()
