"""A connection to a destination: its name resolved once, its addresses judged, and one of exactly those connected to.

So it does not help to answer with a public address first and with 127.0.0.1 a moment later: the name is not asked
for again between judgement and connection.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from aiohappyeyeballs import start_connection

from gateway.egress.address import Address, Host, address_of, is_loopback, plain
from gateway.egress.channel import Channel
from gateway.egress.local import Endpoints, is_local
from gateway.egress.policy import EgressPolicy
from gateway.egress.refusal import Refused

CONNECT_TIMEOUT = 20.0  # seconds for name, connection and TLS
NEXT_ADDRESS = 0.25  # seconds until the next address is tried beside the first (RFC 8305 section 5)
RESOLVERS = 32  # names that are resolved at once
RESOLVERS_EACH = 8  # of them for one browser: a name server that is slow shall not stop the others


class Resolver(Protocol):
    """Names to addresses."""

    async def resolve(self, name: str) -> Sequence[str]:
        """All addresses of a name, the better first. Raises OSError if there are none."""


class SystemResolver:
    """As this machine resolves names (getaddrinfo), in threads."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVERS, "resolver")

    async def resolve(self, name: str) -> Sequence[str]:
        """See Resolver."""
        infos = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(info[4][0]) for info in infos))

    def close(self) -> None:
        """Questions under way are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass
class Dialer:
    """Connections for one browser. `own` are TCP ports of this machine that are the gateway's and its roads'.

    `backstage`: addresses and ports of what the gateway itself is built on, which no rule opens.
    """

    policy: EgressPolicy
    resolver: Resolver
    listeners: Endpoints
    own: set[int]
    backstage: set[tuple[str, int]] = field(default_factory=set)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(RESOLVERS_EACH))

    async def reach(
        self,
        host: Host,
        port: int,
        *,
        policy: EgressPolicy | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Channel:
        """A connection to `host`. `policy` in place of the usual one; `tls`: spoken with the host. Raises Refused."""
        policy = policy or self.policy
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                addresses = await self._judged(host, port, policy)
                sock = await start_connection(
                    [_info(address, port) for address in addresses],
                    happy_eyeballs_delay=NEXT_ADDRESS,
                    interleave=1,
                )
                try:
                    return await _channel(sock, host, tls)
                except BaseException:  # a cancel, too: the socket is nobody's yet
                    sock.close()
                    raise
        except TimeoutError:
            raise Refused("timed-out") from None
        except ssl.SSLError as error:
            raise Refused("not-reached", why=f"TLS with it failed: {error.reason}") from error
        except OSError as error:
            raise Refused("not-reached") from error

    async def _judged(self, host: Host, port: int, policy: EgressPolicy) -> list[Address]:
        """The addresses of `host` that may be connected to, at least one. Raises Refused."""
        if (rule := policy.of_name(host, port)) is not None:
            raise Refused(rule)
        addresses = await self._resolved(host) if isinstance(host, str) else [host]
        allowed, rules = [], []
        for address in map(plain, addresses):
            if (rule := await self._rule(host, port, address, policy)) is None:
                allowed.append(address)
            else:
                rules.append(rule)
        if not allowed:
            raise Refused(rules[0])
        return allowed

    async def _rule(self, host: Host, port: int, address: Address, policy: EgressPolicy) -> str | None:
        if (str(address), port) in self.backstage:
            return "gateway"
        if (rule := policy.of_address(host, port, address)) is not None:
            return rule
        if not is_local(address):
            return None
        if not policy.opens(host, port, address):
            return "this-machine"
        if port in self.own:
            return "gateway"
        return "browser-endpoint" if await self.listeners.is_browser(port) else None

    async def _resolved(self, name: str) -> list[Address]:
        if is_loopback(name):  # RFC 6761 section 6.3; not every machine's resolver knows what is under localhost
            return [IPv4Address("127.0.0.1"), IPv6Address("::1")]
        try:
            async with self._turns:
                texts = await self.resolver.resolve(name)
        except (OSError, UnicodeError) as error:  # a label too long for the resolver's own coding
            raise Refused("not-resolved") from error
        found = [address for text in texts if (address := address_of(text)) is not None]
        if not found:
            raise Refused("not-resolved")
        return found


async def _channel(sock: socket.socket, host: Host, tls: ssl.SSLContext | None) -> Channel:
    loop = asyncio.get_running_loop()
    name = str(host) if tls is not None else None
    _, channel = await loop.create_connection(Channel, sock=sock, ssl=tls, server_hostname=name)
    return channel


def _info(
    address: Address, port: int
) -> tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]:
    if address.version == 4:
        return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port))
    return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port, 0, 0))
