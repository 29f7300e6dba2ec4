"""A login application in the shape of those on which people try things out: a form, and a page behind it."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

USER, PASSWORD = "practice", "SuperSecretPassword!"
FORM = """<!doctype html><title>Login</title><form method="post" action="/login">
<input name="username"><input name="password" type="password"><button type="submit">Login</button></form>"""
PICTURE = b"<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'/>"


@dataclass
class Practice:
    """The running application; `logins` counts those that it granted, `asked` has the paths that it was asked for."""

    url: str = ""
    logins: int = 0
    asked: list[str] = field(default_factory=list)
    _sessions: set[str] = field(default_factory=set)

    async def form(self, request: web.Request) -> web.Response:
        return web.Response(text=FORM, content_type="text/html")

    async def login(self, request: web.Request) -> web.StreamResponse:
        said = await request.post()
        if (said.get("username"), said.get("password")) != (USER, PASSWORD):
            return web.Response(status=401, text="no")
        self.logins += 1
        session = secrets.token_hex(16)
        self._sessions.add(session)
        response = web.Response(status=303, headers={"Location": "/secure"})
        response.set_cookie("session", session, httponly=True)
        return response

    async def secure(self, request: web.Request) -> web.StreamResponse:
        if request.cookies.get("session") not in self._sessions:
            return web.Response(status=303, headers={"Location": "/login"})
        return web.Response(text=f"<!doctype html><b id=username>Hi, {USER}!</b>", content_type="text/html")

    async def heavy(self, request: web.Request) -> web.Response:
        text = """<!doctype html><link rel=stylesheet href=/style.css><img src=/picture.svg>
            <script src=/script.js></script>heavy"""
        return web.Response(text=text, content_type="text/html")

    async def part(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        kinds = {"css": "text/css", "svg": "image/svg+xml", "js": "text/javascript"}
        return web.Response(
            body=PICTURE if request.path.endswith("svg") else b"", content_type=kinds[request.path[-3:].lstrip(".")]
        )


@asynccontextmanager
async def practising() -> AsyncIterator[Practice]:
    """The application on a free port of 127.0.0.1, for this block."""
    practice = Practice()
    app = web.Application()
    app.add_routes(
        [
            web.get("/login", practice.form),
            web.post("/login", practice.login),
            web.get("/secure", practice.secure),
            web.get("/heavy", practice.heavy),
            web.get("/{name:.*[.](?:css|svg|js)}", practice.part),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        practice.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield practice
    finally:
        await runner.cleanup()
