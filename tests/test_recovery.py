"""Records that are lost are made anew from what is saved: in a gateway alone, and in a fleet whose Redis is empty."""

import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from browser_pool.spec import LaunchSpec
from gateway.config import Config, ConfigError, load
from gateway.member import kept, remembered
from gateway.records import Kind, SessionRecord, SessionSpec, Status, Upstream, new_session_id
from gateway.recovery import recover, revived
from gateway.snapshot.carded import CardedStore
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.finds import NO_CARD, Find
from gateway.snapshot.manifest import SnapshotInfo
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault
from gateway.store.base import Store
from gateway.store.connection import open_redis
from gateway.store.profiles import Profile, Stage
from gateway.store.redis import RedisStore
from tests.inside import TOKEN, Inside, inside
from tests.journeys.driving import wire
from tests.redis_server import RedisServer, redis_server
from tests.site.app import Site

NOW = 5000.0
KEY = b64encode(b"k" * 32).decode()
Output = pytest.CaptureFixture[str]


# --- how a record is brought back ---


def found(status: Status, **fields: Any) -> Find:
    name, idle = fields.pop("name", "n"), fields.pop("idle", None)
    spec = SessionSpec("t", Kind.API, LaunchSpec(), ttl=60, keep=10, persist=True, name=name, idle=idle)
    number = new_session_id()
    record = replace(SessionRecord(number, spec, status, 1000.0, 9e9, incarnation=3, generation=2), **fields)
    info = SnapshotInfo(number, 7, "2026-01-02T03:04:05.678Z", 1, "r", "chromium", False, fence=4)
    return Find(number, 2, info, 4, record)


def again(find: Find, *, named: bool = True) -> SessionRecord:
    assert isinstance(find.record, SessionRecord)
    return revived(find.record, find, NOW, named=named)


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_a_session_is_as_it_was_but_for_one_that_ran(status: Status) -> None:
    find = found(status, ended_at=2000.0 if status.ended else None, keeps=5.0, until=6.0, parked=True, secret="s")
    record = again(find)
    assert record.status is (Status.SUSPENDED if status.running else status)
    assert (record.snapshot, record.snapshot_at) == (7, "2026-01-02T03:04:05.678Z")
    assert (record.incarnation, record.generation) == (4, 2), "URLs that were rotated away stay so"
    assert (record.keeps, record.until, record.parked, record.secret) == (None, None, False, None)
    assert record.ended_at == (2000.0 if status.ended else None)
    assert record.history[-1] == (NOW, "recovered")
    assert record.spec.name == "n"
    assert again(find, named=False).spec == replace(record.spec, name=None)


def test_the_time_without_use_begins_again_where_there_is_such_a_limit() -> None:
    assert again(found(Status.SUSPENDED, idle=60.0)).settled(NOW).status is Status.SUSPENDED
    assert again(found(Status.SUSPENDED)).last_used_at is None
    assert again(found(Status.DETACHED, node="http://n:1")).reason == "node_lost"
    assert again(found(Status.DETACHED)).reason == "gateway_killed"


# --- what there is is looked through ---


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture(params=["alone", "fleet"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Of a gateway, which has an encryption key."""
    common = {"encryption_key": KEY, "data_dir": str(tmp_path / "data"), "token": TOKEN}
    if request.param == "alone":
        return common
    server = request.getfixturevalue("redis")
    fleet = {"redis_url": server.url, "cluster_key": "k", "node_address": "http://127.0.0.1:1", "node_timeout": "1s"}
    return {**common, **fleet, "snapshot_store": f"file:{tmp_path}/shared"}


@pytest.fixture
def config(settings: dict[str, str]) -> Config:
    return load(settings, {}, None)


async def lose(config: Config) -> None:
    """All records are gone, and what was saved is there."""
    if config.redis_url is None:
        for file in config.data_dir.glob("gateway.sqlite*"):
            file.unlink()
        return
    async with open_redis(config.redis_url) as connection:
        await connection.call("FLUSHALL")


async def told(config: Config, capsys: Output, *, dry: bool = False, code: int = 0) -> list[str]:
    """The lines that it prints."""
    capsys.readouterr()
    assert await recover(config, dry=dry) == code
    return capsys.readouterr().out.splitlines()


@dataclass
class Place:
    """What a gateway has, without the gateway."""

    config: Config
    store: Store
    vault: Vault

    async def kept(self, status: Status = Status.SUSPENDED, **fields: Any) -> SessionRecord:
        """A session that has saved something, with its record."""
        find = found(status, **fields)
        assert isinstance(find.record, SessionRecord)
        record = replace(find.record, snapshot=1, snapshot_at="2026-01-02T03:04:05.678Z")
        await self.save(record.id)
        await self.store.insert(record)
        return record

    async def save(self, session: str) -> None:
        document = ContextDocument(missing=(session,))
        await self.vault.save(session, document, profile=None, kind="chromium", reason="r", fence=4)

    async def told(self, capsys: Output, *, code: int = 0) -> list[str]:
        return await told(self.config, capsys, code=code)


@pytest.fixture
async def place(config: Config) -> AsyncIterator[Place]:
    config.data_dir.mkdir(mode=0o700)
    async with (
        kept(config, Sealer(config.encryption_key)) as vault,
        remembered(config) as (store, _),
    ):
        yield Place(config, CardedStore(store, vault), vault)


async def forgotten(place: Place, record: SessionRecord) -> None:
    """The store has lost this one."""
    await place.store.delete(record.id)


async def test_what_has_a_record_is_left_alone(place: Place, capsys: Output) -> None:
    there, gone = await place.kept(name="other"), await place.kept()
    await forgotten(place, gone)
    before = await place.store.get(there.id)
    lines = await place.told(capsys)
    assert lines[-1] == "2 saved, 1 with a record, 1 were brought back, 0 could not be"
    assert await place.store.get(there.id) == before
    back = await place.store.get(gone.id)
    assert back is not None
    assert (back.spec, back.generation, back.incarnation, back.snapshot) == (gone.spec, 2, 4, 1)
    # Whoever wakes it is a later incarnation than any before.
    await place.vault.claim(back.id, back.incarnation + 1)


async def test_a_name_that_another_has_by_now_is_not_taken_away(place: Place, capsys: Output) -> None:
    first, second, stopped = await place.kept(), await place.kept(), await place.kept(Status.STOPPED, ended_at=5.0)
    for record in (first, second, stopped):
        await forgotten(place, record)
    assert [line.count("name 'n'") for line in await place.told(capsys)] == [1, 1, 1, 0], "they had it all before"
    for record in (first, second, stopped):
        await forgotten(place, record)
    await place.kept(Status.DETACHED)
    lines = await place.told(capsys)
    assert sum("without its name 'n'" in line for line in lines) == 2
    for record, name in ((first, None), (second, None), (stopped, "n")):
        back = await place.store.get(record.id)
        assert back is not None
        assert back.spec == replace(record.spec, name=name)


async def test_profiles_come_back_too(place: Place, capsys: Output) -> None:
    made = Profile(new_session_id(), "t", Stage.AWAITED, 1.0, 2.0, 3.0, project="p")
    await place.store.profiles.add(made)
    await place.save(made.id)
    assert (await place.told(capsys))[-1] == "1 saved, 1 with a record, 0 were brought back, 0 could not be"
    await place.store.profiles.put(replace(made, stage=Stage.READY, version=1, upstream=Upstream("http", "p", 1)))
    await place.store.profiles.put(replace(made, stage=Stage.READY, version=1, user_agent="me"))
    await place.store.profiles.drop(made.id)
    before = time.time()
    lines = await place.told(capsys)
    assert lines[0].startswith(f"{made.id}  profile  tenant t  snapshot 1 of ")
    back = await place.store.profiles.get(made.id)
    assert back is not None
    assert replace(back, used_at=3.0) == replace(made, stage=Stage.READY, version=1, user_agent="me")
    assert back.used_at >= before


async def test_what_cannot_be_brought_back_is_told(place: Place, capsys: Output) -> None:
    nameless, broken, erased = new_session_id(), await place.kept(), await place.kept()
    await place.save(nameless)
    for record in (broken, erased):
        await forgotten(place, record)
    await place.vault.erase(erased.id)
    root = (
        place.config.data_dir / "snapshots"
        if place.config.redis_url is None
        else place.config.data_dir.parent / "shared"
    )
    for pack in (root / broken.id).glob("pack-*"):
        pack.unlink()
    lines = await place.told(capsys, code=1)
    assert sorted(lines[:-1]) == sorted(
        (
            f"{nameless}  cannot be brought back by itself: {NO_CARD}",
            f"{broken.id}  cannot be brought back by itself: no version of it is whole",
        )
    )
    assert lines[-1] == "2 saved, 0 with a record, 0 were brought back, 2 could not be"


@pytest.mark.parametrize("settings", ["fleet"], indirect=True)
async def test_what_a_node_runs_or_is_faster_with_is_left_to_it(place: Place, capsys: Output) -> None:
    runs, dead = await place.kept(Status.CONNECTED, node="http://n:1"), await place.kept(Status.CONNECTED)
    assert place.config.redis_url is not None
    async with open_redis(place.config.redis_url) as redis:
        await redis.call("FLUSHALL")
        await redis.call("SET", f"cdpg:lease:{runs.id}", "http://n:1|1|nonce|t|")
        lines = await place.told(capsys)
        assert f"{runs.id}  is left as it is: there is a record of it by now, or a node runs it" in lines
        assert lines[-1] == "2 saved, 1 with a record, 1 were brought back, 0 could not be"
        back = await place.store.get(dead.id)
        assert back is not None
        assert back.status is Status.SUSPENDED
        assert await place.store.get(runs.id) is None
        # Then it is the node that puts it back.
        assert await RedisStore(redis, "http://n:1").put_back(runs)


# --- how it is called ---


@pytest.mark.parametrize("settings", ["alone"], indirect=True)
async def test_a_storage_that_cannot_be_reached_is_told(settings: dict[str, str], capsys: Output) -> None:
    away = {"redis_url": "redis://127.0.0.1:1", "cluster_key": "k", "node_address": "n:1"}
    store = {"snapshot_store": f"file:{settings['data_dir']}/s"}
    assert await recover(load({**settings, **store, **away}, {}, None), dry=False) == 1
    assert "Redis" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "words"),
    [({"data_dir": "/no/such/place"}, "data_dir: "), ({"snapshot_store": "s3://b?x=1"}, "snapshot_store: ")],
    ids=["directory", "store"],
)
async def test_wrong_settings_are_told(tmp_path: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        await recover(load({"data_dir": str(tmp_path), **given}, {}, None), dry=False)


def test_the_command_looks_without_making_any_record(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "gateway.cli", "recover", "--dry-run", "--data-dir", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "0 saved, 0 with a record, 0 could be brought back, 0 could not be\n"
    assert list(tmp_path.iterdir()) == []


# --- a whole gateway ---


@asynccontextmanager
async def served(settings: dict[str, str]) -> AsyncIterator[Inside]:
    """The gateway of these settings, for a block: what runs at its end is put away."""
    rest = {name: settings[name] for name in settings if name != "data_dir"}
    async with inside(Path(settings["data_dir"]), **rest) as gateway:
        yield gateway


async def used(session: dict[str, Any], site: Site) -> None:
    """Something is stored in it, then its client leaves."""
    async with wire(session["connect"]) as client:
        page = await client.page()
        await client.call("Page.navigate", {"url": f"{site.url}/"}, page)
        await client.evaluate("localStorage.kept = 'yes', document.cookie = 'kept=too'", page)


async def seen(url: str) -> str:
    """What a client finds stored there."""
    async with wire(url) as client:
        page = await client.page()
        return str(await client.evaluate("[location.href, localStorage.kept, document.cookie].join()", page))


@pytest.mark.parametrize("settings", ["alone"], indirect=True)
async def test_what_was_put_away_is_there_by_the_same_url_and_nothing_that_was_given_up(
    settings: dict[str, str], config: Config, site: Site, capsys: Output
) -> None:
    async with served(settings) as gateway:
        _, made = await gateway.call("POST", "/session", json={"name": "shop", "labels": {"a": "b"}})
        await used(made, site)
        _, deleted = await gateway.call("POST", "/session", json={})
        await gateway.call("DELETE", f"/session/{deleted['id']}")
        assert (await gateway.call("GET", f"/session/{deleted['id']}/snapshots"))[1]["snapshots"]
        await gateway.call("DELETE", f"/session/{deleted['id']}?purge=true")
    await lose(config)
    lines = await told(config, capsys, dry=True)
    assert lines[-1] == "1 saved, 0 with a record, 1 could be brought back, 0 could not be"
    assert await told(config, capsys, dry=True) == lines, "nothing was changed"
    lines = await told(config, capsys)
    assert lines[0].startswith(f"{made['id']}  suspended  tenant default  name 'shop'  snapshot ")
    assert lines[1] == "1 saved, 0 with a record, 1 were brought back, 0 could not be"
    assert await told(config, capsys) == ["1 saved, 1 with a record, 0 were brought back, 0 could not be"]
    async with served(settings) as gateway:
        assert (await gateway.call("GET", f"/session/{deleted['id']}"))[0] == 404
        assert await seen(here(gateway, made["connect"])) == f"{site.url}/,yes,kept=too"
        assert (await gateway.call("GET", f"/session/{made['id']}"))[1]["labels"] == {"a": "b"}


@pytest.mark.parametrize("settings", ["fleet"], indirect=True)
async def test_what_was_stopped_can_be_restored_and_its_rotated_url_stays_worthless(
    settings: dict[str, str], config: Config, site: Site, capsys: Output
) -> None:
    async with served(settings) as gateway:
        _, made = await gateway.call("POST", "/session", json={})
        await used(made, site)
        await gateway.call("DELETE", f"/session/{made['id']}")
        assert (await gateway.call("POST", f"/session/{made['id']}/rotate"))[0] == 200
    await lose(config)
    assert (await told(config, capsys))[0].startswith(f"{made['id']}  stopped  tenant default  snapshot ")
    async with served(settings) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            async with wire(here(gateway, made["connect"])):
                pass
        assert refused.value.response.status_code == 401, "410 would be that of a URL that is good"
        status, restored = await gateway.call("POST", f"/session/{made['id']}/restore")
        assert status == 201, restored
        assert await seen(restored["connect"]) == f"{site.url}/,yes,kept=too"


def here(gateway: Inside, url: str) -> str:
    """The same on the port of another run."""
    return f"{gateway.ws}/{url.split('/', 3)[3]}"
