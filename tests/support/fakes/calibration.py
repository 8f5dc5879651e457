"""`Calibration` in memory."""

from dataclasses import dataclass, field

from prompts.adapters.redis.calibration import HIGHEST, LOWEST, SHARE


@dataclass
class Known:
    """The factor that all replicas agreed on for a model, and from how many answers."""

    factor: float = 1.0
    answers: int = 0

    def add(self, shown: float, answers: int) -> None:
        """Add more answers: the mean of the first ones, later a moving mean."""
        weight = max(answers / (self.answers + answers), 1 - (1 - SHARE) ** answers)
        self.factor = min(HIGHEST, max(LOWEST, self.factor + (shown - self.factor) * weight))
        self.answers += answers


@dataclass
class FakeCalibration:
    """`Calibration` that records what it learned. Replicas with the same `known` learn together."""

    known: dict[tuple[str, str], Known] = field(default_factory=dict)
    """By owner and model."""
    learned: list[tuple[str, int, int]] = field(default_factory=list)
    """Model, estimated, reported; in order."""
    _noted: list[tuple[tuple[str, str], int, int]] = field(default_factory=list)
    """What is not part of `known` yet."""
    _factors: dict[tuple[str, str], float] = field(default_factory=dict)

    def get_factor(self, model: str, *, owner: str) -> float:
        """See `Calibration.get_factor`."""
        return self._factors.get((owner, model), 1.0)

    def learn(self, model: str, *, owner: str, estimated: int, reported: int) -> None:
        """See `Calibration.learn`."""
        self.learned.append((model, estimated, reported))
        if estimated > 0 and LOWEST * estimated <= reported <= HIGHEST * estimated:
            self._noted.append(((owner, model), estimated, reported))

    async def agree(self) -> None:
        """Add what was learned since the last call to `known`, and use the factors in it."""
        noted, self._noted = self._noted, []
        for place in {place for place, _, _ in noted}:
            samples = [(estimated, reported) for each, estimated, reported in noted if each == place]
            estimated, reported = map(sum, zip(*samples, strict=True))
            self.known.setdefault(place, Known()).add(reported / estimated, len(samples))
        self._factors = {place: known.factor for place, known in self.known.items()}
