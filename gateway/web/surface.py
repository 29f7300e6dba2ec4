"""What the gateway shows to the outside, put together once: who is believed, bounded, slowed down and written down."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from browser_pool.tasks import running
from gateway.audit import Audit
from gateway.config import Config
from gateway.tenancy.throttle import Throttle
from gateway.values import path
from gateway.web.connection import Connection
from gateway.web.connections import Bounds, Connections
from gateway.web.forwarded import Proxies
from gateway.web.tls import Served

FILES_EACH = 2  # open files that a websocket takes: the client's end and Chromium's
SPARE = 256  # open files for all else: the store, browsers being launched, snapshots
MOST = 16384  # connections, if the limit of open files would bear more


@dataclass(frozen=True, slots=True)
class Surface:
    """The parts of it."""

    proxies: Proxies
    connections: Connections
    throttle: Throttle
    allowed_origins: tuple[str, ...]
    certificate: Served | None
    audit: Audit | None

    @classmethod
    def of(cls, config: Config) -> "Surface":
        """As the settings have it. Raises ConfigError for a certificate that cannot be used."""
        most = config.max_connections or max(16, min(MOST, (_open_files() - SPARE) // FILES_EACH))
        bounds = Bounds(
            connections=most,
            per_address=config.max_connections_per_address or max(1, most // 2),
            head=config.max_head,
            head_time=config.head_timeout,
            idle_time=config.idle_timeout,
            stall_time=config.stall_timeout,
            socket_stall_time=config.socket_stall_timeout,
        )
        proxies = Proxies(config.trusted_proxies)
        return cls(
            proxies,
            Connections(bounds, proxies),
            Throttle(config.auth_failures),
            config.allowed_origins,
            Served(config.tls_cert, config.tls_key) if config.tls_cert and config.tls_key else None,
            _audit(config),
        )


@asynccontextmanager
async def listening(config: Config, app: web.Application, surface: Surface, shutdown: float) -> AsyncIterator[int]:
    """Answer requests with `app` while the block lasts; the port. Raises OSError if it cannot be had.

    At the end requests under way have `shutdown` seconds.
    """
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=shutdown)
    await runner.setup()
    async with AsyncExitStack() as stack:
        if surface.audit is not None:
            stack.enter_context(surface.audit.writing())
        stack.push_async_callback(runner.cleanup)
        await stack.enter_async_context(running(surface.connections.watch(), "slow clients"))
        if surface.certificate is not None:
            await stack.enter_async_context(running(surface.certificate.follow(), "certificate"))
        await _Site(runner, config, surface).start()
        yield int(runner.addresses[0][1])


class _Site(web.TCPSite):
    """The port. `runner` answers its connections, which are ours, within their bounds."""

    def __init__(self, runner: web.AppRunner, config: Config, surface: Surface) -> None:
        context = None if surface.certificate is None else surface.certificate.context
        super().__init__(runner, config.host, config.port, ssl_context=context, backlog=1024)
        self._answering = runner
        self._config = config
        self._connections = surface.connections

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await web.BaseSite.start(self)
        config, context = self._config, self._ssl_context
        self._server = await asyncio.get_running_loop().create_server(
            self._connection,
            config.host,
            config.port,
            ssl=context,
            ssl_handshake_timeout=config.head_timeout if context else None,
            backlog=self._backlog,
        )

    def _connection(self) -> Connection:
        server, config = self._answering.server, self._config
        assert server is not None
        return Connection(
            self._connections,
            server,
            access_log=None,
            keepalive_timeout=config.idle_timeout,
            lingering_time=config.head_timeout,
            max_line_size=config.max_line,
            max_field_size=config.max_line,
        )


def _audit(config: Config) -> Audit | None:
    if config.audit_log == "none":
        return None
    if config.audit_log == "-":
        return Audit(None, config.audit_log_size)
    return Audit(path(config.audit_log) if config.audit_log else config.data_dir / "audit.log", config.audit_log_size)


def _open_files() -> int:
    """The limit of open files (RLIMIT_NOFILE), raised as far as we may. Chromium sets its own."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most if most != resource.RLIM_INFINITY else 1 << 20
