"""A minimal CDP client: commands, events, flat sessions. The pool's own way to talk to its browsers.

Not the way of a tenant's data: that is `gateway/relay`, which never parses what it passes on.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from browser_pool.tasks import running

Params = dict[str, Any]
Listener = Callable[[str, Params, str | None], None]


class DevToolsError(Exception):
    """Chromium answered a command with an error; `code` is JSON-RPC's (-32601: no such method)."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {message}")
        self.method = method
        self.code = code
        self.message = message


class DevToolsGone(ConnectionError):
    """The browser's DevTools socket is closed, or did not answer in time."""


class DevTools:
    """One connection to a browser's DevTools endpoint; made by `open_devtools`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._pending: dict[int, tuple[str, asyncio.Future[Params]]] = {}
        self._listeners: list[Listener] = []
        self.closed = asyncio.Event()

    async def send(
        self, method: str, params: Params | None = None, *, session: str | None = None, timeout: float = 30.0
    ) -> Params:
        """Send one command and return its `result`. `session` is a flat session id; `timeout` in seconds.

        Raises DevToolsError for an error reply, DevToolsGone when the socket closes or time is up.
        """
        if self.closed.is_set():
            raise DevToolsGone(f"{method}: the browser's DevTools socket is closed")
        number = next(self._ids)
        message: Params = {"id": number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = session
        reply: asyncio.Future[Params] = asyncio.get_running_loop().create_future()
        self._pending[number] = (method, reply)
        try:
            async with asyncio.timeout(timeout):
                await self._socket.send(json.dumps(message))
                return await reply
        except TimeoutError as error:
            raise DevToolsGone(f"{method}: no answer within {timeout:g} s") from error
        except ConnectionClosed as error:
            raise DevToolsGone(f"{method}: the browser's DevTools socket is closed") from error
        finally:
            self._pending.pop(number, None)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Call `listener(method, params, session)` for every event while the block lasts."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    @asynccontextmanager
    async def attached(self, target_id: str) -> AsyncIterator[str]:
        """A flat session on one target (Target.attachToTarget), detached at the end of the block."""
        reply = await self.send("Target.attachToTarget", {"targetId": target_id, "flatten": True})
        session: str = reply["sessionId"]
        try:
            yield session
        finally:
            # The target or the browser may be gone by now: then there is nothing left to detach.
            with suppress(DevToolsError, DevToolsGone):
                await self.send("Target.detachFromTarget", {"sessionId": session})

    async def _read(self) -> None:
        try:
            async for raw in self._socket:
                message = json.loads(raw)
                if "id" in message:
                    self._answer(message)
                else:
                    for listener in tuple(self._listeners):
                        listener(message["method"], message.get("params", {}), message.get("sessionId"))
        except ConnectionClosed:
            pass  # an abrupt end is told to everyone below, like an orderly one
        finally:
            self.closed.set()
            for method, reply in self._pending.values():
                if not reply.done():
                    reply.set_exception(DevToolsGone(f"{method}: the browser's DevTools socket closed"))

    def _answer(self, message: Params) -> None:
        method, reply = self._pending.get(message["id"], ("", None))
        if reply is None or reply.done():
            return  # its caller has given up
        if "error" in message:
            error = message["error"]
            reply.set_exception(DevToolsError(method, error.get("code", 0), error.get("message", "")))
        else:
            reply.set_result(message.get("result", {}))


@asynccontextmanager
async def open_devtools(url: str, *, timeout: float = 10.0) -> AsyncIterator[DevTools]:
    """Connect to `ws://…/devtools/browser/ID`; raises DevToolsGone if that fails within `timeout` seconds."""
    try:
        # Chromium sends responses of any size, and answers no pings while it is busy.
        socket = await connect(
            url,
            max_size=None,
            ping_interval=None,
            compression=None,
            open_timeout=timeout,
            proxy=None,
            close_timeout=1.0,
        )
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise DevToolsGone(f"cannot connect to the browser's DevTools: {error}") from error
    devtools = DevTools(socket)
    async with running(devtools._read(), "devtools-reader"):
        try:
            yield devtools
        finally:
            await socket.close()
