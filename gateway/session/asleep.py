"""Sessions without a browser: made put away, and given another context while they are. Nothing is started for it.

This is the registry's own business, in a file of its own.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from gateway.errors import Code, GatewayError
from gateway.records import SessionRecord, SessionSpec, Status, new_session_id
from gateway.session.registry import Registry
from gateway.session.source import last_saved, readable
from gateway.snapshot.document import ContextDocument
from gateway.store.base import Fenced

log = structlog.get_logger()
KEEP_ALIVE = "keep_alive"  # why it is put away, as for one whose browser nobody came back to


async def made_asleep(registry: Registry, spec: SessionSpec, context: ContextDocument | None = None) -> SessionRecord:
    """A session of `spec`, which has a name, with that context, or what was last saved under its name.

    Raises GatewayError: NAME_IN_USE (409), and whatever `Registry.create` may refuse.
    """
    name = spec.name
    assert name is not None
    means, store = registry.means, registry._store
    registry._refuse_while_draining(spec)
    spec = await means.quotas.admit(spec, time.monotonic())
    async with registry._naming:
        registry._refuse_second(spec.tenant, name)
        if context is None:
            spec = replace(spec, source=await last_saved(spec.tenant, name, store, means.vault))
        now = time.time()
        record = SessionRecord(
            new_session_id(), spec, Status.SUSPENDED, now, now + spec.ttl, reason=KEEP_ALIVE, generation=1
        )
        if spec.source is None:
            kind = spec.launch.mode.kind
            document = context or ContextDocument()
            info = await means.save(record, document, profile=None, kind=kind, reason="given", fence=0)
            record = replace(record, snapshot=info.version, snapshot_at=info.created_at)
        await store.insert(record)
        return record


async def context_of(registry: Registry, record: SessionRecord) -> ContextDocument:
    """What a session that is put away would begin with. Raises GatewayError, as `Vault.load_document`."""
    source = await readable(record, registry.means.vault)
    if source is None:
        return ContextDocument()
    return await registry.means.vault.load_document(source.session, source.version)


async def resaved(
    registry: Registry, record: SessionRecord, change: Callable[[ContextDocument], ContextDocument], reason: str
) -> SessionRecord | None:
    """Save what `change` makes of the context of a session that is put away; None if it is not, any more.

    The profile that was saved with it goes along. None also where that knows more than the document beside it, as
    after a crash: then only a browser can tell. Raises GatewayError.
    """
    means, store = registry.means, registry._store
    async with registry._naming, registry._waking:
        now = await store.get(record.id)
        if now is None or registry.live(record.id) is not None or now.status is not Status.SUSPENDED:
            return None
        source = await readable(now, means.vault)
        before = ContextDocument()
        beside, kind = None, now.spec.launch.mode.kind
        if source is not None:
            before = await means.vault.load_document(source.session, source.version)
            if before.stale:
                return None
            infos = {info.version: info for info in await means.vault.list(source.session)}
            kind = infos[source.version].kind
            if source.session == now.id and infos[source.version].has_profile:
                beside = source.version
        # An overlay goes over the profile, which has the cookies of before.
        document = replace(change(before), overlay=before.overlay or beside is not None)
        info = await means.save(
            now, document, profile=None, kind=kind, reason=reason, fence=now.incarnation, beside=beside
        )
        saved = replace(now, snapshot=info.version, snapshot_at=info.created_at, last_used_at=time.time())
        try:
            await store.update(saved)
        except Fenced as error:
            raise GatewayError(Code.FENCED, f"session {record.id}: {error}") from None
        return saved
