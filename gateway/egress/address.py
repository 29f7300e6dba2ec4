"""Hosts as a browser may name them, and which addresses belong to no public network. Pure.

The tables are IANA's special-purpose registries (RFC 6890 and its successors), not `ipaddress.is_private`, whose
answers have changed between Python releases. Forms of IPv4 that only some resolvers know (127.1, 0x7f.1, 2130706433)
are refused: Chromium has made them dotted decimal long before, so who sends them is no browser.
"""

import ipaddress
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Host = str | IPv4Address | IPv6Address  # a name is in lower case and without the dot at its end

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_NUMBER = re.compile(r"[0-9]+\Z|0x[0-9a-f]*\Z")  # WHATWG URL, "ends in a number checker"
_DOTTED = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z")

# Checked in this order, so the narrower comes first.
_SPECIAL_4: tuple[tuple[str, str], ...] = (
    ("metadata-address", "169.254.169.254/32"),  # AWS, Google Cloud, Azure and most others
    ("metadata-address", "169.254.170.2/32"),  # AWS containers
    ("metadata-address", "169.254.169.253/32"),  # AWS, its resolver
    ("metadata-address", "100.100.100.200/32"),  # Alibaba Cloud
    ("metadata-address", "168.63.129.16/32"),  # Azure, within public space
    ("metadata-address", "192.0.0.192/32"),  # Oracle Cloud, the older one
    ("unspecified-address", "0.0.0.0/8"),
    ("loopback-address", "127.0.0.0/8"),
    ("private-address", "10.0.0.0/8"),
    ("private-address", "172.16.0.0/12"),
    ("private-address", "192.168.0.0/16"),
    ("shared-address", "100.64.0.0/10"),
    ("link-local-address", "169.254.0.0/16"),
    ("multicast-address", "224.0.0.0/4"),
    ("reserved-address", "192.0.0.0/24"),
    ("reserved-address", "192.0.2.0/24"),
    ("reserved-address", "192.88.99.0/24"),
    ("reserved-address", "198.18.0.0/15"),
    ("reserved-address", "198.51.100.0/24"),
    ("reserved-address", "203.0.113.0/24"),
    ("reserved-address", "240.0.0.0/4"),
)
_SPECIAL_6: tuple[tuple[str, str], ...] = (
    ("metadata-address", "fd00:ec2::/32"),  # AWS: ::254 and its resolver, ::253
    ("metadata-address", "fd20:ce::254/128"),  # Google Cloud
    ("unspecified-address", "::/128"),
    ("loopback-address", "::1/128"),
    ("private-address", "fc00::/7"),
    ("private-address", "fec0::/10"),
    ("link-local-address", "fe80::/10"),
    ("multicast-address", "ff00::/8"),
    ("reserved-address", "2001::/23"),  # Teredo, ORCHID, benchmarking, ...
    ("reserved-address", "2001:db8::/32"),
    ("reserved-address", "3fff::/20"),
)
_TABLE_4 = tuple((rule, IPv4Network(text)) for rule, text in _SPECIAL_4)
_TABLE_6 = tuple((rule, IPv6Network(text)) for rule, text in _SPECIAL_6)
_GLOBAL_6 = IPv6Network("2000::/3")  # all that IANA has given out
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291 section 2.5.5.1, deprecated


class BadHost(ValueError):
    """What is no host in a form that we take."""


def parsed_host(text: str) -> Host:
    """A URL's host: a name, dotted decimal, or IPv6 in brackets. Raises BadHost."""
    text = text.lower()
    if text.startswith("["):
        if not text.endswith("]") or "%" in text:
            raise BadHost(f"{text[:80]!r} is no IPv6 address in brackets")
        try:
            return IPv6Address(text[1:-1])
        except ValueError:
            raise BadHost(f"{text[:80]!r} is no IPv6 address in brackets") from None
    if _DOTTED.match(text):
        try:
            return IPv4Address(text)
        except ValueError:
            raise BadHost(f"{text[:80]!r} is no IPv4 address") from None
    name = text.removesuffix(".")
    labels = name.split(".")
    if not name or len(name) > 253 or not all(_LABEL.match(label) for label in labels):
        raise BadHost(f"{text[:80]!r} is no host name")
    if _NUMBER.match(labels[-1]):
        raise BadHost(f"{text[:80]!r} is an odd form of an address")
    return name


def authority(text: str, port: int | None) -> tuple[Host, int]:
    """`host[:port]`, as in a URL; `port` is the default, None if one must be given. Raises BadHost."""
    host, colon, digits = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, digits = text, "" if port is None else str(port)
    elif not digits and port is not None:  # `host:` means the default (RFC 3986 section 3.2.3)
        digits = str(port)
    if not _PORT.match(digits) or not 0 < int(digits) < 65536:
        raise BadHost(f"{text[:80]!r} has no port from 1 to 65535")
    return parsed_host(host), int(digits)


def written(host: Host, port: int | None = None) -> str:
    """As a URL has it, with the port if one is given."""
    text = f"[{host}]" if isinstance(host, IPv6Address) else str(host)
    return text if port is None else f"{text}:{port}"


def is_loopback(host: Host) -> bool:
    """Whether it means the machine that asks, whatever a resolver says (RFC 6761 section 6.3)."""
    if isinstance(host, str):
        return host == "localhost" or host.endswith(".localhost")
    return special(host) == "loopback-address"


def special(address: Address) -> str | None:
    """The rule by which an address is refused unless it was opened; None for a public one.

    Addresses that have another within them (mapped, NAT64, 6to4) are judged by that one.
    """
    if isinstance(address, IPv4Address):
        return next((rule for rule, network in _TABLE_4 if address in network), None)
    found = next((rule for rule, network in _TABLE_6 if address in network), None)
    if found is not None:
        return found
    inner = within(address)
    if inner is not None:
        return special(inner) or ("reserved-address" if address in _COMPATIBLE else None)
    return None if address in _GLOBAL_6 else "reserved-address"


def within(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to `address` may end up at, if there is one in it."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or address in _COMPATIBLE:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


def plain(address: Address) -> Address:
    """`::ffff:10.0.0.1` as 10.0.0.1: rules for IPv4 shall hold for both."""
    if isinstance(address, IPv6Address) and (inner := address.ipv4_mapped) is not None:
        return inner
    return address


def address_of(text: str) -> Address | None:
    """What a resolver has answered; None for what cannot be connected to as it stands (a zone)."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
