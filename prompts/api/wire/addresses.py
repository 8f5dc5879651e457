"""Addresses in bodies: those of images and files, which the model's server opens."""

import re
from typing import Any

from prompts.domain.media_hosts import MediaHosts
from prompts.errors import InvalidRequest

# The beginning of an address of any kind, as servers' libraries read it: without blanks in front, and without the tabs
# and line ends in it. Two slashes alone are how the base64 of an MP3 begins.
_ADDRESS = re.compile(r"[\x00-\x20]*(?:[a-z][a-z0-9+.-]{0,30}://|https?:|ftp:|file:)", re.IGNORECASE)
_DROPPED = str.maketrans("", "", "\t\r\n")
_BEGINNING_CHARACTERS = 200
_DATA = re.compile(r"data:", re.IGNORECASE)
# What of a part is words, or a name, and no address though it may look like one.
_WORDS = {"text", "refusal", "content", "filename", "name", "type", "id", "detail"}
# Deeper than parts are nested.
_MAX_DEPTH = 8


def refuse_host(param: str) -> InvalidRequest:
    """The refusal of an address whose host may not be named here."""
    message = (
        f"Invalid '{param}': must be an http or https address of a public host, or of one that this server's operator "
        "allows. Or send the content itself, as 'data:…;base64,…'."
    )
    return InvalidRequest(message, param=param)


def check_messages(messages: object, hosts: MediaHosts, param: str = "messages") -> None:
    """Raises InvalidRequest for an address in a body that is handed on, in whichever of the servers' dialects.

    What a part calls an address is one, and so is all in it that begins like one, but for its words.
    """
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, (list, dict)):
            check_parts(content, hosts, f"{param}[{number}].content")


def check_parts(value: Any, hosts: MediaHosts, param: str, depth: int = 0) -> None:
    """The same for a part, or a list of parts; a list of texts or of numbers holds none."""
    if depth > _MAX_DEPTH:
        raise InvalidRequest(f"Invalid '{param}': nested too deeply. Send it flatter.", param=param)
    if isinstance(value, list):
        for number, each in enumerate(value):
            if isinstance(each, (list, dict)):
                check_parts(each, hosts, f"{param}[{number}]", depth + 1)
        return
    for name, each in value.items():
        if isinstance(each, (list, dict)):
            check_parts(each, hosts, f"{param}.{name}", depth + 1)
        elif isinstance(each, str) and _is_address(name, each) and not hosts.may_name(each):
            raise refuse_host(f"{param}.{name}")


def _is_address(name: str, text: str) -> bool:
    if name in _WORDS or _DATA.match(text):
        return False
    is_called_so = name.lower().endswith(("url", "uri"))
    return is_called_so or _ADDRESS.match(text[:_BEGINNING_CHARACTERS].translate(_DROPPED)) is not None
