"""The gateway's end of the pipes to the process that serves the roads: what is asked of it, and what it says.

That process takes in what all the world sends, so it may have been taken over: what it says is believed only where it
can do no harm, and one that does not keep to the form is ended.
"""

import asyncio
import json
import socket
from contextlib import suppress
from typing import Any

import structlog

from gateway.egress.local import Endpoints
from gateway.egress.usage import Usage

PATIENCE = 10.0  # seconds for an answer
WORDS = 300  # characters of a rule or a domain in the log
LARGE, LONG, MANY = 1 << 60, 2000, 1000  # a count, characters of a name, and names, beyond anything that is said
UNHEARD = 1 << 20  # bytes of answers that it has not taken yet
LOOKS = 256  # questions about ports that wait; until there is room nothing else that it says is heard
log = structlog.get_logger()


class Died(Exception):
    """The worker has ended."""


class Garbled(ValueError):
    """What it says is not in the form that was agreed on."""


class Worker:
    """One running worker: commands are asked one after the other. Raises Died.

    `endpoints` tells it what it cannot see by itself: whether a browser listens on a port.
    """

    def __init__(self, process: asyncio.subprocess.Process, sockets: socket.socket, endpoints: Endpoints) -> None:
        self._process = process
        self._sockets = sockets
        sockets.setblocking(False)  # one that takes none must not hold the gateway up
        self._endpoints = endpoints
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._number = 0
        self._looks: asyncio.Queue[tuple[int, int]] = asyncio.Queue(LOOKS)
        self.gone = asyncio.Event()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ask(self, command: dict[str, Any], listener: socket.socket | None = None) -> dict[str, Any]:
        """The answer to one command, with which a socket may go."""
        async with self._turn:
            if self.gone.is_set():
                raise Died
            self._answer = asyncio.get_running_loop().create_future()
            self._number += 1  # who asked before may have given up waiting
            try:
                if listener is not None:
                    socket.send_fds(self._sockets, [b"socket"], [listener.fileno()])
                async with asyncio.timeout(PATIENCE):
                    self._pipe.write(_line({**command, "number": self._number}))
                    await self._pipe.drain()
                    return await self._answer
            except (OSError, TimeoutError) as error:
                if not isinstance(error, TimeoutError) or not self.gone.is_set():
                    log.warning("egress_worker_silent", error=str(error))
                self.kill()  # one that hangs is as bad as one that is dead
                raise Died from error
            finally:
                self._answer = None

    async def usage(self, command: dict[str, Any]) -> Usage:
        """The same, where the answer is what a road was used for."""
        try:
            return used(await self.ask(command))
        except Garbled as error:
            self._garbled(error)
            raise Died from error

    async def read(self) -> None:
        """What it says, until it has ended."""
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                await self._take(line)
        except (ValueError, RecursionError) as error:  # too long a line, no JSON, too deep, or Garbled
            self._garbled(error)
        finally:
            self.gone.set()
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(Died())

    async def look(self) -> None:
        """Tell it of ports, until it has ended."""
        while True:
            number, port = await self._looks.get()
            try:
                browser = await self._endpoints.is_browser(port)
            except OSError:  # a process that ended while it was looked at: asked again, it is told
                browser = True
            pipe = self._pipe
            if pipe.transport.get_write_buffer_size() > UNHEARD:
                self.kill()  # it asks and does not listen; what else it has asked is taken until its last word
            elif not pipe.is_closing():
                pipe.write(_line({"do": "listener", "number": number, "browser": browser}))

    def kill(self) -> None:
        """At once; it has nothing to save."""
        with suppress(ProcessLookupError):  # it has just ended
            self._process.kill()

    async def _take(self, line: bytes) -> None:
        match json.loads(line):
            case {"event": "refused", "port": int(port), "rule": str(rule), "domain": str(domain)}:
                log.info("egress_refused", port=port, rule=rule[:WORDS], domain=domain[:WORDS])
            case {"event": "listener", "number": int(number), "port": int(port)}:
                await self._looks.put((number, port))
            case {"number": int(number), **answer} if "event" not in answer:
                if self._answer is not None and not self._answer.done() and number == self._number:
                    self._answer.set_result({str(name): value for name, value in answer.items()})
            case _:
                raise Garbled("neither an answer nor an event")

    @property
    def _pipe(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin

    def _garbled(self, error: Exception) -> None:
        # Not the words themselves: they are a stranger's, and may be anybody's secrets.
        log.error("egress_worker_garbled", error=type(error).__name__)
        self.kill()


def _line(words: dict[str, Any]) -> bytes:
    return json.dumps(words).encode() + b"\n"


def used(answer: dict[str, Any]) -> Usage:
    """What a road was used for, as the worker says. Pure. Raises Garbled for what is none."""
    try:
        usage = Usage.load(answer)
    except (KeyError, TypeError) as error:
        raise Garbled("no usage") from error
    counts = [usage.bytes_in, usage.bytes_out, usage.requests, *(one.count for one in usage.refusals)]
    words = [word for refusal in usage.refusals for word in (refusal.rule, refusal.domain)]
    for one in usage.domains:
        counts += [one.requests, one.bytes_in, one.bytes_out, one.failures]
        words += [one.domain, one.circuit]
    if not all(type(count) is int and 0 <= count < LARGE for count in counts):
        raise Garbled("no counts")
    if not all(type(word) is str and len(word) < LONG for word in words):
        raise Garbled("no names")
    if len(usage.domains) > MANY or len(usage.refusals) > MANY:
        raise Garbled("more than are told apart")
    return usage
