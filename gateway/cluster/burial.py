"""What a dead node had is put right by one of the others, once; if that one fails, by the next."""

import asyncio

import structlog

from browser_pool.tasks import Start, running
from gateway.cluster.fleet import Follower
from gateway.cluster.scripts import Scripts
from gateway.errors import GatewayError

log = structlog.get_logger()


class Burial:
    """As the node `name` does it. Its lock lasts `patience` seconds at a time: it may die, too."""

    def __init__(self, scripts: Scripts, start: Start, name: str, patience: float) -> None:
        self._scripts = scripts
        self._start = start
        self._name = name
        self._patience = patience
        self.patience = max(1, round(patience * 1000))  # ms
        self._under_way: set[str] = set()

    def begin(self, node: str, follower: Follower) -> None:
        """Do it beside what else goes on, unless another node does, or it turns out to live."""
        if node not in self._under_way:
            self._under_way.add(node)
            self._start(self._run(node, follower), f"bury-{node}")

    async def _run(self, node: str, follower: Follower) -> None:
        try:
            if await self._step("take", node):
                await self._bury(node, follower)
        except GatewayError as error:  # the next heartbeat that finds it dead begins again
            log.warning("node_not_buried", node=node, error=error.message)
        except Exception:  # the outer edge of the task: the next heartbeat begins again
            log.exception("node_not_buried", node=node)
        finally:
            self._under_way.discard(node)

    async def _bury(self, node: str, follower: Follower) -> None:
        log.warning("node_died", node=node)
        done = False
        try:
            async with running(self._renewed(node), f"burying-{node}"):
                await follower.died(node)
            done = True
        finally:
            await self._step("done" if done else "leave", node)
        log.info("node_buried", node=node)

    async def _renewed(self, node: str) -> None:
        while True:
            await asyncio.sleep(self._patience / 3)
            try:
                await self._step("renew", node)
            except GatewayError:
                continue  # another may take it up meanwhile, which is harmless

    async def _step(self, step: str, node: str) -> bool:
        return bool(await self._scripts.run("bury", step=step, node=node, me=self._name, patience=self.patience))
