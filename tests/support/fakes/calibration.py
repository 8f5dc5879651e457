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

    known: dict[str, Known] = field(default_factory=dict)
    learned: list[tuple[str, int, int]] = field(default_factory=list)
    """Model, estimated, reported; in order."""
    _factors: dict[str, float] = field(default_factory=dict)
    _told: int = 0
    """How many of `learned` are part of `known`."""

    def get_factor(self, model: str) -> float:
        """See `Calibration.get_factor`."""
        return self._factors.get(model, 1.0)

    def learn(self, model: str, *, estimated: int, reported: int) -> None:
        """See `Calibration.learn`."""
        self.learned.append((model, estimated, reported))

    async def agree(self) -> None:
        """Add what was learned since the last call to `known`, and use the factors in it."""
        noted = [each for each in self.learned[self._told :] if each[1] > 0 and each[2] > 0]
        self._told = len(self.learned)
        for model in {model for model, _, _ in noted}:
            samples = [(estimated, reported) for each, estimated, reported in noted if each == model]
            estimated, reported = map(sum, zip(*samples, strict=True))
            self.known.setdefault(model, Known()).add(reported / estimated, len(samples))
        self._factors = {model: known.factor for model, known in self.known.items()}
