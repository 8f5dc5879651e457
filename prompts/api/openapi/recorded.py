"""What the service really answered, as `make examples` has written it down, for the OpenAPI document."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("recorded.json")


@dataclass(frozen=True)
class Recorded:
    """Answers: operation → name of the example → content type and body. Events: type → the event."""

    answers: dict[str, dict[str, tuple[str, Any]]]
    events: dict[str, dict[str, Any]]


def read_recorded(path: Path = RECORDED) -> Recorded:
    """What was recorded; nothing where there is no file yet."""
    if not path.exists():
        return Recorded({}, {})
    told = json.loads(path.read_text("utf-8"))
    answers = {
        operation: {name: (answer["content_type"], answer["body"]) for name, answer in named.items()}
        for operation, named in told["answers"].items()
    }
    return Recorded(answers, told["events"])
