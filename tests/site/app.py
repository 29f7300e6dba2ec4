"""A small application with a real login, as the pages that sessions keep people logged in to.

`async with serving() as site:` runs it on a free port of 127.0.0.1. alice logs in with a form that wants a
CSRF token; she then has `sid`, an HttpOnly session cookie, and `remember`, a persistent one. /account also
keeps a token in localStorage, a draft in sessionStorage and one record a visit in IndexedDB.
"""

import asyncio
import html
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

USER = "alice"
PASSWORD = "wonderland"
PAGES = Path(__file__).with_name("pages")


@dataclass
class Site:
    """The running application: where it is, and what its server remembers."""

    url: str = ""
    forms: set[str] = field(default_factory=set)
    """CSRF tokens handed out and not used yet."""
    sids: dict[str, str] = field(default_factory=dict)
    """Session cookie to user."""
    logins: int = 0
    visits: int = 0
    """How often /account was shown."""
    slow_started: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request for /slow is under way."""

    def user(self, request: web.Request) -> str | None:
        """Who is logged in, by the session cookie alone."""
        return self.sids.get(request.cookies.get("sid", ""))

    async def home(self, request: web.Request) -> web.Response:
        """GET /: a page without scripts or storage."""
        return page("home.html")

    async def form(self, request: web.Request) -> web.Response:
        """GET /login: the form, with a CSRF token of its own."""
        token = secrets.token_urlsafe(16)
        self.forms.add(token)
        return page("login.html", csrf=token)

    async def login(self, request: web.Request) -> web.Response:
        """POST /login: 403 without the form's CSRF token, 401 for a wrong password, else to /account."""
        given = await request.post()
        if given.get("csrf") not in self.forms:
            raise web.HTTPForbidden(text="this form was not handed out, or was used before")
        self.forms.discard(str(given["csrf"]))
        if (given.get("username"), given.get("password")) != (USER, PASSWORD):
            raise web.HTTPUnauthorized(text="wrong name or password")
        sid = secrets.token_urlsafe(24)
        self.sids[sid] = USER
        self.logins += 1
        reply = web.Response(status=303, headers={"Location": "/account"})
        reply.set_cookie("sid", sid, httponly=True, samesite="Lax")
        reply.set_cookie("remember", USER, max_age=30 * 86400, samesite="Lax")
        return reply

    async def account(self, request: web.Request) -> web.Response:
        """GET /account: greets who is logged in, sends everyone else to /login."""
        user = self.user(request)
        if user is None:
            return web.Response(status=303, headers={"Location": "/login"})
        self.visits += 1
        return page("account.html", user=user, token=f"token-of-{user}", visit=str(self.visits))

    async def state(self, request: web.Request) -> web.Response:
        """GET /state: what the browser has for this origin, as JSON in `#state` once `html[data-ready]` is there."""
        return page("state.html", user=self.user(request) or "")

    async def counter(self, request: web.Request) -> web.Response:
        """GET /counter: `counter`, `bump()` and `birth`, which is another in each JS heap."""
        return page("counter.html")

    async def logout(self, request: web.Request) -> web.Response:
        """POST /logout: forgets the session on the server and in the browser."""
        self.sids.pop(request.cookies.get("sid", ""), None)
        reply = web.Response(status=303, headers={"Location": "/login"})
        reply.del_cookie("sid")
        return reply

    async def megabytes(self, request: web.Request) -> web.StreamResponse:
        """GET /megabytes/N: N million bytes of text."""
        reply = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await reply.prepare(request)
        for _ in range(int(request.match_info["count"])):
            await reply.write(b"0123456789" * 100_000)
        return reply

    async def slow(self, request: web.Request) -> web.Response:
        """GET /slow?ms=N: answers after N milliseconds."""
        self.slow_started.set()
        await asyncio.sleep(int(request.query.get("ms", "1000")) / 1000)
        return page("home.html")


def page(name: str, **values: str) -> web.Response:
    """The file `name` with `{{key}}` replaced by the escaped value; never cached, so that each visit is seen."""
    text = (PAGES / name).read_text()
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", html.escape(value))
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


@asynccontextmanager
async def serving() -> AsyncIterator[Site]:
    """The application on a free port of 127.0.0.1, for this block."""
    site = Site()
    app = web.Application()
    app.add_routes(
        [
            web.get("/", site.home),
            web.get("/login", site.form),
            web.post("/login", site.login),
            web.get("/account", site.account),
            web.get("/state", site.state),
            web.get("/counter", site.counter),
            web.post("/logout", site.logout),
            web.get("/megabytes/{count:[0-9]+}", site.megabytes),
            web.get("/slow", site.slow),
        ]
    )
    # A browser keeps connections open and a slow page may be under way: neither may hold up the end.
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, "127.0.0.1", 0)
        await listener.start()
        site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield site
    finally:
        await runner.cleanup()
