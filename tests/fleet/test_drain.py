"""One node after the other is replaced while clients work: no session that can be revived loses anything."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from tests.fleet.nodes import Fleet, Node, fleet
from tests.fleet.test_routing import at, told
from tests.journeys.driving import CdpError, Wire, wire
from tests.journeys.running import eventually, eventually_asked
from tests.site.app import Site

LEFT = {1001, 1012}  # close codes that say: reconnect


@dataclass
class Worker:
    """A client that counts in its page's localStorage, and comes back whenever it is put off."""

    session: str
    url: str
    three: Fleet
    written: int = 0
    closed: list[int] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    over: bool = False

    async def run(self, page: str) -> None:
        turn = 0
        while not self.over:
            nodes = [node for node in self.three.nodes if node.gateway is not None and node.gateway.url]
            node = nodes[turn % len(nodes)]
            turn += 1
            try:
                async with wire(at(node, self.url)) as client:
                    await self.work(client, page)
            except ConnectionClosed as error:
                self.closed.append(error.rcvd.code if error.rcvd is not None else 1006)
            except InvalidStatus as error:
                # The client before is still being seen to leave, or the node is stopping: it comes again.
                if error.response.status_code not in (409, 502, 503):
                    raise
            except (OSError, InvalidMessage):
                pass  # nobody listens there now, or did to its end
            await asyncio.sleep(0.05)

    async def work(self, client: Wire, page: str) -> None:
        session = await client.page()
        if await client.evaluate("location.href", session) != page:
            await client.call("Page.enable", session=session)
            await client.call("Page.navigate", {"url": page}, session)
            there = f"{page}complete"
            while await client.evaluate("location.href + document.readyState", session) != there:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        found = int(await client.evaluate("localStorage.getItem('count')", session) or 0)
        if found < self.written:
            self.missing.append(f"{found} in place of {self.written}")
        while not self.over:
            try:
                await client.evaluate(f"localStorage.setItem('count', {self.written + 1})", session)
            except CdpError as error:
                if "context" not in error.message:  # the page was just being replaced
                    raise
                continue
            self.written += 1
            await asyncio.sleep(0.03)


async def test_a_rolling_restart_loses_no_session(tmp_path: Path, site: Site) -> None:
    async with fleet(tmp_path, max_sessions="6", drain_timeout="4s") as three:
        made = [await three.nodes[0].runs.create(processKeepAlive=120_000) for _ in range(4)]
        workers = [Worker(one["id"], one["connect"], three) for one in made[:3]]
        idle = made[3]["id"]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(worker.run(f"{site.url}/page/1")) for worker in workers]
            for node in three.nodes:
                await grown(workers)
                await replaced(three, node)
            await grown(workers)
            for worker in workers:
                worker.over = True
            await asyncio.wait(tasks)
        assert not [worker.missing for worker in workers if worker.missing]
        codes = [code for worker in workers for code in worker.closed]
        assert codes, "nobody was put off"
        assert set(codes) <= LEFT
        for worker in workers:
            assert (await three.nodes[0].runs.record(worker.session))["status"] in ("connected", "detached")
        assert (await three.nodes[1].runs.record(idle))["status"] in ("suspended", "detached")
        for one in made:
            await told(three.nodes[2].runs, "DELETE", f"/session/{one['id']}?force=true")
        await eventually("no browser is left", lambda: three.browsers() == 0, 30)


async def grown(workers: list[Worker]) -> None:
    """Every worker gets on."""
    before = [worker.written for worker in workers]

    def more() -> bool:
        return all(worker.written > was + 5 for worker, was in zip(workers, before, strict=True))

    await eventually("all workers get on", more, 60)


async def replaced(three: Fleet, node: Node) -> None:
    """SIGTERM, and the next version of it."""
    gateway = node.runs
    gateway.process.terminate()

    async def not_ready() -> bool:
        try:
            return (await gateway.request("GET", "/readyz", auth=False)).status == 503
        except (OSError, aiohttp.ClientError):  # it listens no more, or went in the middle of it
            return gateway.process.poll() is not None

    await eventually_asked("it is not ready", not_ready, 30)
    await asyncio.to_thread(gateway.process.wait, 30)
    assert gateway.process.returncode == 0
    gateway.stop()
    await three.start(node)
