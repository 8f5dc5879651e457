"""The tree of errors is the one that the module's docstring draws."""

import inspect
import re
from dataclasses import dataclass

import pytest

from prompts import errors
from prompts.errors import ConversationLocked, FailedEarlier, NotFound, ServiceError, StaleRun, UpstreamError

# "      Unavailable      dependency_unavailable     server_error     503     yes"; the indent is its level in the tree.
_LINE = re.compile(r"^(?P<indent> +)(?P<name>[A-Z]\w+) +(?P<code>\S+(?:, \S+)?) +(?P<type>\S+) +(?P<status>\d{3}) +")
# The codes of a failed response: those of the specification that we use, and our own.
RESPONSE_CODES = {
    *("server_error", "rate_limit_exceeded", "invalid_prompt", "invalid_base64_image", "replica_lost"),
    *("context_length_exceeded", "insufficient_quota"),  # OpenAI's, not in its list
}


@dataclass(frozen=True)
class Drawn:
    """One line of the drawing."""

    name: str
    parent: str
    code: str
    type: str
    status: int


def read_drawing() -> list[Drawn]:
    """The lines of the docstring that draw a class, each with its parent."""
    above: list[tuple[int, str]] = [(4, "ServiceError")]
    drawn: list[Drawn] = []
    for line in (inspect.getdoc(errors) or "").splitlines():
        if found := _LINE.match(line):
            indent = len(found["indent"])
            above = [entry for entry in above if entry[0] < indent]
            parent = above[-1][1]
            above.append((indent, found["name"]))
            drawn.append(Drawn(found["name"], parent, found["code"], found["type"], int(found["status"])))
    return drawn


def list_classes(root: type[ServiceError]) -> list[type[ServiceError]]:
    """All subclasses."""
    return [each for child in root.__subclasses__() for each in (child, *list_classes(child))]


def test_every_class_is_drawn_and_every_drawn_class_is_there() -> None:
    names = [*(drawn.name for drawn in read_drawing()), FailedEarlier.__name__]  # it repeats another error's fields
    assert sorted(names) == sorted(kind.__name__ for kind in list_classes(ServiceError))
    assert all(f"{name} " in (errors.__doc__ or "") for name in ("StaleRun", "FailedEarlier"))


@pytest.mark.parametrize("drawn", read_drawing(), ids=lambda drawn: drawn.name)
def test_a_class_is_what_its_line_says(drawn: Drawn) -> None:
    kind: type[ServiceError] = getattr(errors, drawn.name)
    assert (kind.__bases__[0].__name__, kind.type, kind.status) == (drawn.parent, drawn.type, drawn.status)
    if kind is not NotFound:  # its code belongs to the instance
        assert kind.code == drawn.code
    assert kind.response_code in RESPONSE_CODES
    assert kind.__doc__


def test_an_error_renders_the_fields_of_its_instance() -> None:
    error = ServiceError("One sentence.", param="input", retry_after_s=2)
    assert (str(error), error.message, error.param, error.retry_after_s) == ("One sentence.",) * 2 + ("input", 2)
    locked = errors.conversation_locked("conv_1", "resp_1")
    assert isinstance(locked, ConversationLocked)
    assert locked.active_response_id == "resp_1"
    assert "conv_1" in locked.message
    assert "resp_1" in locked.message
    assert not UpstreamError("It broke off.").is_final
    assert not issubclass(StaleRun, ServiceError)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.unknown_response("resp_1"), "response_not_found"),
        (errors.unknown_previous_response("resp_1"), "previous_response_not_found"),
        (errors.unknown_conversation("conv_1"), "conversation_not_found"),
        (errors.unknown_item("msg_1", param="after"), "item_not_found"),
    ],
)
def test_not_found_names_the_missing_object(error: NotFound, code: str) -> None:
    assert (error.code, error.status) == (code, 404)
    assert re.search(r"'(resp|conv|msg)_1'", error.message)
    assert error.param
