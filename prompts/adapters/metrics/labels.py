"""Values of labels, in bounds: each one is a time series that Prometheus keeps."""

from collections.abc import Iterable, Iterator

from prompts.errors import ServiceError

OTHER = "other"
# A client may name any model, and a server may list hundreds.
MAX_MODELS = 50
# The one absence that a call of the model may meet; the class of all absences has no code of its own.
MODEL_NOT_FOUND = "model_not_found"


class ModelLabels:
    """The models' names as label values: those that are configured or listed, in bounds; `other` for the rest."""

    def __init__(self, configured: Iterable[str]) -> None:
        self._configured = [name for name in configured if name]
        self._known = set(self._configured)
        self._named: set[str] = set()

    def list_configured(self) -> list[str]:
        """Those that are known from the start, as labels."""
        return [self.get(name) for name in self._configured]

    def learn(self, listed: Iterable[str]) -> None:
        """The model's server has these, and no others but those that are configured."""
        self._known = {*self._configured, *listed}

    def get(self, model: str) -> str:
        """The label of a model: its name, if it has or gets one of the `MAX_MODELS` places."""
        if model in self._named:
            return model
        if model not in self._known or len(self._named) >= MAX_MODELS:
            return OTHER
        self._named.add(model)
        return model


class CodeLabels:
    """Codes of errors as label values: those of the error tree, `other` for the rest."""

    def __init__(self) -> None:
        self._known = {*_list_codes(ServiceError), MODEL_NOT_FOUND}

    def get(self, code: str) -> str:
        """The label of a code."""
        return code if code in self._known else OTHER


def _list_codes(error: type[ServiceError]) -> Iterator[str]:
    yield error.code
    for below in error.__subclasses__():
        yield from _list_codes(below)
