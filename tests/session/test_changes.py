"""What is done to sessions that are remembered only. What clients see of it, `tests/journeys/` has."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import Code, GatewayError
from gateway.records import Status
from gateway.snapshot.carded import CardedStore
from tests.inside import ADMIN, inside, until


async def test_a_change_that_another_was_faster_with_is_refused_and_loses_nothing(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        registry = gateway.registry
        _, made = await gateway.call("POST", "/session", json={"processKeepAlive": 1})
        await until(lambda: registry.live(made["id"]) is None)
        record = await registry.find(ADMIN, made["id"])
        assert record.status is Status.SUSPENDED
        store = registry._store
        assert isinstance(store, CardedStore)
        read = store.get

        async def outdated(session: str) -> object:
            return record if session == record.id else await read(session)  # type: ignore[arg-type]

        store.get = outdated  # type: ignore[method-assign, assignment]  # somebody woke it between look and change
        await store.update(replace(record, incarnation=record.incarnation + 1))
        for change in (
            registry.amend(ADMIN, record.id, ttl=1.0, keep=None, labels=None),
            registry.rotate(ADMIN, record.id, disconnect=False),
            registry.stop(ADMIN, record.id, force=False, purge=False),
        ):
            with pytest.raises(GatewayError) as refused:
                await change
            assert refused.value.code is Code.FENCED
        assert await read(record.id) == replace(record, incarnation=record.incarnation + 1)


async def test_what_another_node_has_ends_here_and_is_not_written_down(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        registry = gateway.registry
        _, made = await gateway.call("POST", "/session", json={})
        live = registry.live(made["id"])
        assert live is not None
        taken = replace(live.record, incarnation=live.record.incarnation + 1, status=Status.SUSPENDED)
        await registry._store.update(taken)
        async with gateway.connect(f"/session/connect/{made['id']}") as client:
            await registry.lost(live.record.id)
            await client.wait_closed()
            assert client.close_code == 1012
            assert "reconnect" in (client.close_reason or "")
        await live.over.wait()
        assert await registry._store.get(live.record.id) == taken
        await registry.lost(live.record.id)  # it is not here any more
        assert (await gateway.call("GET", f"/session/{made['id']}"))[1]["status"] == "suspended"
