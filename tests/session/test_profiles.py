"""Profiles: of an upload or a session, copied to sessions, and what time does to them. Without browsers."""

import io
import time
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec, Mode
from gateway.errors import Code, GatewayError
from gateway.records import Kind, Role, SessionRecord, SessionSpec, Source, Status, Tenant, Upstream, new_session_id
from gateway.session.janitor import sweep_snapshots
from gateway.session.profiles import GIVEN_UP, LIFE, SETTLED, UPLOADS, About, Profiles
from gateway.snapshot.document import ContextDocument, Tab
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import SnapshotInfo, Vault
from gateway.store.profiles import Profile, Stage
from gateway.store.sqlite import SqliteStore, open_store
from gateway.tenancy.access import Principal
from gateway.tenancy.storage import Storage

ALICE, BOB = Principal("alice", Role.USER), Principal("bob", Role.USER)
USUAL = (1920, 1080)
SPEC = SessionSpec("alice", Kind.API, LaunchSpec(Mode.HEADLESS), ttl=60, keep=60, persist=True)


@dataclass
class Place:
    """Everything that profiles are kept in, and what a tenant may have of it."""

    directory: Path
    store: SqliteStore
    vault: Vault
    storage: Storage
    profiles: Profiles
    most: int | None = None

    def tenant(self, name: str) -> Tenant:
        return Tenant(name, snapshot_bytes=self.most)

    def archive(self, cookies: bytes = b"first") -> Path:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as target:
            target.writestr("Default/Cookies", cookies)
        path = self.directory / "archive.zip"
        path.write_bytes(data.getvalue())
        return path

    async def cookies(self, profile: Profile) -> bytes:
        """What a session that begins with it would have."""
        spec = await self.profiles.begin(ALICE, profile.id, False, SPEC)
        assert spec.source is not None
        place = self.directory / f"laid out {time.monotonic_ns()}"
        place.mkdir()
        assert await self.vault.unpack_profile(spec.source.session, spec.source.version, place)
        return (place / "Default/Cookies").read_bytes()

    async def put_away(self, spec: SessionSpec, cookies: bytes) -> tuple[SessionRecord, SnapshotInfo]:
        """A session whose browser left these."""
        now = time.time()
        record = SessionRecord(new_session_id(), spec, Status.STOPPED, now, now + 60)
        profile = self.directory / f"profile {record.id}"
        (profile / "Default").mkdir(parents=True)
        (profile / "Default/Cookies").write_bytes(cookies)
        document = ContextDocument(tabs=(Tab("https://a.example/"),))
        info = await self.vault.save(record.id, document, profile=profile, kind=Mode.HEADLESS.kind, reason="stopped")
        return record, info


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_store(tmp_path / "store.sqlite") as store:
        vault = Vault(tmp_path / "snapshots", Sealer())
        storage = Storage(store, vault, lambda name: made.tenant(name))
        made = Place(
            tmp_path,
            store,
            vault,
            storage,
            Profiles(store, vault, storage, tmp_path / "profiles", usual=USUAL),
        )
        yield made
        left = tmp_path / "profiles"
        assert not left.exists() or list(left.iterdir()) == []


async def refused(work: object) -> Code:
    with pytest.raises(GatewayError) as error:
        await work  # type: ignore[misc]
    return error.value.code


async def test_sessions_work_on_copies_and_the_last_one_has_the_last_word(place: Place) -> None:
    upstream = Upstream("http", "proxy.example", 3128)
    about = About(user_agent="agent", viewport=(800, 600), upstream=upstream, project="p")
    made = await place.profiles.create("alice", about, place.archive())
    assert (made.stage, made.version, made.project) == (Stage.READY, 1, "p")
    spec = await place.profiles.begin(ALICE, made.id, True, SPEC)
    assert spec.identity is not None
    assert (spec.profile, spec.persist_profile, spec.source) == (made.id, True, Source(made.id, 1))  # type: ignore[arg-type]
    assert (spec.identity.user_agent, spec.identity.viewport, spec.launch.viewport) == ("agent", (800, 600), (800, 600))
    assert spec.egress.upstream == upstream
    own = replace(spec.identity, user_agent="own", viewport=(1, 1))
    assert (await place.profiles.begin(ALICE, made.id, True, replace(SPEC, identity=own))).identity == own

    first, second = await place.put_away(spec, b"one"), await place.put_away(spec, b"other")
    await place.profiles.keep(*second)
    await place.profiles.keep(*first)
    found = await place.profiles.find(ALICE, made.id)
    assert (found.version, found.session, found.stage) == (3, first[0].id, Stage.READY)
    assert await place.cookies(found) == b"one"
    assert (await place.vault.load_document(made.id)).tabs == ()
    await place.vault.erase(first[0].id)
    assert await place.cookies(found) == b"one"

    changed = await place.profiles.amend(ALICE, made.id, About(project="q"), place.archive(b"new"))
    assert (changed.project, changed.user_agent, changed.session) == ("q", "agent", None)
    assert await place.cookies(changed) == b"new"
    assert await place.profiles.listed("alice") == [await place.profiles.find(ALICE, made.id)]

    for foreign in (place.profiles.find(BOB, made.id), place.profiles.begin(BOB, made.id, True, SPEC)):
        assert await refused(foreign) is Code.NOT_FOUND
    assert await refused(place.profiles.erase(BOB, made.id)) is Code.NOT_FOUND
    await place.profiles.erase(ALICE, made.id)
    await place.profiles.keep(*first)  # of a profile that is gone
    assert await place.vault.sessions() == (second[0].id,)


async def test_a_new_one_is_what_its_first_session_leaves(place: Place) -> None:
    spec = await place.profiles.begin(ALICE, None, True, SPEC)
    assert spec.profile is not None
    assert spec.source is None
    made = await place.profiles.find(ALICE, spec.profile)
    assert made.stage is Stage.AWAITED
    assert await refused(place.profiles.begin(ALICE, made.id, False, SPEC)) is Code.NOTHING_SAVED
    record, info = await place.put_away(spec, b"one")
    await place.profiles.keep(record, replace(info, version=9))  # which is not there
    assert (await place.profiles.find(ALICE, made.id)).stage is Stage.FAILED
    await place.profiles.keep(record, info)
    found = await place.profiles.find(ALICE, made.id)
    assert found.stage is Stage.READY
    assert await place.cookies(found) == b"one"
    await place.profiles.keep(record, replace(info, version=9))  # what was good stays good
    assert await place.profiles.find(ALICE, made.id) == replace(
        found, used_at=(await place.profiles.find(ALICE, made.id)).used_at
    )


async def test_time(place: Place) -> None:
    now = time.time()
    await place.profiles.begin(ALICE, None, True, SPEC)
    live = await place.profiles.begin(ALICE, None, True, SPEC)
    await place.store.insert(SessionRecord(new_session_id(), live, Status.CONNECTED, now, now + 60))
    used = await place.profiles.create("alice", About(), place.archive())

    async def stages(later: float) -> list[Stage]:
        await place.profiles.pass_by(now + later)
        return [profile.stage for profile in await place.profiles.listed("alice")]

    assert await stages(SETTLED / 2) == [Stage.READY, Stage.AWAITED, Stage.AWAITED]
    assert await stages(SETTLED + 60) == [Stage.READY, Stage.AWAITED, Stage.FAILED]
    assert await stages(GIVEN_UP + 60) == [Stage.READY, Stage.AWAITED]
    # No retention of sessions' snapshots ends a profile.
    await sweep_snapshots(place.store, place.vault, 1.0, now + LIFE - 60)
    assert await place.cookies(used) == b"first"
    assert await stages(LIFE + 60) == [Stage.AWAITED]
    assert await place.vault.sessions() == ()


async def test_what_does_not_fit_leaves_nothing(place: Place) -> None:
    broken = place.directory / "broken.zip"
    broken.write_bytes(b"no zip")
    assert await refused(place.profiles.create("alice", About(), broken)) is Code.UNSUPPORTED
    place.most = 1
    made = await place.profiles.create("alice", About(), place.archive())
    used = await place.storage.used("alice")
    assert used is not None
    assert used > 1
    assert await refused(place.profiles.create("alice", About(), place.archive())) is Code.QUOTA_EXCEEDED
    assert await place.profiles.listed("alice") == [made]
    await place.profiles.erase(ALICE, made.id)
    assert await place.storage.used("alice") == 0

    async with place.profiles.receiving("bob"):
        for _ in range(UPLOADS):
            async with place.profiles.receiving("alice") as one:
                one.write_bytes(b"half")
        async with place.profiles.receiving("alice"), place.profiles.receiving("alice"):
            assert await refused(place.profiles.receiving("alice").__aenter__()) is Code.RATE_LIMITED
    (place.directory / "profiles").mkdir(exist_ok=True)
    (place.directory / "profiles" / "of a killed process").mkdir()
    place.profiles.sweep()
