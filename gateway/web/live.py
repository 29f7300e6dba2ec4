"""The live view: a page that shows what a session's browser shows, for people who look on and shall not touch.

Its websocket carries JPEGs (binary) and `{"url", "title"}` (text) to the onlooker, and nothing back.
"""

import json
from contextlib import aclosing
from pathlib import Path

import structlog
from aiohttp import WSCloseCode, web

from browser_pool.browser import Browser
from browser_pool.devtools import DevToolsGone
from browser_pool.tasks import running
from gateway.relay.screencast import Picture, screencast
from gateway.session.life import Role
from gateway.session.registry import Registry
from gateway.session.seat import Seat
from gateway.session.session import Session
from gateway.web.connect import upgrade
from gateway.web.door import PRINCIPAL
from gateway.web.request import check_query, session_id

log = structlog.get_logger()
PAGE = (Path(__file__).parent / "static" / "live.html").read_text()
PING = 25.0  # seconds between pings; who does not answer is gone
MOST = 1024  # bytes of a message from the onlooker, who has nothing to say


class Live:
    """Handlers of /session/ID/live."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def page(self, request: web.Request) -> web.Response:
        """GET /session/ID/live: the page, for a session whose browser runs."""
        await self._session(request)
        return web.Response(text=PAGE, content_type="text/html")

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """GET /session/ID/live/socket: what the page shows. Closed with the codes that debugging clients get."""
        upgrade(request)
        session = await self._session(request)
        async with session.attach(Role.OBSERVER) as seat:
            socket = web.WebSocketResponse(heartbeat=PING, max_msg_size=MOST)
            await socket.prepare(request)
            log.info("onlooker_connected", session=session.record.id)
            async with (
                running(_show(socket, seat.admitted.result()), "live-view"),
                running(_leave(socket, seat), "live-view-end"),
            ):
                async for _ in socket:
                    pass  # whatever it says
            return socket

    async def _session(self, request: web.Request) -> Session:
        check_query(request, frozenset())
        return await self._registry.awake(request[PRINCIPAL], session_id(request.match_info["key"]))


async def _show(socket: web.WebSocketResponse, browser: Browser) -> None:
    try:
        async with aclosing(screencast(browser)) as shows:
            async for one in shows:
                if isinstance(one, Picture):
                    await socket.send_bytes(one.data)
                else:
                    await socket.send_str(json.dumps({"url": one.url, "title": one.title}))
    except (DevToolsGone, ConnectionError):
        pass  # the browser has ended, of which the seat tells; or the onlooker has gone


async def _leave(socket: web.WebSocketResponse, seat: Seat) -> None:
    farewell = await seat.evicted
    await socket.close(code=farewell.close or WSCloseCode.OK, message=farewell.words.encode()[:123])
