"""One process of the simulated fleet: many nodes, told over standard input what to do, a line of JSON each.

`python -m bench.fleet_worker JSON` with the process's number, the ways to Redis, a directory, and the terms.
"""

import asyncio
import json
import random
import resource
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import structlog

from bench.fleet_journal import Journal
from bench.fleet_nodes import Counts, SimulatedNode, started, together
from gateway.cluster.fleet import Elsewhere, Lease
from gateway.records import SessionId, new_session_id
from gateway.store.connection import open_redis
from gateway.store.redis import RedisStore

log = structlog.get_logger()
AT_ONCE = 24
JOIN_AT_ONCE = 4
TENANTS = 1000  # nearly each session its own, which is the dearest


@dataclass
class Worker:
    """All nodes of one process. `urls`: ways to Redis, of which nodes take turns."""

    number: int
    urls: list[str]
    directory: Path
    nodes_wanted: int
    limit: int
    node_timeout: float
    journal: Journal
    nodes: dict[str, SimulatedNode] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    away: list[SessionId] = field(default_factory=list)  # suspended ones

    # --- what it is told ---

    async def start(self) -> dict[str, Any]:
        """All nodes join."""

        async def one(number: int) -> None:
            name = f"http://10.{self.number}.{number // 250}.{number % 250}:3000"
            url = self.urls[number % len(self.urls)]
            self.nodes[name] = await started(
                url, name, self.limit, self.journal, self.counts, self.forward, node_timeout=self.node_timeout
            )

        await together([one(number) for number in range(self.nodes_wanted)], JOIN_AT_ONCE)
        return {"nodes": len(self.nodes)}

    async def fill(self, to: int) -> dict[str, Any]:
        """Until each node has that many sessions: each asks for its own, which spares the simulation the hops."""
        began = time.monotonic()
        asked = [node for node in self.nodes.values() for _ in range(to - len(node.running))]
        random.shuffle(asked)
        await together([node.begin(new_session_id(), _tenant(), here=True) for node in asked], AT_ONCE)
        return {"seconds": time.monotonic() - began, "asked": len(asked)}

    async def churn(self, seconds: float, rate: float) -> dict[str, Any]:
        """`rate` things happen a second: sessions are made, put away, woken from two nodes at once, ended."""
        end = time.monotonic() + seconds
        pause = AT_ONCE / rate

        async def client() -> None:
            while time.monotonic() < end:
                began = time.monotonic()
                await self._something()
                await asyncio.sleep(max(0.0, pause - (time.monotonic() - began)))

        before = asdict(self.counts)
        await together([client() for _ in range(AT_ONCE)], AT_ONCE)
        after = asdict(self.counts)
        return {what: after[what] - before[what] for what in after if what != "faults"}

    async def kill(self, count: int) -> dict[str, Any]:
        """So many nodes die: their names and sessions."""
        dead = random.sample(list(self.nodes), min(count, len(self.nodes) - 1))
        sessions: list[SessionId] = []
        for name in dead:
            sessions += await self.nodes.pop(name).die()
        return {"names": dead, "sessions": sessions}

    async def revive(self, sessions: list[SessionId]) -> dict[str, Any]:
        """Clients of all these come back, each through a node of ours; so do those of the other processes."""
        names = list(self.nodes.values())
        before = self.counts.woken
        await together([random.choice(names).wake(session) for session in sessions], AT_ONCE)
        return {"woken": self.counts.woken - before}

    async def connects(self, count: int) -> dict[str, Any]:
        """What finding the node of a running session takes: commands of each."""
        running = [session for node in self.nodes.values() for session in node.running]
        there, sent = next(iter(self.nodes.values())), []
        async with open_redis(self.urls[-1]) as connection:
            store = RedisStore(connection)
            for session in random.sample(running, min(count, len(running))):
                before = connection.sent
                record = await store.get(session)
                if record is None:
                    self.counts.faults.append(f"{session} runs, and has no record")
                elif record.node == there.name or await there.cluster.there(record):
                    sent.append(connection.sent - before)
        return {"sent": sent}

    async def state(self) -> dict[str, Any]:
        """How it is."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "running": sum(len(node.running) for node in self.nodes.values()),
            "nodes": len(self.nodes),
            "seen": min((len(node.cluster.nodes) for node in self.nodes.values()), default=0),
            "trusted": sum(node.cluster.trusted for node in self.nodes.values()),
            "cpu": usage.ru_utime + usage.ru_stime,
            **asdict(self.counts),
        }

    async def end(self) -> dict[str, Any]:
        """All nodes leave."""
        await together([node.leave() for node in self.nodes.values()], AT_ONCE)
        return {}

    # --- between processes ---

    async def forward(self, node: str, session: SessionId, tenant: str, grant: Lease | None) -> bool:
        """The hop to a node of this process or another. Raises Elsewhere, OSError."""
        if node in self.nodes:
            return await self.nodes[node].forwarded(session, tenant, grant)
        process = node.split(".")[1]
        reader, writer = await asyncio.open_unix_connection(str(self.directory / f"{process}.sock"))
        try:
            token = None if grant is None else grant.token
            writer.write(json.dumps([node, session, tenant, token]).encode() + b"\n")
            answer = await reader.readline()
        finally:
            writer.close()
        if answer not in (b"true\n", b"false\n"):
            raise Elsewhere(node)
        return answer == b"true\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A request that another process forwards."""
        try:
            node, session, tenant, token = json.loads(await reader.readline())
            grant = None if token is None else Lease(session, node, token)
            if node in self.nodes:
                done = await self.nodes[node].forwarded(session, tenant, grant)
                writer.write(json.dumps(done).encode() + b"\n")
        except Elsewhere:
            writer.write(b"elsewhere\n")
        finally:
            writer.close()

    # --- within ---

    async def _something(self) -> None:
        nodes = list(self.nodes.values())
        node = random.choice(nodes)
        what = random.random()
        if what < 0.3 or not node.running:
            await node.create(_tenant())
        elif what < 0.5:
            await node.end(random.choice(list(node.running)))
        elif what < 0.75:
            session = random.choice(list(node.running))
            await node.suspend(session)
            self.away.append(session)
        elif self.away:
            session = self.away.pop(random.randrange(len(self.away)))
            await asyncio.gather(node.wake(session), random.choice(nodes).wake(session))


def _tenant() -> str:
    return f"tenant-{random.randrange(TENANTS)}"


async def main(terms: dict[str, Any]) -> None:
    """Do what is told until the input ends."""
    number, directory = int(terms["number"]), Path(terms["directory"])
    random.seed(number)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with (directory / f"{number}.journal").open("w") as file:
        worker = Worker(
            number, terms["urls"], directory, terms["nodes"], terms["limit"], terms["node_timeout"], Journal(file)
        )
        server = await asyncio.start_unix_server(worker.serve, directory / f"{number}.sock")
        lines = asyncio.StreamReader(limit=1 << 26)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            what, asked = json.loads(line)
            try:
                done = await cast(Any, getattr(worker, what))(**asked)
            except Exception as error:  # the outer edge of the process: the one that gave the order tells
                log.exception("failed", what=what)
                done = {"failed": f"{type(error).__name__}: {error}"}
            file.flush()
            print(json.dumps(done), flush=True)
        server.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(json.loads(sys.argv[1])))
