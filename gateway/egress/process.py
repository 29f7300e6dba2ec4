"""The gateway's side of its roads: it binds their ports, and has a process of their own serve them (`worker.py`).

The listening sockets stay open here, so a worker that dies costs no browser its port: what is asked meanwhile waits
for the next one, which gets the same sockets and terms. Terms, with the passwords of proxies, go through a pipe only.
"""

import asyncio
import json
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import structlog

from browser_pool.tasks import Start, crew, running
from gateway.egress.policy import EgressPolicy
from gateway.egress.proxy import bound
from gateway.egress.terms import Terms
from gateway.egress.usage import Usage
from gateway.records import Rules

LINE = 16 << 20  # bytes of the longest answer
PATIENCE = 10.0  # seconds for an answer
STEADY = 5.0  # seconds that a worker must live for its end to count as the first one
PAUSES = (0.0, 0.5, 2.0, 5.0)  # seconds before the next worker, by how many have ended at once
LOOK = 10.0  # seconds between two looks at what was used, which a worker that dies takes with it
log = structlog.get_logger()


class EgressDown(ConnectionError):
    """The process that serves the roads does not answer, though it was started anew."""


class _Died(Exception):
    """The worker has ended."""


@dataclass(eq=False)
class Open:
    """A road. `before` is what it used in workers that have died, `usage` what was seen last of the living one.

    `patient`: its browser runs already, and its session is being found.
    """

    listener: socket.socket
    port: int
    patient: bool = False
    terms: Terms | None = None
    announced: bool = False
    before: Usage = field(default_factory=Usage)
    usage: Usage = field(default_factory=Usage)

    @property
    def total(self) -> Usage:
        """As far as it is known."""
        return self.before.plus(self.usage)


class Worker:
    """One running worker: commands are asked one after the other. Raises _Died."""

    def __init__(self, process: asyncio.subprocess.Process, sockets: socket.socket) -> None:
        self._process = process
        self._sockets = sockets
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._number = 0
        self.gone = asyncio.Event()

    async def ask(self, command: dict[str, Any], listener: socket.socket | None = None) -> dict[str, Any]:
        """The answer to one command, with which a socket may go."""
        async with self._turn:
            if self.gone.is_set():
                raise _Died
            self._answer = asyncio.get_running_loop().create_future()
            self._number += 1  # who asked before may have given up waiting
            assert self._process.stdin is not None
            try:
                if listener is not None:
                    socket.send_fds(self._sockets, [b"socket"], [listener.fileno()])
                self._process.stdin.write(json.dumps({**command, "number": self._number}).encode() + b"\n")
                await self._process.stdin.drain()
                async with asyncio.timeout(PATIENCE):
                    return await self._answer
            except (OSError, TimeoutError) as error:
                if not isinstance(error, TimeoutError) or not self.gone.is_set():
                    log.warning("egress_worker_silent", error=str(error))
                self.kill()  # one that hangs is as bad as one that is dead
                raise _Died from error
            finally:
                self._answer = None

    async def read(self) -> None:
        """What it says, until it has ended."""
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                message = json.loads(line)
                if message.pop("event", None) is not None:
                    log.info("egress_refused", **message)
                elif self._answer is not None and not self._answer.done() and message["number"] == self._number:
                    self._answer.set_result(message)
        finally:
            self.gone.set()
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(_Died())

    def kill(self) -> None:
        """At once; it has nothing to save."""
        with suppress(ProcessLookupError):  # it has just ended
            self._process.kill()


class EgressProcess:
    """All roads of a gateway: `browser_pool.road.Roads`. Enter it once.

    `node` are the rules that hold for every browser.
    """

    def __init__(self, node: Rules | None = None, *, level: str = "info", form: str | None = None) -> None:
        self._node = node or Rules()
        self._own: set[int] = set()
        self._backstage: set[tuple[str, int]] = set()
        self._roads: dict[int, Open] = {}
        self._closed = Usage()
        self._kinds = Counter[str]()  # of refusals on closed roads
        self._log = (level, form or ("human" if sys.stderr.isatty() else "json"))
        self._worker: Worker | None = None
        self._up = asyncio.Event()
        self._start: Start
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(running(self._supervise(), "egress-worker"))
            await stack.enter_async_context(running(self._look(), "egress-usage"))
            self._start = await stack.enter_async_context(crew(patience=0.1))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    @property
    def pid(self) -> int | None:
        """The worker's process id, while it runs."""
        return None if self._worker is None else self._worker._process.pid

    @asynccontextmanager
    async def open(self, port: int | None = None) -> AsyncIterator[Open]:
        """See Roads. It refuses everything until it is assigned."""
        listener = bound(port)
        road = Open(listener, listener.getsockname()[1], patient=port is not None)
        self._roads[road.port] = road
        self._start(self._announced(road), "egress-open")
        try:
            yield road
        finally:
            del self._roads[road.port]
            with suppress(_Died):  # then it is closed, and what it used is as it was seen last
                if road.announced and self._worker is not None:
                    road.usage = Usage.load(await self._worker.ask({"do": "close", "port": road.port}))
            listener.close()
            self._closed = self._closed.plus(road.total, most=0)
            self._kinds += road.total.kinds()

    async def assign(self, port: int, terms: Terms) -> None:
        """From now on these terms hold on the road at `port`. Raises EgressDown, BadPattern."""
        EgressPolicy.joined(self._node, terms.tenant, terms.session)  # no worker shall fail over it
        road = self._roads[port]
        road.terms = terms
        await self._ask({"do": "assign", "port": port, "terms": terms.dump()}, road)

    async def usage(self, port: int) -> Usage:
        """What the road at `port` was used for; as it was seen last, where the worker does not answer.

        Nothing if it is closed: a browser may have ended since it was looked up.
        """
        road = self._roads.get(port)
        if road is None:
            return Usage()
        if road.terms is not None:
            with suppress(EgressDown):
                road.usage = Usage.load(await self._ask({"do": "usage", "port": port}, road))
        return road.total

    async def total(self) -> tuple[Usage, Counter[str]]:
        """Of all roads since the start, without domains; and how often each kind of rule has refused."""
        found, kinds = self._closed, self._kinds.copy()
        for port in tuple(self._roads):
            usage = await self.usage(port)
            found, kinds = found.plus(usage, most=0), kinds + usage.kinds()
        return found, kinds

    async def reserve(self, ports: Iterable[int], backstage: Iterable[tuple[str, int]] = ()) -> None:
        """No browser is led to these ports of this machine, where the gateway listens, nor to what it is built on.

        `backstage` are addresses and ports, of Redis for one. Raises EgressDown.
        """
        self._own.update(ports)
        self._backstage.update(backstage)
        await self._ask(self._rules())

    def _rules(self) -> dict[str, Any]:
        own, backstage = sorted(self._own), sorted(self._backstage)
        return {"do": "node", "rules": asdict(self._node), "own": own, "backstage": backstage}

    async def _ask(self, command: dict[str, Any], road: Open | None = None) -> dict[str, Any]:
        """Of whichever worker runs: commands may be repeated, and the next one is told all that the last one knew."""
        deadline = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < deadline:
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + PATIENCE):
                    await self._up.wait()
            except TimeoutError:
                break
            if (worker := self._worker) is None:
                continue
            with suppress(_Died):
                if road is not None and not road.announced:
                    await self._tell(worker, road)
                return await worker.ask(command)
            await worker.gone.wait()
        raise EgressDown("the process that serves the browsers' roads does not answer")

    async def _announced(self, road: Open) -> None:
        await self._up.wait()
        if not road.announced and self._roads.get(road.port) is road and self._worker is not None:
            with suppress(_Died):  # the next one is told
                await self._tell(self._worker, road)

    async def _tell(self, worker: Worker, road: Open) -> None:
        if not road.announced:
            road.announced = True
            try:
                terms = None if road.terms is None else road.terms.dump()
                await worker.ask({"do": "open", "terms": terms, "patient": road.patient}, road.listener)
            except BaseException:  # a cancel, too: the worker may not know of it
                road.announced = False
                raise

    async def _supervise(self) -> None:
        """Keep a worker running."""
        failures = 0
        while True:
            begin = time.monotonic()
            try:
                await self._lived()
            except OSError as error:
                log.error("egress_worker_not_started", error=str(error))
            failures = 1 if time.monotonic() - begin > STEADY else failures + 1
            log.error("egress_worker_ended", roads=len(self._roads), failures=failures)
            await asyncio.sleep(PAUSES[min(failures, len(PAUSES)) - 1])

    async def _lived(self) -> None:
        """One worker's life, from its start until it has ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.egress.worker", str(os.getpid()), str(theirs.fileno()), *self._log),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                limit=LINE,
                start_new_session=True,  # an interrupt at the terminal is for the gateway
            )
            theirs.close()
            worker = Worker(process, ours)
            try:
                async with running(worker.read(), "egress-answers"):
                    with suppress(_Died):
                        await worker.ask(self._rules())
                        self._worker = worker
                        for road in tuple(self._roads.values()):
                            await self._tell(worker, road)
                        self._up.set()
                    await worker.gone.wait()
            finally:
                self._up.clear()
                self._worker = None
                worker.kill()
                await process.wait()
                for road in self._roads.values():
                    road.announced = False
                    road.before, road.usage = road.total, Usage()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            for port in tuple(self._roads):
                await self.usage(port)
