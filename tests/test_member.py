"""One of a fleet. What it does there, `tests/fleet/` has."""

from pathlib import Path

import pytest

from gateway.cluster.placement import Capacity
from gateway.config import load
from gateway.errors import Code, GatewayError
from gateway.member import backstage, member, remembered
from gateway.records import Tenant
from gateway.snapshot.blobs import open_blobs, snapshot_store
from gateway.snapshot.seal import Sealer
from gateway.snapshot.shared import SharedVault
from gateway.store.redis import RedisStore
from gateway.store.sqlite import SqliteStore
from tests.inside import ask, inside, until
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


async def test_what_is_put_away_while_the_common_store_is_away_is_kept_and_shared_later(tmp_path: Path) -> None:
    shared, aside = tmp_path / "shared", tmp_path / "aside"
    async with inside(tmp_path / "data", snapshot_store=f"file:{shared}") as gateway:
        _, made = await gateway.call("POST", "/session", json={"processKeepAlive": 1000})
        number = made["id"]
        async with gateway.connect(f"/session/connect/{number}") as client:
            cookie = {"name": "kept", "value": "yes", "url": "https://a.example/"}
            await ask(client, "Storage.setCookies", {"cookies": [cookie]})
            shared.rename(aside)
            shared.write_text("no directory")
            status, refused = await gateway.call("POST", f"/session/{number}/snapshot")
            assert (status, refused["error"]["code"]) == (503, "save_failed")
            assert refused["error"]["details"]["savedHere"] >= 1
        vault = gateway.registry.means.vault
        await until(lambda: gateway.registry.live(number) is None, 60)
        assert (await gateway.call("GET", f"/session/{number}"))[1]["status"] == "suspended"
        assert await vault.share() == 1
        shared.unlink()
        aside.rename(shared)
        assert await vault.share() == 0
        _, context = await gateway.call("GET", f"/session/{number}/context")
        assert [one["value"] for one in context["cookies"]] == ["yes"]
    # Another node, which has nothing of its own.
    other = SharedVault(tmp_path / "other", Sealer(()), open_blobs(snapshot_store(f"file:{shared}")))
    try:
        assert [one.value for one in (await other.load_document(number)).cookies] == ["yes"]
    finally:
        other.close()
