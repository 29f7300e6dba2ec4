"""Whether the gateway lives, is ready, and how much it has to do."""

import os
import time
from collections import Counter
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from browser_pool.errors import BrowserMissing
from browser_pool.memory import memory
from browser_pool.spec import Mode
from gateway.egress.usage import Usage
from gateway.errors import Code, GatewayError
from gateway.pages.service import Pages
from gateway.session.registry import Registry
from gateway.tenancy.access import Role
from gateway.tenancy.queue import Share
from gateway.web.door import PRINCIPAL
from gateway.web.occupancy import Fleet, Occupancy, of_fleet, of_node
from gateway.web.tally import Tally

OBSTACLES = {
    "": "",
    "full": "all browsers that may run do",
    "memory": "the machine is short of memory",
    "draining": "the gateway is stopping",
}


class Health:
    """Handlers of /healthz, /readyz, /pressure, /active and /metrics. `fleet` tells how full that is, if it is one."""

    def __init__(self, registry: Registry, tally: Tally, pages: Pages, fleet: Fleet | None = None) -> None:
        self._registry = registry
        self._tally = tally
        self._pages = pages
        self._fleet = fleet
        self._egress: tuple[Usage, Counter[str]] = Usage(), Counter()  # as of the last time that it was asked for
        self._metrics = CollectorRegistry()
        self._metrics.register(self)

    def gather(self, collector: Collector) -> None:
        """Show its metrics with ours."""
        self._metrics.register(collector)

    async def alive(self, request: web.Request) -> web.Response:
        """GET /healthz: 200 while the process answers."""
        return web.json_response({"status": "ok"})

    async def ready(self, request: web.Request) -> web.Response:
        """GET /readyz: 200 when new sessions can be had; 503 while draining or without a Chromium.

        `confinement` says which measures hold browsers, and their roads' process; `doctor` says why another does not.
        """
        if self._registry.draining:
            raise GatewayError(Code.DRAINING, "the gateway is stopping", retry_after=5)
        try:
            self._registry.means.pool.binaries.path(Mode.HEADLESS)
        except BrowserMissing as error:
            raise GatewayError(Code.BROWSER_FAILED, str(error)) from error
        means = self._registry.means
        held = {measure.name: measure.holds for measure in (*means.pool.held.measures, means.egress.measure)}
        return web.json_response({"status": "ready", "confinement": held})

    async def pressure(self, request: web.Request) -> web.Response:
        """GET /pressure, in Browserless's words: how many browsers run, wait, and may run.

        Role admin sees those of the gateway, and of each tenant; others see their own.
        """
        principal = request[PRINCIPAL]
        principal.require_tenant()
        now = await self._occupancy()
        why = self._obstacle(now, principal.tenant)
        # The machine's load would tell a tenant of the others.
        said = {
            "reason": why,
            "message": OBSTACLES[why],
            "date": round(time.time() * 1000),
            "cpu": None,
            "memory": None,
        }
        own = await self._of(principal.tenant, now.share(principal.tenant))
        if principal.role is not Role.ADMIN:
            return web.json_response({"pressure": {"isAvailable": not why, **own, **said}})
        shown = {
            "isAvailable": not why,
            "running": now.running,
            "queued": now.queued,
            "maxConcurrent": now.most,
            "maxQueued": now.most_queued,
            "warm": now.warm,
            "positions": own["positions"],
            "tenants": {tenant: await self._of(tenant, share) for tenant, share in now.shares.items()},
            **said,
            **_machine(),
            "recentlyRejected": self._tally.recently_rejected,
        }
        return web.json_response({"pressure": shown})

    async def _of(self, tenant: str, share: Share) -> dict[str, Any]:
        storage = self._registry.means.storage
        shown = {
            "running": share.running,
            "queued": share.waiting,
            "positions": share.positions,
            "maxConcurrent": share.most,
            "maxQueued": share.most_waiting,
        }
        if storage is not None and (used := await storage.used(tenant)) is not None:
            most = self._registry.means.quotas.tenant_of(tenant).snapshot_bytes
            shown |= {"snapshotBytes": used, "maxSnapshotBytes": most}
        return shown

    async def active(self, request: web.Request) -> web.Response:
        """GET /active: 204 when a session can be had at once, else 429."""
        principal = request[PRINCIPAL]
        principal.require_tenant()
        if why := self._obstacle(await self._occupancy(), principal.tenant):
            raise GatewayError(Code.TOO_MANY_SESSIONS, f"no session can be had at once: {why}", retry_after=5)
        return web.Response(status=204)

    @property
    def _queued(self) -> int:
        """Creates that wait: those that came here, wherever they will run."""
        return self._registry.means.slots.waiting if self._fleet is None else self._fleet.queued

    async def _occupancy(self) -> Occupancy:
        """Of the fleet, if there is one. May raise STORE_UNAVAILABLE."""
        means = self._registry.means
        if self._fleet is None:
            return of_node(means.slots, len(means.pool.warm.ready))
        return of_fleet(await self._fleet.pressure(), means.slots.queue_length, means.quotas.tenant_of)

    def _obstacle(self, now: Occupancy, tenant: str) -> str:
        """Why the tenant cannot have a session at once, in one word; empty if it can."""
        if self._registry.draining:
            return "draining"
        share = now.share(tenant)
        if now.full or share.running >= share.most:
            return "full"
        # Of a fleet, nodes that are short of memory count as full.
        return "memory" if self._fleet is None and self._registry.means.pool.short_of_memory else ""

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /metrics: Prometheus text, for role admin; JSON in Browserless's words for who asks for that."""
        if "application/json" in request.headers.get("Accept", ""):
            slots = self._registry.means.slots
            # A browser that many page requests share counts as often as there are requests in it.
            running = max(0, slots.used - self._pages.browsers) + self._pages.running
            queued = slots.waiting + self._pages.waiting()
            return web.json_response([self._tally.shown(running=running, queued=queued)])
        self._egress = await self._registry.means.egress.total()
        return web.Response(body=generate_latest(self._metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def collect(self) -> list[Metric]:
        """What Prometheus asks for, as it stands now."""
        slots, pool = self._registry.means.slots, self._registry.means.pool
        leases = CounterMetricFamily("gateway_leases", "Browsers handed out, by where they came from", labels=["from"])
        for origin in ("warm", "launched", "adopted"):
            leases.add_metric([origin], pool.leases[origin])
        usage, kinds = self._egress
        moved = CounterMetricFamily("gateway_egress_bytes", "Bytes between browsers and servers", labels=["direction"])
        moved.add_metric(["in"], usage.bytes_in)
        moved.add_metric(["out"], usage.bytes_out)
        refused = CounterMetricFamily("gateway_egress_refused", "Requests of browsers by what refused", labels=["rule"])
        for kind, count in sorted(kinds.items()):
            refused.add_metric([kind], count)
        fleet = []
        if self._fleet is not None:
            away = int(not self._fleet.connected)
            fleet = [
                GaugeMetricFamily("gateway_fleet_nodes", "Nodes that this one sees", len(self._fleet.nodes)),
                GaugeMetricFamily("gateway_redis_away", "1 while Redis does not answer", away),
            ]
        return [
            *fleet,
            leases,
            moved,
            refused,
            CounterMetricFamily("gateway_egress_requests", "Requests of browsers, a tunnel being one", usage.requests),
            GaugeMetricFamily("gateway_browsers_warm", "Browsers launched ahead and ready", len(pool.warm.ready)),
            GaugeMetricFamily("gateway_memory_available_bytes", "Memory that can still be had", memory().available),
            GaugeMetricFamily(
                "gateway_sessions_live", "Sessions with a browser or on the way to one", self._registry.count
            ),
            GaugeMetricFamily("gateway_browsers_used", "Slots for browsers in use", slots.used),
            GaugeMetricFamily("gateway_browsers_limit", "Slots for browsers", slots.limit),
            GaugeMetricFamily("gateway_creates_queued", "Creates that wait for a slot", self._queued),
            GaugeMetricFamily("gateway_pages_running", "Page requests that have a context", self._pages.running),
            GaugeMetricFamily("gateway_pages_queued", "Page requests that wait for their turn", self._pages.waiting()),
            GaugeMetricFamily(
                "gateway_draining", "1 while the gateway takes no new sessions", int(self._registry.draining)
            ),
        ]


def _machine() -> dict[str, int]:
    """How much is used in percent: of processors, by the load of the last minute, and of the memory that we may use."""
    found = memory()
    cpu = 100 * os.getloadavg()[0] / len(os.sched_getaffinity(0))
    return {"cpu": min(100, round(cpu)), "memory": round(100 * (1 - found.available / found.limit))}
