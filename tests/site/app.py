"""A small application with a real login, as the pages that sessions keep people logged in to.

`async with serving() as site:` runs it on a free port of 127.0.0.1. alice logs in with a form that wants a
CSRF token; she then has `sid`, an HttpOnly session cookie, `remember`, a persistent one, and `__Host-device`.
Each visit of /account hands in the token of localStorage in its first inline script and gets the next: who comes
with an old one, or without, is shown as logged out. It also keeps a draft in sessionStorage and typed records in
IndexedDB. /worker installs a service worker that has /offline in Cache Storage, /embed has a frame of another site
with a partitioned cookie, /page/1 to /page/9 are long pages for a history.
"""

import asyncio
import html
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

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
    asked: Counter[str] = field(default_factory=Counter)
    """How often each path was asked for."""
    uses: int = 1
    """How often one token is taken: 1, or more for an application that bears with several copies of a login."""
    tokens: list[str] = field(default_factory=list)
    """Every token handed out, in order: those of one login are good `uses` times each."""
    chips: list[str] = field(default_factory=list)
    """Every partitioned cookie handed out, in order."""
    refused: list[str] = field(default_factory=list)
    """What was said to those who came to /account without a good token."""
    _left: Counter[str] = field(default_factory=Counter)
    _fresh: set[str] = field(default_factory=set)
    """Session cookies whose login nobody has shown a page of yet: they need no token."""

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
        self._fresh.add(sid)
        self.logins += 1
        reply = web.Response(status=303, headers={"Location": "/account"})
        reply.set_cookie("sid", sid, httponly=True, samesite="Lax")
        reply.set_cookie("remember", USER, max_age=30 * 86400, samesite="Lax")
        # Browsers take 127.0.0.1 for a safe place, so that these work without TLS.
        reply.set_cookie("__Host-device", secrets.token_urlsafe(8), httponly=True, secure=True, path="/")
        return reply

    async def account(self, request: web.Request) -> web.Response:
        """GET /account: greets who is logged in, sends everyone else to /login."""
        user = self.user(request)
        if user is None:
            return web.Response(status=303, headers={"Location": "/login"})
        self.visits += 1
        return page("account.html", user=user, visit=str(self.visits))

    async def token(self, request: web.Request) -> web.Response:
        """POST /token: the next token for the one in the body; 403 in words for one that is not good."""
        sid, shown = request.cookies.get("sid", ""), await request.text()
        if sid in self._fresh:
            self._fresh.discard(sid)
        elif self.user(request) is None or self._left[shown] < 1:
            self.refused.append("an old token" if shown in self.tokens else "no token")
            raise web.HTTPForbidden(text=self.refused[-1])
        else:
            self._left[shown] -= 1
        self.tokens.append(secrets.token_urlsafe(16))
        self._left[self.tokens[-1]] = self.uses
        return web.Response(text=self.tokens[-1])

    async def whoami(self, request: web.Request) -> web.Response:
        """GET /whoami: {"user", "cookies": {name: value}} as the server sees them."""
        return web.json_response({"user": self.user(request), "cookies": dict(request.cookies)})

    async def numbered(self, request: web.Request) -> web.Response:
        """GET /page/N: a long page with a field to type in and a link to the next one."""
        number = int(request.match_info["number"])
        return page("page.html", number=str(number), next=str(number % 9 + 1))

    async def worker(self, request: web.Request) -> web.Response:
        """GET /worker: installs the service worker; `html[data-ready]` once it controls the page."""
        return page("worker.html")

    async def script(self, request: web.Request) -> web.Response:
        """GET /sw.js: the service worker."""
        headers = {"Cache-Control": "no-store"}
        return web.Response(text=read("sw.js"), content_type="text/javascript", headers=headers)

    async def offline(self, request: web.Request) -> web.Response:
        """GET /offline: asked for by the service worker alone, and once."""
        return page("offline.html")

    async def embed(self, request: web.Request) -> web.Response:
        """GET /embed: `html[data-frame]` has the cookie that the frame was sent with, "" in the first visit."""
        return page("embed.html", frame=f"http://localhost:{request.url.port}/embedded")

    async def embedded(self, request: web.Request) -> web.Response:
        """GET /embedded: on localhost, another site than 127.0.0.1; sets a cookie of its own in each top site."""
        chip = request.cookies.get("chip", "")
        reply = page("embedded.html", chip=chip)
        if not chip:
            attributes = "Secure; HttpOnly; SameSite=None; Path=/; Partitioned"
            self.chips.append(secrets.token_urlsafe(8))
            reply.headers["Set-Cookie"] = f"chip={self.chips[-1]}; {attributes}"
        return reply

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

    @web.middleware
    async def count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts what was asked for."""
        self.asked[request.path] += 1
        return await handler(request)


def read(name: str) -> str:
    """A file of `pages`."""
    return (PAGES / name).read_text()


def page(name: str, **values: str) -> web.Response:
    """The file `name` with `{{key}}` replaced by the escaped value; never cached, so that each visit is seen.

    `{{first}}` is what all pages have in their first inline script.
    """
    text = read(name).replace("{{first}}", read("first.js"))
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", html.escape(value))
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


@asynccontextmanager
async def serving() -> AsyncIterator[Site]:
    """The application on a free port of 127.0.0.1, for this block."""
    site = Site()
    app = web.Application(middlewares=[site.count])
    app.add_routes(
        [
            web.get("/", site.home),
            web.get("/login", site.form),
            web.post("/login", site.login),
            web.get("/account", site.account),
            web.post("/token", site.token),
            web.get("/whoami", site.whoami),
            web.get("/state", site.state),
            web.get("/counter", site.counter),
            web.get("/page/{number:[1-9]}", site.numbered),
            web.get("/worker", site.worker),
            web.get("/sw.js", site.script),
            web.get("/offline", site.offline),
            web.get("/embed", site.embed),
            web.get("/embedded", site.embedded),
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
