"""One browser's road: a forward proxy on a port of 127.0.0.1, which refuses everything until it is told whose it is."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from browser_pool.tasks import Start, crew
from gateway.egress.channel import Channel
from gateway.egress.dial import Dialer, Resolver, SystemResolver
from gateway.egress.domains import Domains
from gateway.egress.exchange import Exchange, Way
from gateway.egress.idle import Idle
from gateway.egress.local import Endpoints, Listeners
from gateway.egress.policy import EgressPolicy
from gateway.egress.refusal import Refused, page
from gateway.egress.terms import Terms
from gateway.egress.upstream import Road as Upstreams
from gateway.egress.usage import DomainUsage, Refusal, Usage
from gateway.records import Rules

CLIENTS = 128  # connections of one browser at once; Chromium 156 opens 32, and 64 for websockets
ADOPTION = 5.0  # seconds that requests wait on the road of a browser whose session is being found again
Told = Callable[[int, str, str], None]  # port of the road, rule, domain
log = structlog.get_logger()


def _untold(port: int, rule: str, domain: str) -> None:
    log.info("egress_refused", port=port, rule=rule, domain=domain)


@dataclass
class Services:
    """What all roads share. `own`: TCP ports of this machine at which nothing of browsers' business is found;
    `backstage`: the same elsewhere, with their addresses.

    `told` is called at the first refusal of each kind on a road.
    """

    node: Rules = field(default_factory=Rules)
    own: set[int] = field(default_factory=set)
    backstage: set[tuple[str, int]] = field(default_factory=set)
    resolver: Resolver = field(default_factory=SystemResolver)
    listeners: Endpoints = field(default_factory=Listeners)
    tls: ssl.SSLContext | None = None
    told: Told = _untold


class Proxy:
    """Made by `serving`."""

    def __init__(self, port: int, services: Services, start: Start, *, patient: bool = False) -> None:
        self.port = port
        self._patience = ADOPTION if patient else 0.0
        self._assigned = asyncio.Event()
        self._services = services
        self._start = start
        self._clients: set[Channel] = set()
        self._way: Way | None = None

    def assign(self, terms: Terms) -> None:
        """From now on these terms hold. Raises BadPattern."""
        services, session = self._services, terms.session
        policy = EgressPolicy.joined(services.node, terms.tenant, session)
        dialer = Dialer(policy, services.resolver, services.listeners, services.own, services.backstage)
        domains = Domains(rate=session.rate, connections=session.connections, breaker=session.breaker)
        if self._way is not None:
            self._way.idle.close()
        road = Upstreams(session.upstream, dialer, services.tls)
        self._way = Way(road, domains, Idle(), lambda rule, domain: services.told(self.port, rule, domain))
        self._assigned.set()

    def usage(self) -> Usage:
        """Since it was assigned."""
        if self._way is None:
            return Usage()
        domains, now = self._way.domains.all(), time.monotonic()
        return Usage(
            sum(one.bytes_in for one in domains),
            sum(one.bytes_out for one in domains),
            sum(one.requests for one in domains),
            tuple(
                DomainUsage(one.name, one.requests, one.bytes_in, one.bytes_out, one.failures, one.breaker.state(now))
                for one in domains
            ),
            tuple(Refusal(rule, name, count) for (rule, name), count in self._way.domains.refusals.most_common()),
        )

    def connected(self, channel: Channel) -> None:
        """A connection has come in."""
        if len(self._clients) >= CLIENTS:
            channel.write(page(Refused("too-many-connections"), "", persistent=False))
            channel.close()
            return
        self._clients.add(channel)
        self._start(self._serve(channel), "egress-connection")

    async def _found(self) -> Way | None:
        if self._way is None and self._patience:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._assigned.wait()
        return self._way

    async def _serve(self, channel: Channel) -> None:
        try:
            await Exchange(channel, self._found).run()
        except Exception:  # the outer edge of a connection's task: a defect of ours ends no other
            log.exception("egress_fault", port=self.port)
        finally:
            self._clients.discard(channel)

    def close(self) -> None:
        """Every connection, at once."""
        for channel in tuple(self._clients):
            channel.abort()
        if self._way is not None:
            self._way.idle.close()


def bound(port: int | None = None) -> socket.socket:
    """A listening socket on 127.0.0.1, on `port` if it is given. Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port or 0))
        sock.listen(128)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


@asynccontextmanager
async def serving(
    listener: socket.socket, services: Services, terms: Terms | None = None, *, patient: bool = False
) -> AsyncIterator[Proxy]:
    """A road on `listener`, which is closed at the end, for this block; assigned already where there are `terms`.

    Until it is assigned requests are refused, with `patient` only after a while: the browser runs already.
    """
    port = listener.getsockname()[1]
    async with crew(patience=0.1) as start:
        proxy = Proxy(port, services, start, patient=patient)
        if terms is not None:
            proxy.assign(terms)
        services.own.add(port)
        server = await asyncio.get_running_loop().create_server(lambda: Channel(proxy.connected), sock=listener)
        try:
            yield proxy
        finally:
            server.close()
            services.own.discard(port)
            proxy.close()
