"""The route table: every URL of the gateway and whose it is."""

from pathlib import Path

import aiohttp
from aiohttp import web

from gateway.pages.fetch import Fetches
from gateway.pages.hosted import Hosted
from gateway.pages.jobs import Jobs
from gateway.pages.service import Pages
from gateway.records import Limits
from gateway.relay.relay import Relays
from gateway.session.profiles import Profiles
from gateway.session.registry import Registry
from gateway.store.base import Store
from gateway.web.arrival import arriving
from gateway.web.audited import audited
from gateway.web.between import NAMES as BETWEEN
from gateway.web.between import Between
from gateway.web.browserless import Browserless
from gateway.web.connect import Connect
from gateway.web.connection import watched
from gateway.web.discovery import Discovery
from gateway.web.docs import POLICY, Docs
from gateway.web.door import Door
from gateway.web.files import SessionFiles
from gateway.web.fleetwide import Fleetwide
from gateway.web.forward import Forwards
from gateway.web.forwarded import believed
from gateway.web.headers import framed_policy, page_policy
from gateway.web.health import Health
from gateway.web.identities import Identities
from gateway.web.live import PAGE, Live
from gateway.web.middleware import dressing, middleware
from gateway.web.occupancy import Fleet
from gateway.web.scrapio import Scrapio
from gateway.web.sessions import Sessions
from gateway.web.steel import SteelSessions
from gateway.web.steel_computer import SteelComputer
from gateway.web.steel_files import SteelFiles
from gateway.web.steel_pages import SteelPages
from gateway.web.steel_profiles import SteelProfiles
from gateway.web.surface import Surface
from gateway.web.tally import Tally

STATIC = Path(__file__).parent / "static"
# They need no credential, or look at it themselves: a websocket's may be the secret given to `reconnect`.
PUBLIC = frozenset("home chromium chrome reconnect healthz readyz favicon openapi docs hosted".split()) | set(BETWEEN)
# An id, or the capability ID.MAC; a target's id or a browser's.
KEY = r"{key:[^/]+}"
SOCKET = r"{what:page|browser}/{target:[A-Za-z0-9-]+}"


def build_app(
    registry: Registry,
    relays: Relays,
    door: Door,
    limits: Limits,
    http: aiohttp.ClientSession,
    store: Store,
    *,
    external_url: str | None,
    max_body: int,
    surface: Surface,
    pages: Pages,
    fetches: Fetches,
    jobs: Jobs,
    hosted: Hosted,
    profiles: Profiles,
    forwards: Forwards | None = None,
    fleet: Fleet | None = None,
) -> web.Application:
    """The application over one registry and its store. `http` talks to the browsers; `max_body` in bytes.

    With `forwards` it is a node of a fleet, and `fleet` says how much that has to do.
    """
    welcome = (STATIC / "index.html").read_text()
    identities = Identities(store)
    sessions = Sessions(registry, door.access, limits, external_url, identities.named)
    fleetwide = Fleetwide(registry, forwards)
    connect = Connect(registry, relays, door, limits, external_url, fleetwide)
    discovery = Discovery(registry, door.access, limits, external_url, http, fleetwide)
    files = SessionFiles(registry)
    live = Live(registry)
    tally = Tally()
    health = Health(registry, tally, pages, fleet)

    async def home(request: web.Request) -> web.StreamResponse:
        """A websocket, or a person with a browser."""
        if request.headers.get("Upgrade"):
            return await connect.standard(request)
        return web.Response(text=welcome, content_type="text/html")

    async def icon(request: web.Request) -> web.Response:
        """Browsers ask for one by themselves; there is none."""
        return web.Response(status=204)

    answering = middleware(door, PUBLIC, surface.throttle, forwards)
    around = [believed(surface.proxies), watched, tally.middleware(), answering]
    if surface.audit is not None:
        around.insert(2, audited(surface.audit, door, registry))
    if forwards is not None:
        around.insert(1, arriving(forwards.hops))
    app = web.Application(middlewares=around, client_max_size=max_body)
    policies = {
        "/": page_policy(welcome),
        "/docs": POLICY,
        "/session/{key}/devtools/{path}": framed_policy(surface.allowed_origins),
        "/session/{key}/live": page_policy(PAGE, connects=True, framed_by=surface.allowed_origins),
    }
    app.on_response_prepare.append(dressing(policies, surface.certificate is not None))
    app.router.add_get("/", home, name="home", allow_head=False)
    for name in ("chromium", "chrome"):
        app.router.add_get(f"/{name}", connect.standard, name=name, allow_head=False)
    app.router.add_get(f"/reconnect/{KEY}", connect.reconnect, name="reconnect", allow_head=False)
    app.router.add_get(f"/session/connect/{KEY}", connect.api, allow_head=False)
    app.router.add_get(f"/devtools/{SOCKET}", connect.debug_anywhere, allow_head=False)

    app.router.add_post("/session", sessions.create)
    app.router.add_get("/sessions", sessions.page)
    app.router.add_get(f"/session/{KEY}", sessions.show)
    app.router.add_patch(f"/session/{KEY}", sessions.amend)
    app.router.add_delete(f"/session/{KEY}", sessions.stop)
    app.router.add_post(f"/session/{KEY}/rotate", sessions.rotate)
    app.router.add_post(f"/session/{KEY}/restore", sessions.restore)
    app.router.add_post(f"/session/{KEY}/fork", sessions.fork)
    app.router.add_post(f"/session/{KEY}/snapshot", sessions.snapshot)
    app.router.add_get(f"/session/{KEY}/snapshots", sessions.snapshots)
    app.router.add_get(f"/session/{KEY}/context", sessions.context)
    app.router.add_get(f"/session/{KEY}/files", files.page)
    app.router.add_post(f"/session/{KEY}/files", files.add)
    app.router.add_get(f"/session/{KEY}/files/{{name:[^/]+}}", files.fetch)
    app.router.add_delete(f"/session/{KEY}/files/{{name:[^/]+}}", files.delete)

    app.router.add_get(f"/session/{KEY}/live", live.page)
    app.router.add_get(f"/session/{KEY}/live/socket", live.socket, allow_head=False)

    app.router.add_post("/identities", identities.create)
    app.router.add_get("/identities", identities.page)
    app.router.add_get("/identities/{name}", identities.show)
    app.router.add_put("/identities/{name}", identities.replace)
    app.router.add_delete("/identities/{name}", identities.delete)

    for slash in ("", "/"):  # Playwright asks with a slash at the end
        app.router.add_get(f"/json/version{slash}", discovery.version)
        app.router.add_get(f"/json{slash}", discovery.targets)
        app.router.add_get(f"/json/list{slash}", discovery.targets)
        app.router.add_get(f"/json/protocol{slash}", discovery.protocol)
        app.router.add_get(f"/session/{KEY}/json/version{slash}", discovery.session_version)
        app.router.add_get(f"/session/{KEY}/json{slash}", discovery.session_targets)
        app.router.add_get(f"/session/{KEY}/json/list{slash}", discovery.session_targets)
        app.router.add_get(f"/session/{KEY}/json/protocol{slash}", discovery.session_protocol)
    app.router.add_put("/json/new", discovery.new)
    app.router.add_get(r"/json/{action:activate|close}/{target}", discovery.act)
    app.router.add_put(f"/session/{KEY}/json/new", discovery.session_new)
    app.router.add_get(rf"/session/{KEY}/json/{{action:activate|close}}/{{target}}", discovery.session_act)
    app.router.add_get(f"/session/{KEY}/devtools/{SOCKET}", connect.debug, allow_head=False)
    app.router.add_get(f"/session/{KEY}/devtools/{{path:.+}}", discovery.frontend)

    Browserless(pages, registry, limits, fleetwide).routes(app)

    SteelSessions(registry, door.access, limits, external_url, profiles, fleetwide).routes(app)
    SteelFiles(registry).routes(app)
    Scrapio(fetches, jobs, identities.named).routes(app)
    SteelProfiles(profiles).routes(app)
    SteelComputer(registry).routes(app)
    SteelPages(pages, hosted, external_url).routes(app)

    app.router.add_get("/favicon.ico", icon, name="favicon")
    docs = Docs(external_url)
    app.router.add_get("/openapi.json", docs.openapi, name="openapi")
    app.router.add_get("/docs", docs.docs, name="docs")
    app.router.add_get("/healthz", health.alive, name="healthz")
    app.router.add_get("/readyz", health.ready, name="readyz")
    app.router.add_get("/pressure", health.pressure)
    app.router.add_get("/active", health.active)
    app.router.add_get("/metrics", health.metrics)
    if forwards is not None:
        Between(registry, fetches.answer).routes(app)
        health.gather(forwards.counted)
    return app
