"""The REST lifecycle of sessions: create, look at, change, save, stop, restore."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import structlog
from aiohttp import web

from gateway.errors import Code, GatewayError
from gateway.records import Identity, Kind, Limits, SessionRecord, SessionSpec, Source, Status, is_session_id
from gateway.session.commands import instant
from gateway.session.registry import Registry
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.formats import Format, parse_any, written
from gateway.snapshot.vault import SnapshotInfo
from gateway.store.base import Query
from gateway.tenancy.access import Access, Principal, Role
from gateway.web import network
from gateway.web.browserless_session import native
from gateway.web.door import PRINCIPAL
from gateway.web.links import Links, links_of
from gateway.web.request import check_query, json_body, session_id, switch
from gateway.web.shapes import (
    AmendBody,
    ForkBody,
    RestoreBody,
    RestoreFrom,
    RotateBody,
    SessionBody,
    read,
    seconds,
    session_spec,
)

log = structlog.get_logger()
LIST_QUERY = frozenset({"status", "name", "label", "cursor", "limit", "tenant"})
HANDLES = ("connect", "stop", "devtools")  # URLs with which a session can be driven
Named = Callable[[str, str], Awaitable[Identity]]  # a tenant's identity by its name; raises NOT_FOUND


class Sessions:
    """Handlers of /session and /sessions."""

    def __init__(
        self, registry: Registry, access: Access, limits: Limits, external_url: str | None, identities: Named
    ) -> None:
        self._registry = registry
        self._access = access
        self._limits = limits
        self._external_url = external_url
        self._identities = identities

    async def create(self, request: web.Request) -> web.Response:
        """POST /session."""
        principal = request[PRINCIPAL]
        principal.require_tenant()
        check_query(request, frozenset())
        body = read(SessionBody, native(await json_body(request)), "body")
        stored = await self._identities(principal.tenant, body.identity) if isinstance(body.identity, str) else None
        spec = session_spec(
            body, principal.tenant, self._limits_of(principal.tenant), stored, admin=principal.role is Role.ADMIN
        )
        if body.attach:
            if body.name is None:
                raise GatewayError(Code.BAD_REQUEST, "body: attach wants the name of the session to join")
            if (there := await self._registry.named(principal.tenant, body.name)) is not None:
                return web.json_response(self._shape(request, there))
        try:
            return await self._create(request, principal, body, spec)
        except GatewayError as error:
            if error.code is not Code.NAME_IN_USE or not body.attach:
                raise
            # Another request was faster by a moment.
            if (there := await self._registry.faster(principal.tenant, spec.name or "")) is None:
                raise
            return web.json_response(self._shape(request, there))

    async def _create(
        self, request: web.Request, principal: Principal, body: SessionBody, spec: SessionSpec
    ) -> web.Response:
        context = None
        if body.context is not None and body.restore is not None:
            raise GatewayError(Code.BAD_REQUEST, "body: context and restore exclude each other")
        if body.context is not None:
            context = parse_any(body.context)
        if body.restore is not None:
            wanted = body.restore if isinstance(body.restore, RestoreFrom) else RestoreFrom(session=body.restore)
            source = await self._registry.source(principal, session_id(wanted.session), wanted.snapshot)
            spec = replace(spec, source=source)
        return await self._created(request, spec, context)

    async def restore(self, request: web.Request) -> web.Response:
        """POST /session/ID/restore: as that session was, with what the body changes."""
        principal = request[PRINCIPAL]
        check_query(request, frozenset())
        body = read(RestoreBody, await json_body(request), "body")
        key = session_id(request.match_info["key"])
        source = await self._registry.source(principal, key, body.snapshot)
        before = (await self._registry.find(principal, key)).spec
        return await self._created(request, replace(self._again(before, body, source), name=body.name), None)

    async def fork(self, request: web.Request) -> web.Response:
        """POST /session/ID/fork: sessions with a copy of its context, all of them or none; ID itself runs on."""
        principal = request[PRINCIPAL]
        principal.require_tenant()
        check_query(request, frozenset())
        body = read(ForkBody, await json_body(request), "body")
        key = session_id(request.match_info["key"])
        record = await self._registry.find(principal, key)
        if record.status.running:
            info = await (await self._registry.awake(principal, key)).snapshot("fork")
            source = Source(key, info.version)
        else:
            source = await self._registry.source(principal, key)
        forks = await self._registry.forked(self._again(record.spec, body, source), body.count)
        return web.json_response({"sessions": [self._shape(request, fork.record) for fork in forks]}, status=201)

    def _again(self, spec: SessionSpec, body: RestoreBody | ForkBody, source: Source) -> SessionSpec:
        """An API session as that one was, with what the body changes; a name is one session's alone."""
        api, limits = spec.kind is Kind.API, self._limits_of(spec.tenant)
        keep = seconds("processKeepAlive", body.process_keep_alive, spec.keep if api else limits.keep, limits.ttl_max)
        return replace(
            spec,
            kind=Kind.API,
            persist=True,
            source=source,
            name=None,
            ttl=seconds("ttl", body.ttl, spec.ttl if api else limits.ttl, limits.ttl_max),
            keep=keep,
            labels=spec.labels if body.labels is None else tuple(sorted(body.labels.items())),
            checkpoint=limits.checkpoint if spec.checkpoint is None else spec.checkpoint,
        )

    async def show(self, request: web.Request) -> web.Response:
        """GET /session/ID."""
        check_query(request, frozenset())
        record = await self._registry.find(request[PRINCIPAL], session_id(request.match_info["key"]))
        shown = self._shape(request, record)
        live = self._registry.live(record.id)
        if live is not None and live.browser is not None:
            used = await self._registry.means.used(live.browser)
            shown["egress"] = network.usage_shape(live.record.used.plus(used))
        return web.json_response(shown)

    async def page(self, request: web.Request) -> web.Response:
        """GET /sessions."""
        principal = request[PRINCIPAL]
        principal.require_tenant()
        page = await self._registry.page(list_query(request, principal))
        return web.json_response(
            {
                "sessions": [self._shape(request, record) for record in page.records],
                "nextCursor": page.next_cursor,
            }
        )

    async def amend(self, request: web.Request) -> web.Response:
        """PATCH /session/ID."""
        check_query(request, frozenset())
        body = read(AmendBody, await json_body(request), "body")
        principal, key = request[PRINCIPAL], session_id(request.match_info["key"])
        ceiling = self._limits_of((await self._registry.find(principal, key)).spec.tenant).ttl_max
        record = await self._registry.amend(
            principal,
            key,
            ttl=None if body.ttl is None else seconds("ttl", body.ttl, 0, ceiling),
            keep=None
            if body.process_keep_alive is None
            else seconds("processKeepAlive", body.process_keep_alive, 0, ceiling),
            labels=None if body.labels is None else tuple(sorted(body.labels.items())),
            idle=None
            if body.inactivity_timeout is None
            else seconds("inactivityTimeout", body.inactivity_timeout, 0, ceiling),
        )
        return web.json_response(self._shape(request, record))

    async def rotate(self, request: web.Request) -> web.Response:
        """POST /session/ID/rotate: new URLs; those from before are refused from now on, with or without its clients."""
        check_query(request, frozenset())
        body = read(RotateBody, await json_body(request), "body")
        key = session_id(request.match_info["key"])
        record = await self._registry.rotate(request[PRINCIPAL], key, disconnect=body.disconnect)
        return web.json_response(self._shape(request, record))

    async def stop(self, request: web.Request) -> web.Response:
        """DELETE /session/ID: replies when the context is on disk and the browser is gone."""
        check_query(request, frozenset({"force", "purge"}))
        record = await self._registry.stop(
            request[PRINCIPAL],
            session_id(request.match_info["key"]),
            force=switch(request, "force"),
            purge=switch(request, "purge"),
        )
        return web.json_response(self._shape(request, record))

    async def snapshot(self, request: web.Request) -> web.Response:
        """POST /session/ID/snapshot: saves the context now, the browser runs on."""
        check_query(request, frozenset())
        principal, key = request[PRINCIPAL], session_id(request.match_info["key"])
        info = await (await self._registry.awake(principal, key)).snapshot("asked for")
        return web.json_response(_snapshot(info), status=201)

    async def snapshots(self, request: web.Request) -> web.Response:
        """GET /session/ID/snapshots."""
        check_query(request, frozenset())
        key = session_id(request.match_info["key"])
        await self._registry.find(request[PRINCIPAL], key)
        found = await self._registry.means.vault.list(key)
        return web.json_response({"snapshots": [_snapshot(info) for info in found]})

    async def context(self, request: web.Request) -> web.Response:
        """GET /session/ID/context: of the running browser, else what was saved last."""
        check_query(request, frozenset({"format"}))
        asked = request.query.get("format", "native")
        if asked not in Format.__members__.values():
            raise GatewayError(Code.BAD_REQUEST, f"format: one of {', '.join(Format)} is wanted")
        principal, key = request[PRINCIPAL], session_id(request.match_info["key"])
        record = await self._registry.find(principal, key)
        if record.status.running:
            document = await (await self._registry.awake(principal, key)).context()
        else:
            source = await self._registry.source(principal, key)
            document = await self._registry.means.vault.load_document(source.session, source.version)
        shaped, missing = written(document, Format(asked))
        if missing:
            log.info("context_incomplete", session=key, format=asked, missing=len(missing))
        return web.json_response(shaped)

    async def _created(self, request: web.Request, spec: SessionSpec, context: ContextDocument | None) -> web.Response:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            record = (await self._registry.created(spec, context)).record
        else:
            if not 1 <= len(key) <= 255:
                raise GatewayError(Code.BAD_REQUEST, "Idempotency-Key: 1 to 255 characters are wanted")
            body = await request.read()
            fingerprint = hashlib.sha256(request.path.encode() + b"\0" + body).hexdigest()
            record = await self._registry.created_once(spec, context, key, fingerprint)
        return web.json_response(self._shape(request, record), status=201)

    def _shape(self, request: web.Request, record: SessionRecord) -> dict[str, Any]:
        shown = shape(record, links_of(request, self._access, self._external_url))
        if request[PRINCIPAL].role is Role.VIEWER:
            shown |= dict.fromkeys(HANDLES)
        return shown

    def _limits_of(self, tenant: str) -> Limits:
        return self._registry.means.quotas.limits(tenant, self._limits)


def list_query(request: web.Request, principal: Principal) -> Query:
    """The query of GET /sessions; raises GatewayError naming what is wrong."""
    check_query(request, LIST_QUERY)
    query = request.query
    tenant = query.get("tenant", principal.tenant)
    if tenant != principal.tenant and principal.role is not Role.ADMIN:
        raise GatewayError(Code.FORBIDDEN, "tenant: role admin may list others' sessions")
    status = query.get("status")
    if status is not None and status not in Status.__members__.values():
        raise GatewayError(Code.BAD_REQUEST, f"status: one of {', '.join(Status)} is wanted")
    limit = query.get("limit", "100")
    if not limit.isdigit() or not 1 <= int(limit) <= 1000:
        raise GatewayError(Code.BAD_REQUEST, "limit: 1 to 1000 is wanted")
    labels = []
    for label in query.getall("label", []):
        key, colon, value = label.partition(":")
        if not colon:
            raise GatewayError(Code.BAD_REQUEST, "label: key:value is wanted")
        labels.append((key, value))
    cursor = query.get("cursor")
    if cursor is not None and not is_session_id(cursor):
        raise GatewayError(Code.BAD_REQUEST, "cursor: the nextCursor of the page before is wanted")
    return Query(
        tenant,
        None if status is None else Status(status),
        query.get("name"),
        tuple(labels),
        cursor,
        int(limit),
    )


def shape(record: SessionRecord, links: Links) -> dict[str, Any]:
    """A session as the native dialect shows it; times in ms, instants ISO 8601 UTC."""
    spec, api = record.spec, record.spec.kind is Kind.API
    ended = record.status.ended
    return {
        "id": record.id,
        "kind": spec.kind.value,
        "status": record.status.value,
        "reason": record.reason,
        "name": spec.name,
        "connect": None if ended else links.connect(record) if api else links.drive(record),
        "stop": links.stop(record),
        "devtools": links.devtools_page(record) if record.status.running else None,
        "live": links.live(record) if record.status.running else None,
        "ttl": int(spec.ttl * 1000),
        "processKeepAlive": int(spec.keep * 1000),
        "inactivityTimeout": None if spec.idle is None else int(spec.idle * 1000),
        "persist": spec.persist,
        "headless": {"headless": True, "headed": False}.get(spec.launch.mode.value, spec.launch.mode.value),
        "stealth": spec.launch.stealth,
        "blockAds": spec.block_ads,
        "labels": dict(spec.labels),
        "proxy": network.proxy_shape(spec.egress),
        "egress": network.usage_shape(record.used),
        "createdAt": instant(record.created_at),
        "expiresAt": instant(record.expires_at),
        "lastUsedAt": None if record.last_used_at is None else instant(record.last_used_at),
        "endedAt": None if record.ended_at is None else instant(record.ended_at),
        "connections": record.connections,
        "failures": record.failures,
        "parked": record.parked,
        "snapshot": None
        if record.snapshot is None or record.snapshot_at is None
        else {"version": record.snapshot, "createdAt": record.snapshot_at},
        "restoredFrom": None
        if spec.source is None
        else {"session": spec.source.session, "snapshot": spec.source.version},
    }


def _snapshot(info: SnapshotInfo) -> dict[str, Any]:
    return {
        "version": info.version,
        "createdAt": info.created_at,
        "bytes": info.bytes,
        "reason": info.reason,
    }
