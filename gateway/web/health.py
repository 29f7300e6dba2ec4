"""Whether the gateway lives, is ready, and how much it has to do."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from browser_pool.errors import BrowserMissing
from browser_pool.spec import Mode
from gateway.errors import Code, GatewayError
from gateway.session.registry import Registry
from gateway.tenancy.access import Role
from gateway.web.door import PRINCIPAL


class Health:
    """Handlers of /healthz, /readyz, /pressure, /active and /metrics."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._metrics = CollectorRegistry()
        self._metrics.register(self)

    async def alive(self, request: web.Request) -> web.Response:
        """GET /healthz: 200 while the process answers."""
        return web.json_response({"status": "ok"})

    async def ready(self, request: web.Request) -> web.Response:
        """GET /readyz: 200 when new sessions can be had; 503 while draining or without a Chromium."""
        if self._registry.draining:
            raise GatewayError(Code.DRAINING, "the gateway is stopping", retry_after=5)
        try:
            self._registry.means.pool.binaries.path(Mode.HEADLESS)
        except BrowserMissing as error:
            raise GatewayError(Code.BROWSER_FAILED, str(error)) from error
        return web.json_response({"status": "ready"})

    async def pressure(self, request: web.Request) -> web.Response:
        """GET /pressure, in Browserless's words: how many browsers run, wait, and may run."""
        slots = self._registry.means.slots
        full = slots.used >= slots.limit
        return web.json_response(
            {
                "pressure": {
                    "isAvailable": not self._registry.draining and not full,
                    "running": slots.used,
                    "queued": slots.waiting,
                    "maxConcurrent": slots.limit,
                    "maxQueued": slots.queue_length,
                    "reason": "draining" if self._registry.draining else "full" if full else "",
                }
            }
        )

    async def active(self, request: web.Request) -> web.Response:
        """GET /active: 204 when a session can be had at once, else 429."""
        slots = self._registry.means.slots
        if slots.used >= slots.limit:
            raise GatewayError(Code.TOO_MANY_SESSIONS, "all browsers are in use", retry_after=5)
        return web.Response(status=204)

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /metrics: Prometheus text, for role admin."""
        principal = request[PRINCIPAL]
        principal.require_tenant()
        if principal.role is not Role.ADMIN:
            raise GatewayError(Code.FORBIDDEN, "metrics are for role admin")
        return web.Response(body=generate_latest(self._metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def collect(self) -> list[Metric]:
        """What Prometheus asks for, as it stands now."""
        slots = self._registry.means.slots
        return [
            GaugeMetricFamily(
                "gateway_sessions_live", "Sessions with a browser or on the way to one", self._registry.count
            ),
            GaugeMetricFamily("gateway_browsers_used", "Slots for browsers in use", slots.used),
            GaugeMetricFamily("gateway_browsers_limit", "Slots for browsers", slots.limit),
            GaugeMetricFamily("gateway_creates_queued", "Creates that wait for a slot", slots.waiting),
            GaugeMetricFamily(
                "gateway_draining", "1 while the gateway takes no new sessions", int(self._registry.draining)
            ),
        ]
