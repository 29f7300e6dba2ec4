"""Profiles that tenants keep: made of an upload or of a session, copied to whichever sessions begin with them.

What a profile holds is a snapshot under its own id, so no session's end takes it along. A session works on a copy; when
its browser is put away and it was asked to, that becomes the profile's next version: who is put away last has the
last word. One that nobody uses for LIFE is erased.
"""

import asyncio
import shutil
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from weakref import WeakValueDictionary

import structlog

from browser_pool.spec import Mode
from browser_pool.tasks import to_the_end
from gateway.errors import Code, GatewayError
from gateway.identity.launch import launch
from gateway.records import Identity, SessionId, SessionRecord, SessionSpec, Source, Upstream
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.upload import unpacked
from gateway.snapshot.vault import SnapshotInfo, Vault
from gateway.store.base import Store
from gateway.store.profiles import Profile, Stage
from gateway.tenancy.access import Principal
from gateway.tenancy.storage import Storage

LIFE = 30 * 86400.0  # seconds without use
SETTLED = 300.0  # seconds until one that is awaited of no session is given up
GIVEN_UP = 86400.0  # seconds until it is forgotten
PERIOD = 60.0  # seconds between looks at those
UPLOADS = 2  # of a tenant at once
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class About:
    """What a profile says of the sessions that begin with it; None where it says nothing."""

    user_agent: str | None = None
    viewport: tuple[int, int] | None = None
    upstream: Upstream | None = None
    project: str | None = None


class Profiles:
    """Those of all tenants. `directory` is for what is on its way; `usual`: a session's viewport if nobody says one."""

    def __init__(
        self, store: Store, vault: Vault, storage: Storage | None, directory: Path, *, usual: tuple[int, int]
    ) -> None:
        self._store = store
        self._vault = vault
        self._storage = storage
        self._directory = directory
        self._usual = usual
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._uploads: Counter[str] = Counter()

    # --- what sessions do with them ---

    async def begin(self, principal: Principal, profile: str | None, persist: bool, spec: SessionSpec) -> SessionSpec:
        """The spec of a session that begins with that profile, or for None with nothing and is to become one.

        Raises GatewayError: NOT_FOUND (404), NOTHING_SAVED (409).
        """
        if profile is None:
            now = time.time()
            made = Profile(str(uuid.uuid4()), principal.tenant, Stage.AWAITED, now, now, now)
            await self._store.profiles.add(made)
            return replace(spec, profile=made.id, persist_profile=persist)
        found = await self.find(principal, profile)
        if found.version is None:
            why = "nothing was saved to it" if found.stage is Stage.FAILED else "its first session has not ended yet"
            raise GatewayError(Code.NOTHING_SAVED, f"profile {found.id} has nothing to begin with: {why}")
        info, skipped = await self._vault.usable(found.id)
        for words in skipped:
            log.error("snapshot_skipped", profile=found.id, why=words)
        await self._store.profiles.put(replace(found, used_at=time.time()))
        spec = replace(
            spec, profile=found.id, persist_profile=persist, source=Source(SessionId(found.id), info.version)
        )
        return _dressed(spec, found, self._usual)

    async def keep(self, record: SessionRecord, info: SnapshotInfo) -> None:
        """What the session has just saved is the profile's from now on. Never raises GatewayError: the log has it."""
        assert record.spec.profile is not None
        async with self._alone(record.spec.profile):
            found = await self._store.profiles.get(record.spec.profile)
            if found is None or found.tenant != record.spec.tenant:
                return  # erased meanwhile
            try:
                made = await self._copied(found, record, info)
            except (GatewayError, OSError) as error:
                log.warning("profile_not_kept", profile=found.id, session=record.id, error=str(error))
                if found.version is None:
                    await self._put(replace(found, stage=Stage.FAILED, updated_at=time.time()))
                return
            now = time.time()
            identity = record.spec.identity or Identity()
            await self._put(
                replace(
                    found,
                    stage=Stage.READY,
                    version=made.version,
                    session=record.id,
                    updated_at=now,
                    used_at=now,
                    user_agent=found.user_agent or identity.user_agent,
                    viewport=found.viewport or identity.viewport,
                )
            )

    # --- what tenants do with them ---

    async def find(self, principal: Principal, profile: str) -> Profile:
        """The tenant's own; raises NOT_FOUND (404)."""
        found = await self._store.profiles.get(profile)
        if found is None or found.tenant != principal.tenant:
            raise GatewayError(Code.NOT_FOUND, f"there is no profile {profile[:80]!r}")
        return found

    async def listed(self, tenant: str) -> list[Profile]:
        """The newest first."""
        return await self._store.profiles.listed(tenant)

    async def create(self, tenant: str, about: About, archive: Path) -> Profile:
        """Of a zip. Raises GatewayError: UNSUPPORTED, BODY_TOO_LARGE, QUOTA_EXCEEDED, SAVE_FAILED."""
        now = time.time()
        made = Profile(str(uuid.uuid4()), tenant, Stage.READY, now, now, now, None, None)
        made = replace(_said(made, about), version=(await self._taken(made, archive)).version)
        await self._store.profiles.add(made)
        return made

    async def amend(self, principal: Principal, profile: str, about: About, archive: Path | None) -> Profile:
        """With what `about` says; with a zip it holds that from now on. Raises NOT_FOUND, and as `create`."""
        async with self._alone(profile):
            found = await self.find(principal, profile)
            now = time.time()
            changed = replace(_said(found, about), updated_at=now, used_at=now)
            if archive is not None:
                info = await self._taken(found, archive)
                changed = replace(changed, version=info.version, stage=Stage.READY, session=None)
            await self._put(changed)
            return changed

    async def erase(self, principal: Principal, profile: str) -> None:
        """Sessions that began with it run on. Raises NOT_FOUND."""
        async with self._alone(profile):
            await self._erase(await self.find(principal, profile))

    @asynccontextmanager
    async def receiving(self, tenant: str) -> AsyncIterator[Path]:
        """A file for an upload, gone at the end of the block. Raises RATE_LIMITED (429): there are others."""
        if self._uploads[tenant] >= UPLOADS:
            raise GatewayError(Code.RATE_LIMITED, f"at most {UPLOADS} profiles are uploaded at once", retry_after=5)
        self._uploads[tenant] += 1
        try:
            async with self._aside() as place:
                yield place / "archive"
        finally:
            self._uploads -= Counter({tenant: 1})

    # --- time ---

    def sweep(self) -> None:
        """At the start: what a killed process left on its way. Blocking."""
        shutil.rmtree(self._directory, ignore_errors=True)

    async def watch(self) -> None:
        """Erase what nobody uses, give up what nobody will save to."""
        while True:
            try:
                if await self._store.leads("profiles", 2 * PERIOD):
                    await self.pass_by(time.time())
            except (GatewayError, OSError) as error:
                log.warning("profiles_not_swept", error=str(error))
            await asyncio.sleep(PERIOD)

    async def pass_by(self, now: float) -> None:
        """The same, once."""
        idle = await self._store.profiles.unused(now - SETTLED)
        if not idle:
            return
        held = {record.spec.profile for record in await self._store.running()}
        for profile in idle:
            if profile.id in held:
                continue
            if profile.used_at < now - LIFE or (profile.version is None and profile.used_at < now - GIVEN_UP):
                async with self._alone(profile.id):
                    await self._erase(profile)
                log.info("profile_expired", profile=profile.id)
            elif profile.stage is Stage.AWAITED:
                await self._put(replace(profile, stage=Stage.FAILED, updated_at=now))

    # --- within ---

    @asynccontextmanager
    async def _alone(self, profile: str) -> AsyncIterator[None]:
        async with self._writing.setdefault(profile, asyncio.Lock()):
            yield

    @asynccontextmanager
    async def _aside(self) -> AsyncIterator[Path]:
        """A directory, gone at the end of the block."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = Path(mkdtemp(dir=self._directory))
        try:
            yield place
        finally:
            await to_the_end(asyncio.to_thread(shutil.rmtree, place, ignore_errors=True))

    async def _taken(self, profile: Profile, archive: Path) -> SnapshotInfo:
        async with self._aside() as place:
            try:
                await to_the_end(asyncio.to_thread(_unpacked, archive, place))
            except OSError as error:
                raise GatewayError(Code.SAVE_FAILED, f"the profile cannot be kept: {error.strerror}") from error
            # Its cookies and all else are in the files: nothing is known beside them.
            document = ContextDocument(stale=True)
            return await self._save(profile, document, place, Mode.HEADLESS.kind, "uploaded")

    async def _copied(self, profile: Profile, record: SessionRecord, info: SnapshotInfo) -> SnapshotInfo:
        document = await self._vault.load_document(record.id, info.version)
        async with self._aside() as place:
            there = await to_the_end(self._vault.unpack_profile(record.id, info.version, place))
            # Which tabs were open is the session's affair, not the profile's.
            return await self._save(
                profile, replace(document, tabs=()), place if there else None, info.kind, f"session {record.id}"
            )

    async def _save(
        self, profile: Profile, document: ContextDocument, place: Path | None, kind: str, reason: str
    ) -> SnapshotInfo:
        if self._storage is not None:
            await self._storage.make_room(profile.tenant)
        info = await to_the_end(self._vault.save(profile.id, document, profile=place, kind=kind, reason=reason))
        if self._storage is not None:
            await self._storage.changed(profile.tenant, SessionId(profile.id))
        return info

    async def _put(self, profile: Profile) -> None:
        if not await self._store.profiles.put(profile):
            await self._vault.erase(profile.id)  # erased meanwhile

    async def _erase(self, profile: Profile) -> None:
        await self._vault.erase(profile.id)  # first: what is left of one without a record could be taken for lost
        await self._store.profiles.drop(profile.id)
        if self._storage is not None:
            await self._storage.changed(profile.tenant, SessionId(profile.id))


def _said(profile: Profile, about: About) -> Profile:
    return replace(
        profile,
        user_agent=about.user_agent or profile.user_agent,
        viewport=about.viewport or profile.viewport,
        upstream=about.upstream or profile.upstream,
        project=about.project or profile.project,
    )


def _dressed(spec: SessionSpec, profile: Profile, usual: tuple[int, int]) -> SessionSpec:
    """The spec with what the profile says, where it says nothing itself."""
    identity = spec.identity or Identity()
    if identity.user_agent is None:
        identity = replace(identity, user_agent=profile.user_agent)
    if identity.viewport in (None, usual) and profile.viewport is not None:
        identity = replace(identity, viewport=profile.viewport)
    if spec.egress.upstream is None and profile.upstream is not None:
        spec = replace(spec, egress=replace(spec.egress, upstream=profile.upstream))
    return replace(spec, identity=identity, launch=launch(identity, spec.launch))


def _unpacked(archive: Path, into: Path) -> None:
    with archive.open("rb") as source:
        unpacked(source, into)
