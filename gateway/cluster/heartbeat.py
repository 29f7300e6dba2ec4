"""A node says that it lives, renews what it has, and hears what it lost and who is dead."""

import asyncio
from collections.abc import Callable

import structlog

from browser_pool.tasks import Start
from gateway.cluster.burial import Burial
from gateway.cluster.fleet import Follower, Lease
from gateway.cluster.leases import Held
from gateway.cluster.membership import View
from gateway.cluster.placement import Capacity
from gateway.cluster.scripts import Scripts
from gateway.errors import GatewayError

log = structlog.get_logger()
BEATS = 4  # in the life of a lease
IMPATIENT = 0.25  # of a period, until the next try after one that failed


class Heartbeat:
    """Of the process `epoch` of a node. `period` in seconds; `capacity` is asked each time."""

    def __init__(
        self, scripts: Scripts, start: Start, view: View, held: Held, *, epoch: int, name: str, period: float
    ) -> None:
        self.epoch = epoch
        self.outdated = False  # a later process has this node's name
        self.follower: Follower | None = None
        self.capacity: Callable[[], Capacity] = lambda: Capacity(0, 0, False)
        self._scripts = scripts
        self._start = start
        self._view = view
        self._held = held
        self._name = name
        self._period = period
        self._given: list[Lease] = []  # that Redis has not been told of
        self._beating = asyncio.Lock()
        self._burial = Burial(scripts, start, name, period * BEATS)

    async def run(self) -> None:
        """Beat for ever."""
        while not self.outdated:
            try:
                reached = await self.beat()
            except Exception:  # the outer edge of the task: without it all that the node has would run out
                log.exception("heartbeat_fault")
                reached = False
            await asyncio.sleep(self._period if reached else self._period * IMPATIENT)

    async def beat(self) -> bool:
        """One, now; False if it did not reach Redis."""
        async with self._beating:
            if self.outdated:
                return False
            try:
                given, self._given = self._given, []
                try:
                    await self._scripts.release(given)
                except GatewayError:
                    self._given += given
                    raise
                await self._beat()
            except GatewayError as error:
                if self._view.failed():
                    log.warning("heartbeat_failed", error=error.message, sessions=len(self._held))
                return False
            return True

    def give(self, lease: Lease) -> None:
        """Release it with the next heartbeat that reaches Redis."""
        self._given.append(lease)

    async def _beat(self) -> None:
        capacity = self.capacity()
        for number, batch in enumerate(self._held.batches()):
            reply = await self._scripts.read(
                "beat",
                me=self._name,
                epoch=self.epoch,
                limit=capacity.limit,
                warm=capacity.warm,
                accepting=int(capacity.accepting),
                first=number == 0,
                patience=0 if self.follower is None else self._burial.patience,
                sessions=[(lease.session, lease.token) for lease in batch],
            )
            if reply["status"] == "outdated":
                self._end()
                return
            if reply["status"] == "buried":
                await self._begin_anew()
                return
            lost = frozenset(reply["lost"])
            for node in reply["bury"]:
                if self.follower is not None:
                    self._burial.begin(node, self.follower)
            for lease in batch:
                if lease.session in lost:
                    self._lose(lease)
            # What was given back while this was under way may have been set again.
            await self._scripts.release(
                lease for lease in batch if lease.session not in lost and lease not in self._held
            )
        now = asyncio.get_running_loop().time()
        if self._view.answered(now, reply["unbroken"] / 1000, reply["dead"]):
            log.info("heartbeat_back", sessions=len(self._held))
            self._start(self._tell_returned(), "returned")
        if reply["version"] != self._view.version:
            self._view.listed(reply["version"], await self._scripts.nodes())

    def _end(self) -> None:
        self.outdated = True
        log.error("node_replaced", node=self._name, advice="a later process has this node's name: end this one")
        self._lose_all()

    async def _begin_anew(self) -> None:
        """This node was silent for so long that it was declared dead."""
        log.error("node_was_declared_dead", node=self._name, sessions=len(self._held))
        self._lose_all()
        self.epoch = int(await self._scripts.run("join", me=self._name))
        await self._beat()

    def _lose_all(self) -> None:
        for lease in self._held:
            self._lose(lease)

    def _lose(self, lease: Lease) -> None:
        if self._held.remove(lease):
            log.warning("session_lost", session=lease.session)
            self._start(self._tell(lease), f"lost-{lease.session}")

    async def _tell_returned(self) -> None:
        if self.follower is None:
            return
        try:
            await self.follower.returned()
        except GatewayError as error:
            log.warning("records_not_put_back", error=error.message)  # the next heartbeat that is back tries again
        except Exception:  # the outer edge of the task: a defect in it must not end the node's heartbeats
            log.exception("records_not_put_back")

    async def _tell(self, lease: Lease) -> None:
        if self.follower is None:
            return
        try:
            await self.follower.lost(lease.session)
        except Exception:  # the outer edge of the task: a defect in it must not end the node's heartbeats
            log.exception("lost_session_not_ended", session=lease.session)
