"""The process that all roads of a gateway run in, so that their bytes do not hold up its own work.

Started by `process.py`. Commands come on stdin and are answered on stdout, one JSON object a line; listening sockets
come over a socket whose descriptor is on the command line. It ends with the gateway: when stdin does, or by the kernel.
What holds it is in `cell.py`: it sees nothing of this machine, so the gateway tells it who listens on a port of it.
"""

import asyncio
import ctypes
import encodings.idna  # noqa: F401  names are coded with it: it cannot be had any more once we are held
import json
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from gateway import log
from gateway.egress import cell
from gateway.egress.proxy import Proxy, Services, serving
from gateway.egress.terms import Terms, rules
from gateway.egress.usage import Usage

PR_SET_PDEATHSIG = 1
LINE = 16 << 20  # bytes of the longest command: lists of rules may be long


Tell = Callable[[dict[str, Any]], None]


class Seen:
    """`gateway.egress.local.Endpoints`, as the gateway sees them."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._number = 0
        self._asked: dict[int, asyncio.Future[bool]] = {}

    async def is_browser(self, port: int) -> bool:
        """See Endpoints."""
        self._number += 1
        number = self._number
        self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._tell({"event": "listener", "number": number, "port": port})
            return await self._asked[number]
        finally:
            del self._asked[number]

    def told(self, number: int, browser: bool) -> None:
        """The gateway's answer; nobody may be waiting for it any more."""
        asked = self._asked.get(number)
        if asked is not None and not asked.done():
            asked.set_result(browser)


class Worker:
    """Carries the commands out, one after the other."""

    def __init__(self, services: Services, sockets: socket.socket) -> None:
        self._services = services
        self._sockets = sockets
        self._roads: dict[int, tuple[Proxy, AsyncExitStack]] = {}

    async def does(self, command: dict[str, Any]) -> dict[str, Any]:
        """The answer to one command."""
        port = command.get("port", 0)
        match command["do"]:
            case "open":
                terms = command["terms"]
                await self._open(None if terms is None else Terms.load(terms), patient=command["patient"])
            case "assign":
                self._roads[port][0].assign(Terms.load(command["terms"]))
            case "usage":
                if port not in self._roads:  # closed by whoever asked before
                    return Usage().dump()
                return self._roads[port][0].usage().dump()
            case "close":
                proxy, stack = self._roads.pop(port)
                usage = proxy.usage()
                await stack.aclose()
                return usage.dump()
            case "node":
                self._services.node = rules(command["rules"])
                self._services.own.update(command["own"])
                self._services.backstage.update((address, port) for address, port in command["backstage"])
        return {}

    async def _open(self, terms: Terms | None, *, patient: bool) -> None:
        _, descriptors, _, _ = socket.recv_fds(self._sockets, 16, 1)
        listener = socket.socket(fileno=descriptors[0])
        listener.setblocking(False)
        stack = AsyncExitStack()
        proxy = await stack.enter_async_context(serving(listener, self._services, terms, patient=patient))
        self._roads[proxy.port] = proxy, stack


async def work(sockets: socket.socket, tls: ssl.SSLContext | None) -> None:
    """Until stdin ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)

    def tell(message: dict[str, Any]) -> None:
        transport.write(json.dumps(message).encode() + b"\n")

    def told(port: int, rule: str, domain: str) -> None:
        tell({"event": "refused", "port": port, "rule": rule, "domain": domain})

    seen = Seen(tell)
    worker = Worker(Services(told=told, listeners=seen, tls=tls), sockets)
    while line := await reader.readline():
        command = json.loads(line)
        if command["do"] == "listener":
            seen.told(command["number"], command["browser"])
        else:
            tell({**await worker.does(command), "number": command["number"]})


def main(parent: int, sockets: int, level: str, form: str, *words: str) -> None:
    """In the new process; `parent` is the gateway's process id, `sockets` a descriptor, `words` are for `cell.held`."""
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the gateway, which has sessions to save first
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold passwords
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    log.configure(level, form, ())
    # A file of authorities that the operator names may be closed to the user that we become.
    named = os.environ.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"}
    tls = ssl.create_default_context() if named else None
    run = _runner()
    try:
        cell.held(list(words))
    except OSError as error:
        sys.exit(f"the process of the roads cannot be confined: {error}")
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # becoming another user clears it
    if os.getppid() != parent:  # it died before the call
        sys.exit(1)
    run(work(socket.socket(fileno=sockets), tls))
    os._exit(0)  # names that are still being resolved are nobody's


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return asyncio.run
    return uvloop.run


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
