"""Who leaves a node that stops. Nodes that follow one another are in `tests/fleet/`."""

import asyncio
from pathlib import Path

from gateway.records import Kind
from gateway.session.leaving import leaving
from tests.inside import ask, inside


async def test_who_can_leave_does_and_who_cannot_is_waited_for(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        _, idle = await gateway.call("POST", "/session", json={})
        _, driven = await gateway.call("POST", "/session", json={})
        async with gateway.connect("/") as standard:
            async with gateway.connect(f"/session/connect/{driven['id']}") as client:
                await ask(client, "Browser.getVersion")
                await ask(standard, "Browser.getVersion")
                registry = gateway.registry
                sessions = [live for key in (idle["id"], driven["id"]) if (live := registry.live(key)) is not None]
                async with asyncio.TaskGroup() as group:
                    all_of_them = group.create_task(leaving(sessions, 60.0))
                    await sessions[0].over.wait()
                    assert (await gateway.call("GET", f"/session/{idle['id']}"))[1]["status"] == "suspended"
                    await leaving(sessions[1:], 0.1)  # nobody waits for ever
                    assert (await gateway.call("GET", f"/session/{driven['id']}"))[1]["status"] == "connected"
                    assert not all_of_them.done()
                    # It goes as soon as its client has gone by itself.
                    await client.close()
            assert (await gateway.call("GET", f"/session/{driven['id']}"))[1]["status"] == "suspended"
            assert (await ask(standard, "Browser.getVersion"))["result"]
            [left] = [live for live in registry._live.values() if live.record.spec.kind is Kind.STANDARD]
            async with asyncio.TaskGroup() as group:
                group.create_task(leaving([left], 60.0))
                await standard.close()
            assert left.over.is_set()
