"""Pure: which hosts a client may name in the address of an image or a file, in whichever way it is spelled.

The model's server opens such an address, from where it stands: inside the operator's network. A name says nothing about
the address that it will have when it is opened; an operator who cannot trust that lists the hosts.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, IPv6Network

ANY_PUBLIC = "*"
NONE = "none"
# Signed addresses have some 2,000.
MAX_ADDRESS_CHARACTERS = 8_192
# What parsers of addresses disagree about: blanks, backslashes, user names, percent signs in a host.
_ODD = re.compile(r"[\x00-\x20\x7f\\]|\s")
_AUTHORITY = re.compile(r"https?://([^/?#]+)", re.IGNORECASE)
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[^:\[\]@%]+))(?::\d{0,5})?", re.IGNORECASE)
# By the URL Standard a host whose last label is one of these is an IPv4 address, whatever stands before it.
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_DOTS = str.maketrans("。．｡", "...")
# Names of a machine, a house, a cluster (RFC 6761, 6762, 8375, and what is used beside them).
_PRIVATE_ENDS = (
    *("localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan"),
    *("home.arpa", "svc", "cluster", "in-addr.arpa", "ip6.arpa", "onion", "invalid"),
)
# Public names that stand for any address, private ones too.
_LOOPBACK_NAMES = (
    *("nip.io", "sslip.io", "xip.io", "traefik.me", "localtest.me", "lvh.me", "vcap.me", "lacolhost.com"),
    *("1u.ms", "rbndr.us"),
)
# A cloud's own service behind a public address: Azure's (learn.microsoft.com, "What is IP address 168.63.129.16?").
_CLOUDS_OWN = {IPv4Address("168.63.129.16")}
_PUBLIC_SIX = IPv6Network("2000::/3")
# Addresses that hold an IPv4 one: Teredo and 6to4.
_TUNNELS = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))


@dataclass(frozen=True, slots=True)
class MediaHosts:
    """The hosts that may be named: `*` for every public one, names, patterns (`*.example.com`), addresses."""

    allowed: tuple[str, ...] = (ANY_PUBLIC,)

    def may_name(self, address: str) -> bool:
        """Whether this is an http or https address of such a host."""
        if len(address) > MAX_ADDRESS_CHARACTERS or _ODD.search(address):
            return False
        authority = _AUTHORITY.match(address)
        host = _HOST.fullmatch(authority[1]) if authority else None
        if host is None:
            return False
        if host["six"] is not None:
            return self._may_name_six(host["six"])
        name = _plain(host["name"])
        return name is not None and self._may_name_host(name)

    def _may_name_six(self, spelled: str) -> bool:
        try:
            address = IPv6Address(spelled)
        except ValueError:
            return False
        return self._is_listed(str(address)) or (ANY_PUBLIC in self.allowed and _is_public_six(address))

    def _may_name_host(self, name: str) -> bool:
        if not _NUMBER.fullmatch(name.rpartition(".")[2]):
            return self._is_listed(name) or (ANY_PUBLIC in self.allowed and _is_public_name(name))
        try:
            address = IPv4Address(name)  # four decimal numbers: what is written otherwise is read in several ways
        except ValueError:
            return False
        return self._is_listed(name) or (ANY_PUBLIC in self.allowed and _is_public_four(address))

    def _is_listed(self, host: str) -> bool:
        return any(fnmatchcase(host, pattern) for pattern in self.allowed if pattern != ANY_PUBLIC)


PUBLIC_HOSTS = MediaHosts()


def read_media_hosts(words: Iterable[str]) -> MediaHosts:
    """The hosts as an operator lists them; `none` stands for no host at all."""
    return MediaHosts(tuple(word.strip("[]").lower() for word in words if word != NONE))


def _plain(name: str) -> str | None:
    """The name as it is looked up, in small letters of ASCII; None for what is no name."""
    folded = unicodedata.normalize("NFKC", name).translate(_DOTS).lower().removesuffix(".")
    try:
        plain = folded.encode("idna").decode().lower()
    except UnicodeError:  # an empty label among others
        return None
    return plain or None


def _is_public_name(name: str) -> bool:
    """Whether it may belong to the public internet; a name of one label is looked up in the operator's network."""
    return "." in name and not any(
        name == end or name.endswith(f".{end}") for end in (*_PRIVATE_ENDS, *_LOOPBACK_NAMES)
    )


def _is_public_four(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and address not in _CLOUDS_OWN


def _is_public_six(address: IPv6Address) -> bool:
    return address.is_global and address in _PUBLIC_SIX and not any(address in tunnel for tunnel in _TUNNELS)
