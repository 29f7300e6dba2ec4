"""One of a fleet. What it does there, `tests/fleet/` has."""

from pathlib import Path

import pytest

from gateway.cluster.placement import Capacity
from gateway.config import load
from gateway.errors import Code, GatewayError
from gateway.member import backstage, member, remembered
from gateway.records import Tenant
from gateway.store.redis import RedisStore
from gateway.store.sqlite import SqliteStore
from tests.redis_server import redis_server


async def test_alone_it_has_records_of_its_own(tmp_path: Path) -> None:
    async with remembered(load({"data_dir": str(tmp_path)}, {}, None)) as (store, redis):
        assert isinstance(store, SqliteStore)
        assert await backstage(load({}, {}, None)) == frozenset()
        assert redis is None


async def test_in_a_fleet_it_shares_them(tmp_path: Path) -> None:
    shared = {"cluster_key": "k", "token": "t", "snapshot_store": f"file:{tmp_path}/s", "data_dir": str(tmp_path)}
    async with redis_server(tmp_path / "redis") as server:
        config = load({**shared, "redis_url": server.url, "node_address": "n:1"}, {}, None)
        assert await backstage(config) == {("127.0.0.1", server.port)}
        async with remembered(config) as (store, redis):
            assert isinstance(store, RedisStore)
            assert redis is not None
            async with member(config, redis, Tenant, lambda: Capacity(1, 0, True)) as cluster:
                assert cluster.name == "http://n:1"
                await cluster.open()
                assert [(node.name, node.limit) for node in (await cluster.pressure()).nodes] == [("http://n:1", 1)]
    with pytest.raises(GatewayError) as refused:
        async with remembered(config):
            pass
    assert refused.value.code is Code.STORE_UNAVAILABLE
