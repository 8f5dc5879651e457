"""What a model thought, sealed for the client that asked for it: `encrypted_content` of a `reasoning` item.

The client sends it back in its next request, and whoever serves that can read it again: thus a model's thoughts outlive
a response that is not stored.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.json import Decoder, Encoder

from prompts.domain.signals import Sealed, Signal, Summarized, Thought

Seal: TypeAlias = Callable[[str], str]


class SealedThought(Struct, frozen=True, omit_defaults=True):
    """What a seal holds: the thought, and the seal of the model's own server, if it made one."""

    text: str
    model_content: str | None = None


pack_thought = Encoder().encode
unpack_thought = Decoder(SealedThought).decode


class ThoughtSeals:
    """Adds a `Sealed` at the end of each thought of one answer; without a `seal` there is none."""

    def __init__(self, seal: Seal | None) -> None:
        self._seal = seal
        self._pieces: list[str] = []
        self._model_content: str | None = None

    def admit(self, signals: Sequence[Signal]) -> list[Signal]:
        """The signals, with a seal after each thought that ends. The model's own seals travel inside ours."""
        sealed: list[Signal] = []
        for signal in signals:
            match signal:
                case Thought(text) | Summarized(text):
                    self._pieces.append(text)
                    sealed.append(signal)
                case Sealed(content):
                    self._model_content = content
                case _:
                    sealed += [*self.finish(), signal]
        return sealed

    @property
    def ends_with_text(self) -> bool:
        """Whether a thought is open, which ends when the model writes text."""
        return bool(self._pieces or self._model_content)

    def finish(self) -> list[Signal]:
        """The seal of a thought that ends here."""
        pieces, self._pieces = self._pieces, []
        content, self._model_content = self._model_content, None
        if self._seal is None or not (pieces or content):
            return []
        thought = SealedThought("".join(pieces), content)
        return [Sealed(self._seal(pack_thought(thought).decode()))]
