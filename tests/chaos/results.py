"""What the clients saw, and the violations: each is a broken promise."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from standin.tokens import split_tokens
from tests.chaos.answers import Answer, find_faults


@dataclass(frozen=True)
class LostConnection:
    """A connection that was cut: its request, and how far it came."""

    request: str
    response_id: str
    last_number: int
    error: str
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


@dataclass
class Results:
    """The results of one experiment."""

    answers: list[Answer] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    lost_connections: list[LostConnection] = field(default_factory=list)
    cancels_s: list[float] = field(default_factory=list)

    def add_violation(self, sentence: str) -> None:
        self.violations.append(sentence)

    def check_answers(self) -> None:
        """Check what every answer says. Call it once, when all have ended."""
        for answer in self.answers:
            name = f"{answer.response_id or '(unknown response)'} to {answer.question!r}"
            self.violations += [f"{name}: {fault}" for fault in find_faults(answer)]
            self.counts["given up"] += answer.is_given_up
            self._count_tokens(answer)

    def _count_tokens(self, answer: Answer) -> None:
        expected, told = (Counter(split_tokens(text)) for text in (answer.expected, answer.text))
        self.counts["tokens repeated"] += (told - expected).total()
        if answer.status == "completed":
            self.counts["tokens lost"] += (expected - told).total()
