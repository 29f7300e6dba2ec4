"""The gateway's side of its roads: it binds their ports, and has a process of their own serve them (`worker.py`).

The listening sockets stay open here, so a worker that dies costs no browser its port: what is asked meanwhile waits
for the next one, which gets the same sockets and terms. Terms, with the passwords of proxies, go through a pipe only.
"""

import asyncio
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Self, TypeVar

import structlog

from browser_pool.confinement import Measure, Wish
from browser_pool.tasks import Start, crew, running, to_the_end
from gateway.egress import cell
from gateway.egress.lent import Lent
from gateway.egress.local import Listeners
from gateway.egress.pipe import PATIENCE, Died, Worker
from gateway.egress.policy import EgressPolicy
from gateway.egress.proxy import bound
from gateway.egress.terms import Terms
from gateway.egress.usage import Usage
from gateway.records import Rules

LINE = 16 << 20  # bytes of the longest answer
STEADY = 5.0  # seconds that a worker must live for its end to count as the first one
PAUSES = (0.0, 0.5, 2.0, 5.0)  # seconds before the next worker, by how many have ended at once
LOOK = 10.0  # seconds between two looks at what was used, which a worker that dies takes with it
log = structlog.get_logger()
T = TypeVar("T")


class EgressDown(ConnectionError):
    """The process that serves the roads does not answer, though it was started anew."""


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


class EgressProcess:
    """All roads of a gateway: `browser_pool.road.Roads`. Enter it once.

    `node` are the rules that hold for every browser; `confinement` says how much of what holds the process is wanted.
    """

    def __init__(
        self,
        node: Rules | None = None,
        *,
        level: str = "info",
        form: str | None = None,
        confinement: Wish = Wish.AUTO,
    ) -> None:
        self._node = node or Rules()
        self._wish = confinement
        self._hold = cell.Hold()
        self._sources = cell.sources()
        self._listeners = Listeners()
        self._own: set[int] = set()
        self._backstage: set[tuple[str, int]] = set()
        self._roads: dict[int, Open] = {}
        self._closed = Usage()
        self._kinds = Counter[str]()  # of refusals on closed roads
        self._log = (level, form or ("human" if sys.stderr.isatty() else "json"))
        self._worker: Worker | None = None
        self._up = asyncio.Event()
        self._start: Start
        self.lent: Lent  # roads without browsers, once this is entered
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises NotConfined."""
        self._hold = await asyncio.to_thread(cell.examine, self._wish)
        if self._wish is not Wish.OFF and not self.measure.holds:
            log.warning("egress_worker_not_confined", why=self.measure.why)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(running(self._supervise(), "egress-worker"))
            await stack.enter_async_context(running(self._look(), "egress-usage"))
            self._start = await stack.enter_async_context(crew(patience=0.1))
            self.lent = Lent(self._led, self.usage, self._start)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    @property
    def pid(self) -> int | None:
        """The worker's process id, while it runs."""
        return None if self._worker is None else self._worker.pid

    @property
    def measure(self) -> Measure:
        """Whether that process is held."""
        return self._hold.measure

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
            with suppress(Died):  # then it is closed, and what it used is as it was seen last
                if road.announced and self._worker is not None:
                    road.usage = await self._worker.usage({"do": "close", "port": road.port})
            listener.close()
            self._closed = self._closed.plus(road.total, most=0)
            self._kinds += road.total.kinds()

    @asynccontextmanager
    async def _led(self, terms: Terms) -> AsyncIterator[int]:
        async with self.open() as road:
            await self.assign(road.port, terms)
            yield road.port

    async def assign(self, port: int, terms: Terms) -> None:
        """From now on these terms hold on the road at `port`. Raises EgressDown, BadPattern."""
        EgressPolicy.joined(self._node, terms.tenant, terms.session)  # no worker shall fail over it
        road = self._roads[port]
        road.terms = terms
        command = {"do": "assign", "port": port, "terms": terms.dump()}
        await self._asked(lambda worker: worker.ask(command), road)

    async def usage(self, port: int) -> Usage:
        """What the road at `port` was used for; as it was seen last, where the worker does not answer.

        Nothing if it is closed: a browser may have ended since it was looked up.
        """
        road = self._roads.get(port)
        if road is None:
            return Usage()
        if road.terms is not None:
            with suppress(EgressDown):
                road.usage = await self._asked(lambda worker: worker.usage({"do": "usage", "port": port}), road)
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
        await self._asked(lambda worker: worker.ask(self._rules()))

    def _rules(self) -> dict[str, Any]:
        own, backstage = sorted(self._own), sorted(self._backstage)
        return {"do": "node", "rules": asdict(self._node), "own": own, "backstage": backstage}

    async def _asked(self, ask: Callable[[Worker], Awaitable[T]], road: Open | None = None) -> T:
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
            with suppress(Died):
                if road is not None and not road.announced:
                    await self._tell(worker, road)
                return await ask(worker)
            await worker.gone.wait()
        raise EgressDown("the process that serves the browsers' roads does not answer")

    async def _announced(self, road: Open) -> None:
        await self._up.wait()
        if not road.announced and self._roads.get(road.port) is road and self._worker is not None:
            with suppress(Died):  # the next one is told
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
        self._sources = cell.sources()
        user = None if self._hold.user else await asyncio.to_thread(cell.unused)
        begun: list[asyncio.subprocess.Process] = []

        async def begin(sockets: int) -> None:
            words = (str(os.getpid()), str(sockets), *self._log, *self._hold.words(user))
            begun.append(
                await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "gateway.egress.worker", *words),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    pass_fds=(sockets,),
                    env=cell.environment(os.environ),
                    limit=LINE,
                    start_new_session=True,  # an interrupt at the terminal is for the gateway
                )
            )

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, theirs:
            try:
                await to_the_end(begin(theirs.fileno()))  # a cancel would leave it behind, half made
                theirs.close()
                await self._served(Worker(begun[0], ours, self._listeners))
            finally:
                self._up.clear()
                self._worker = None
                for process in begun:
                    with suppress(ProcessLookupError):  # it has ended by itself
                        process.kill()
                    await process.wait()
                for road in self._roads.values():
                    road.announced = False
                    road.before, road.usage = road.total, Usage()

    async def _served(self, worker: Worker) -> None:
        async with running(worker.read(), "egress-answers"), running(worker.look(), "egress-listeners"):
            with suppress(Died):
                await worker.ask(self._rules())
                self._worker = worker
                for road in tuple(self._roads.values()):
                    await self._tell(worker, road)
                self._up.set()
            await worker.gone.wait()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            for port in tuple(self._roads):
                await self.usage(port)
            self.renew()

    def renew(self) -> None:
        """Another worker, where one that is held cannot read what names are resolved by any more.

        /etc/resolv.conf may be put anew in the place of the old one; a rule of Landlock's holds for the old.
        """
        now = cell.sources()
        if self._worker is not None and not self._hold.landlock and cell.outdated(self._sources, now):
            log.warning("egress_worker_renewed", why="the files that names are resolved by are others")
            self._sources = now
            self._worker.kill()
