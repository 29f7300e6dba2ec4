"""Destinations as people write them into lists. Pure.

`example.com` is that name alone, `*.example.com` every name under it, `*` everything; `10.1.2.3`, `fd00::1`,
`10.0.0.0/8` are addresses. Each may have a port: `example.com:8080`, `10.0.0.0/8:443`, `[fd00::/8]:443`, `*:25`.
"""

import ipaddress
from dataclasses import dataclass

from gateway.egress.address import Address, BadHost, Host, Network, parsed_host, plain


class BadPattern(ValueError):
    """A pattern that is not understood; the message names it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of a list. Exactly one of `name` and `network` is set, none for `*`; `under`: names below `name`."""

    text: str
    name: str | None = None
    under: bool = False
    network: Network | None = None
    port: int | None = None

    @property
    def everything(self) -> bool:
        """A bare `*`."""
        return self.name is None and self.network is None and self.port is None

    def names(self, host: Host, port: int) -> bool:
        """Whether the destination matches by the name that it was asked for with."""
        if self.port not in (None, port):
            return False
        if self.name is None:
            return self.network is None
        return isinstance(host, str) and (host.endswith(f".{self.name}") if self.under else host == self.name)

    def holds(self, address: Address, port: int) -> bool:
        """Whether the destination matches by its address."""
        if self.network is None or self.port not in (None, port):
            return False
        address = plain(address)
        return address.version == self.network.version and address in self.network


def pattern(text: str) -> Pattern:
    """Raises BadPattern."""
    host, port = _split(text)
    if host == "*":
        return Pattern(text, port=port)
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if "/" in bare or ":" in bare or _is_address(bare):
        try:
            return Pattern(text, network=ipaddress.ip_network(bare), port=port)
        except ValueError as error:
            raise BadPattern(f"{text[:80]!r} is no address or network: {error}") from None
    under = host.startswith("*.")
    try:
        name = parsed_host(host.removeprefix("*."))
    except BadHost as error:
        raise BadPattern(
            f"{text[:80]!r} is no host pattern ({error}): example.com, *.example.com, 10.0.0.0/8 or "
            "example.com:8080 is wanted"
        ) from None
    assert isinstance(name, str)
    return Pattern(text, name=name, under=under, port=port)


def _split(text: str) -> tuple[str, int | None]:
    host, colon, digits = text.strip().rpartition(":")
    # More colons, and no brackets: an IPv6 address without a port.
    if not colon or text.endswith("]") or (":" in host and not host.endswith("]")):
        return text.strip().lower(), None
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits[:6]) < 65536:
        raise BadPattern(f"{text[:80]!r} has no port from 1 to 65535 behind its colon")
    return host.lower(), int(digits)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
