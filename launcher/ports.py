"""Free ports: a well-known one for the service, random ones for the servers behind it."""

import socket
from random import SystemRandom

from launcher.errors import CannotRunError

DEFAULT_PORT = 8000
MAX_PORT = 65_535
# Enough for every developer on a shared machine.
MAX_PORTS_TRIED = 100
# The kernel gives client connections ports from here on (Linux; macOS: 49152). A client that keeps calling a stopped
# server could be given that server's port, and then connect to itself over loopback.
FIRST_EPHEMERAL_PORT = 32_768


def choose_port(host: str, wanted: str | None) -> int:
    """The port to serve on: `wanted`, or else the first free one from 8000.

    Raises `CannotRunError` when it is not free. Another process may still take the port before it is used; then the
    server dies and says so.
    """
    if wanted is not None:
        return _check_wanted(host, wanted)
    for port in range(DEFAULT_PORT, DEFAULT_PORT + MAX_PORTS_TRIED):
        if is_free(host, port):
            return port
    raise CannotRunError(f"No port from {DEFAULT_PORT} to {port} is free on {host}: choose one with PORT=….")


def find_free_port() -> int:
    """A random free port on loopback."""
    while True:
        port = SystemRandom().randrange(10_000, FIRST_EPHEMERAL_PORT)
        if is_free("127.0.0.1", port):
            return port


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there. Raises `CannotRunError` when `host` is not an address of this machine."""
    family, address = _resolve(host, port)
    try:
        # Like the servers, `create_server` may reuse an address whose old connections are still closing.
        socket.create_server(address, family=family).close()
    except PermissionError as exc:
        raise CannotRunError(f"Port {port} needs privileges: choose one above 1023 with PORT=….") from exc
    except OSError as exc:
        if _is_foreign_address(family, address[0]):
            raise CannotRunError(f"HOST={host} is not an address of this machine.") from exc
        return False
    return True


def loopback_of(host: str) -> str:
    """The address at which this machine reaches a server that listens on `host`."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _check_wanted(host: str, wanted: str) -> int:
    if not wanted.isdecimal() or not 1 <= int(wanted) <= MAX_PORT:
        raise CannotRunError(f"PORT={wanted} is not a port: give a number from 1 to {MAX_PORT}.")
    if not is_free(host, int(wanted)):
        raise CannotRunError(f"Port {wanted} is taken: choose another with PORT=…, or leave PORT out.")
    return int(wanted)


def _is_foreign_address(family: socket.AddressFamily, address: str) -> bool:
    """Whether no port at all can be opened at this address."""
    try:
        socket.create_server((address, 0), family=family).close()
    except OSError:
        return True
    return False


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise CannotRunError(f"HOST={host} is not a name or address of this machine.") from exc
    family, *_rest, address = found[0]
    return family, (str(address[0]), port)
