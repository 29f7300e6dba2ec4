"""Whether the gateway lives, is ready, and how much it has to do."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from browser_pool.errors import BrowserMissing
from browser_pool.memory import memory
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
        slots, why = self._registry.means.slots, self._obstacle()
        return web.json_response(
            {
                "pressure": {
                    "isAvailable": not why,
                    "running": slots.used,
                    "queued": slots.waiting,
                    "maxConcurrent": slots.limit,
                    "maxQueued": slots.queue_length,
                    "warm": len(self._registry.means.pool.warm.ready),
                    "reason": why,
                }
            }
        )

    async def active(self, request: web.Request) -> web.Response:
        """GET /active: 204 when a session can be had at once, else 429."""
        if why := self._obstacle():
            raise GatewayError(Code.TOO_MANY_SESSIONS, f"no session can be had at once: {why}", retry_after=5)
        return web.Response(status=204)

    def _obstacle(self) -> str:
        """Why a session cannot be had at once, in one word; empty if it can."""
        slots = self._registry.means.slots
        if self._registry.draining:
            return "draining"
        if slots.used >= slots.limit:
            return "full"
        return "memory" if self._registry.means.pool.short_of_memory else ""

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /metrics: Prometheus text, for role admin."""
        principal = request[PRINCIPAL]
        principal.require_tenant()
        if principal.role is not Role.ADMIN:
            raise GatewayError(Code.FORBIDDEN, "metrics are for role admin")
        return web.Response(body=generate_latest(self._metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def collect(self) -> list[Metric]:
        """What Prometheus asks for, as it stands now."""
        slots, pool = self._registry.means.slots, self._registry.means.pool
        leases = CounterMetricFamily("gateway_leases", "Browsers handed out, by where they came from", labels=["from"])
        for origin in ("warm", "launched", "adopted"):
            leases.add_metric([origin], pool.leases[origin])
        return [
            leases,
            GaugeMetricFamily("gateway_browsers_warm", "Browsers launched ahead and ready", len(pool.warm.ready)),
            GaugeMetricFamily("gateway_memory_available_bytes", "Memory that can still be had", memory().available),
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
