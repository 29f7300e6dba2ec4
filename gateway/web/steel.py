"""Steel's sessions: what its SDKs call, on the sessions of this gateway. Shapes in `steel_shapes.py`.

A session of Steel's is an API session: it can be listed, driven, saved and stopped by the native routes as well, and
the other way round. `ID` is a session's id, or the name that the tenant gave to one that runs or is put away.
"""

import asyncio
import hashlib
from typing import Any, Protocol

import structlog
from aiohttp import web

from gateway.errors import Code, GatewayError
from gateway.pages.shared import LABEL
from gateway.records import Limits, Role, SessionId, SessionRecord, SessionSpec, Source, is_session_id
from gateway.session.registry import Registry
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.formats import Format, written
from gateway.store.base import Query
from gateway.tenancy.access import Access, Principal
from gateway.web.door import PRINCIPAL
from gateway.web.fleetwide import Fleetwide
from gateway.web.links import Links, links_of
from gateway.web.request import check_query, json_body, session_id
from gateway.web.shapes import read
from gateway.web.steel_answers import AMONG, LiveDetails, Page, Released, dumped, events_of, session_shape, status_of
from gateway.web.steel_operations import OPERATIONS
from gateway.web.steel_shapes import PROJECT, CreateBody, ReleaseAllBody, ReleaseBody, context_of, session_spec

__all__ = ["OPERATIONS", "Profiles", "SteelSessions", "session_of"]

log = structlog.get_logger()
PAGE, PAGE_MOST = 50, 100  # sessions on a page
TITLES = 2.0  # seconds for a browser to tell its tabs' titles
LIST_QUERY = frozenset({"cursorId", "limit", "status", "projectId"})


class Profiles(Protocol):
    """Who knows the tenant's profiles."""

    async def begin(self, principal: Principal, profile: str | None, persist: bool, spec: SessionSpec) -> SessionSpec:
        """The spec of a session that begins on that profile, a new one for None. Raises GatewayError."""


async def session_of(request: web.Request, registry: Registry) -> SessionRecord:
    """The session in the path: by its id, or by the name of one that runs or is put away. Raises SESSION_NOT_FOUND."""
    principal, key = request[PRINCIPAL], request.match_info["id"]
    if is_session_id(key.lower()):
        return await registry.find(principal, SessionId(key.lower()))
    named = await registry.named(principal.tenant, key) if len(key) <= 128 else None
    return await registry.find(principal, session_id(key) if named is None else named.id)


class SteelSessions:
    """Handlers of /v1/sessions. Without `profiles` there are none."""

    def __init__(
        self,
        registry: Registry,
        access: Access,
        limits: Limits,
        external_url: str | None,
        profiles: Profiles | None,
        fleetwide: Fleetwide,
    ) -> None:
        self._registry = registry
        self._fleetwide = fleetwide
        self._access = access
        self._limits = limits
        self._external_url = external_url
        self._profiles = profiles

    def routes(self, app: web.Application) -> None:
        """Add them."""
        router, one = app.router, "/v1/sessions/{id}"
        router.add_post("/v1/sessions", self.create)
        router.add_get("/v1/sessions", self.page)
        router.add_post("/v1/sessions/release", self.release_all)
        router.add_get(one, self.show)
        router.add_delete(one, self.release)
        router.add_post(f"{one}/release", self.release)
        router.add_get(f"{one}/context", self.context)
        router.add_get(f"{one}/live-details", self.live_details)
        router.add_get(f"{one}/events", self.events)

    async def create(self, request: web.Request) -> web.Response:
        """POST /v1/sessions."""
        principal = request[PRINCIPAL]
        check_query(request, frozenset())
        body = read(CreateBody, await json_body(request), "body")
        limits = self._registry.means.quotas.limits(principal.tenant, self._limits)
        spec = session_spec(body, principal.tenant, limits, admin=principal.role is Role.ADMIN)
        context = context_of(body.session_context)
        spec = await self._with_profile(principal, body, spec, context)
        record = await self._created(request, body, spec, context)
        return await self._shown(request, record, status=201)

    async def _with_profile(
        self, principal: Principal, body: CreateBody, spec: SessionSpec, context: ContextDocument | None
    ) -> SessionSpec:
        if body.profile_id is None and not body.persist_profile:
            return spec
        if self._profiles is None:
            raise GatewayError(Code.UNSUPPORTED, "profileId, persistProfile: this gateway keeps no profiles")
        if context is not None and body.profile_id is not None:
            raise GatewayError(Code.BAD_REQUEST, "body: profileId and sessionContext exclude each other")
        return await self._profiles.begin(principal, body.profile_id, bool(body.persist_profile), spec)

    async def _created(
        self, request: web.Request, body: CreateBody, spec: SessionSpec, context: ContextDocument | None
    ) -> SessionRecord:
        key = request.headers.get("Idempotency-Key")
        if body.session_id is not None:
            # An id of the caller's own is as good as a key: whoever repeats the request makes no second session.
            number = SessionId(body.session_id.lower())
            return (await self._registry.created_as(number, spec, context)).record
        if key is None:
            return (await self._registry.created(spec, context)).record
        if not 1 <= len(key) <= 255:
            raise GatewayError(Code.BAD_REQUEST, "Idempotency-Key: 1 to 255 characters are wanted")
        fingerprint = hashlib.sha256(request.path.encode() + b"\0" + await request.read()).hexdigest()
        return await self._registry.created_once(spec, context, key, fingerprint)

    async def show(self, request: web.Request) -> web.Response:
        """GET /v1/sessions/ID."""
        check_query(request, frozenset())
        return await self._shown(request, await session_of(request, self._registry))

    async def page(self, request: web.Request) -> web.Response:
        """GET /v1/sessions: the newest first. `cursorId` is the last id of the page before."""
        principal = request[PRINCIPAL]
        principal.require_tenant()
        check_query(request, LIST_QUERY)
        query = request.query
        status, cursor, limit = query.get("status"), query.get("cursorId"), query.get("limit", str(PAGE))
        if status is not None and status not in AMONG:
            raise GatewayError(Code.BAD_REQUEST, f"status: one of {', '.join(AMONG)} is wanted")
        if cursor is not None and not is_session_id(cursor):
            raise GatewayError(Code.BAD_REQUEST, "cursorId: the id of a session is wanted")
        if not limit.isdecimal() or not 1 <= int(limit) <= PAGE_MOST:
            raise GatewayError(Code.BAD_REQUEST, f"limit: 1 to {PAGE_MOST} is wanted")
        records = await self._records(principal.tenant, status, query.get("projectId"), cursor, int(limit) + 1)
        more, records = len(records) > int(limit), records[: int(limit)]
        shown = [await self._shape(request, record) for record in records]
        return web.json_response({"sessions": shown, "nextCursor": records[-1].id if more else None})

    async def _records(
        self, tenant: str, status: str | None, project: str | None, cursor: str | None, most: int
    ) -> list[SessionRecord]:
        """At most `most` sessions; those in which page services work are not the tenant's own."""
        labels = () if project is None else ((PROJECT, project),)
        among = () if status is None else AMONG[status]
        found: list[SessionRecord] = []
        while True:
            try:
                page = await self._registry.page(Query(tenant, labels=labels, cursor=cursor, limit=most, among=among))
            except GatewayError as error:
                if error.code is not Code.BAD_REQUEST:
                    raise
                # The SDKs ask behind every page's last session, which may have been forgotten meanwhile: the oldest, or
                # one that came to nothing, behind which there is nothing to be listed.
                return found[:most]
            for record in page.records:
                if LABEL not in record.spec.labels and status in (None, status_of(record)[0]):
                    found.append(record)
            if len(found) >= most or page.next_cursor is None:
                return found[:most]
            cursor = page.next_cursor

    async def release(self, request: web.Request) -> web.Response:
        """POST /v1/sessions/ID/release and DELETE /v1/sessions/ID: whoever is connected is put off. Can be repeated."""
        check_query(request, frozenset())
        read(ReleaseBody, await json_body(request), "body")
        record = await session_of(request, self._registry)
        await self._registry.stop(request[PRINCIPAL], record.id, force=True, purge=False)
        return web.json_response(dumped(Released(message=f"session {record.id} is released", success=True)))

    async def release_all(self, request: web.Request) -> web.Response:
        """POST /v1/sessions/release: all that live, or those of one project."""
        principal = request[PRINCIPAL]
        check_query(request, frozenset({"projectId"}))
        body = read(ReleaseAllBody, await json_body(request), "body")
        project = body.project_id or request.query.get("projectId")
        found: list[SessionRecord] = []
        while batch := await self._records(
            principal.tenant, "live", project, found[-1].id if found else None, PAGE_MOST
        ):
            found += batch
        failed: list[str] = []

        async def release(record: SessionRecord) -> None:
            try:
                await self._fleetwide.stop(principal, record.id)
            except GatewayError as error:
                if error.code is not Code.SESSION_NOT_FOUND:  # it has ended by itself
                    failed.append(f"{record.id}: {error.message}")

        async with asyncio.TaskGroup() as group:
            for record in found:
                group.create_task(release(record))  # the group awaits them
        words = f"{len(found) - len(failed)} sessions are released"
        if failed:
            words = f"{words}; {len(failed)} could not be: {failed[0]}"
        return web.json_response(dumped(Released(message=words, success=not failed)))

    async def context(self, request: web.Request) -> web.Response:
        """GET /v1/sessions/ID/context: of the running browser, else what was saved last."""
        check_query(request, frozenset())
        principal, record = request[PRINCIPAL], await session_of(request, self._registry)
        if record.status.running:
            document = await (await self._registry.awake(principal, record.id)).context()
        else:
            source: Source = await self._registry.source(principal, record.id)
            document = await self._registry.means.vault.load_document(source.session, source.version)
        shaped, missing = written(document, Format.STEEL)
        if missing:
            log.info("context_incomplete", session=record.id, format="steel", missing=len(missing))
        return web.json_response(shaped)

    async def live_details(self, request: web.Request) -> web.Response:
        """GET /v1/sessions/ID/live-details: a look, which is no use of the session and wakes nobody."""
        check_query(request, frozenset())
        record = await session_of(request, self._registry)
        if record.status.ended:
            raise GatewayError(Code.SESSION_ENDED, f"session {record.id} has ended: {record.reason or record.status}")
        links = self._links(request)
        live = links.live(record)
        pages = [
            Page(
                id=target,
                title=title,
                url=url,
                favicon=None,
                session_viewer_url=live,
                session_viewer_fullscreen_url=live,
            )
            for target, title, url in await self._tabs(record)
        ]
        shown = LiveDetails(
            pages=pages,
            session_viewer_url=live,
            session_viewer_fullscreen_url=live,
            ws_url=links.websocket(record, _may_drive(request)),
        )
        return web.json_response(dumped(shown))

    async def _tabs(self, record: SessionRecord) -> list[tuple[str, str, str]]:
        """Ids, titles and URLs, oldest first; a browser that stands still is not asked for titles."""
        session = self._registry.live(record.id)
        if session is None or (browser := session.browser) is None:
            return []
        titles: dict[str, str] = {}
        if not session.parked:
            try:
                async with asyncio.timeout(TITLES):
                    titles = {info["targetId"]: info["title"] for info in await browser.targets()}
            except TimeoutError:
                pass  # it hangs, or has just been parked: what was known of it is told
        return [(target, titles.get(target, ""), url) for target, url in tuple(browser.pages.items())]

    async def events(self, request: web.Request) -> web.Response:
        """GET /v1/sessions/ID/events: oldest first. `pointer` is the header Next-Cursor of the answer before."""
        check_query(request, frozenset({"limit", "pointer", "compressed"}))
        compressed = request.query.get("compressed", "false")
        if compressed not in ("true", "false"):
            raise GatewayError(Code.BAD_REQUEST, "compressed: true or false is wanted")
        record = await session_of(request, self._registry)
        found = events_of(record)
        begin, limit = _number(request, "pointer", 0), _number(request, "limit", len(found))
        page = found[begin : begin + limit]
        headers = {"Next-Cursor": str(begin + limit)} if begin + limit < len(found) else {}
        response = web.json_response([dumped(event) for event in page], headers=headers)
        if compressed == "true":
            response.enable_compression()  # as far as whoever asks takes it
        return response

    # --- within ---

    def _links(self, request: web.Request) -> Links:
        return links_of(request, self._access, self._external_url)

    async def _shape(self, request: web.Request, record: SessionRecord) -> dict[str, Any]:
        used, live = record.used, self._registry.live(record.id)
        if live is not None and live.browser is not None:
            used = used.plus(await self._registry.means.used(live.browser))
        total = used.bytes_in + used.bytes_out
        return dumped(session_shape(record, self._links(request), total, secret=_may_drive(request)))

    async def _shown(self, request: web.Request, record: SessionRecord, status: int = 200) -> web.Response:
        return web.json_response(await self._shape(request, record), status=status)


def _may_drive(request: web.Request) -> bool:
    return request[PRINCIPAL].role is not Role.VIEWER


def _number(request: web.Request, name: str, usual: int) -> int:
    text = request.query.get(name)
    if text is None:
        return usual
    if not text.isdecimal() or len(text) > 9:
        raise GatewayError(Code.BAD_REQUEST, f"{name}: a whole number is wanted")
    return int(text)
