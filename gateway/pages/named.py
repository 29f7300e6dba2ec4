"""The tenant's named sessions: made on first use, one request at a time, saved after each, forgotten after a day.

A named session is an API session of that name like any other: it can be listed, driven and stopped by its id, too.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog
from playwright.async_api import BrowserContext, Page
from playwright.async_api import Error as PlaywrightError

from browser_pool.devtools import DevToolsError, DevToolsGone
from browser_pool.spec import LaunchSpec
from browser_pool.tasks import to_the_end
from gateway.egress.lent import Loan
from gateway.errors import Code, GatewayError
from gateway.identity.launch import launch as dressed
from gateway.pages.changed import changed
from gateway.pages.jar import Jar
from gateway.pages.line import Line
from gateway.pages.plain import Whose, lent
from gateway.pages.service import Pages
from gateway.pages.visit import opened
from gateway.records import Identity, Kind, Limits, SessionId, SessionRecord, SessionSpec, Status, is_session_id
from gateway.session.asleep import context_of, made_asleep, resaved
from gateway.session.registry import Registry
from gateway.session.session import Session
from gateway.session.spent import spent
from gateway.snapshot.capture import cookies_of
from gateway.snapshot.document import ContextDocument, Cookie
from gateway.snapshot.restore import cookie_param
from gateway.store.base import Query
from gateway.tenancy.access import Principal, Role

IDLE = 86400.0  # seconds without a request after which a session is forgotten
WAITING = 20  # requests that may wait for one session
PATIENCE = 120.0  # seconds that each may
TRIES = 3  # to find a session that is ended, or put away, at the same time
STOP = 2.0  # seconds for a page to stop loading
LOST = (Code.NOT_RUNNING, Code.SESSION_ENDED, Code.SESSION_NOT_FOUND)

T = TypeVar("T")
Entered = TypeVar("Entered")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Named:
    """A session by the tenant's own name for it. `identity` is what a request asks for, None if it asks for none."""

    tenant: str
    name: str
    identity: Identity | None = None


class NamedSessions:
    """Of all tenants. `limits` are the gateway's own."""

    def __init__(self, registry: Registry, pages: Pages, limits: Limits) -> None:
        self._registry = registry
        self._pages = pages
        self._limits = limits
        self._lines: dict[tuple[str, str], Line] = {}

    async def on_page(self, named: Named, work: Callable[[Page], Awaitable[T]]) -> tuple[T, bool]:
        """What `work` makes of the session's page, which stays where it leaves it; and whether its state has changed.

        Raises GatewayError: DRIVER_CONNECTED (409) while somebody drives it, IDENTITY_DIFFERS (409), and what `work`
        raises, with `session` among its details.
        """
        async with self._turn(named), AsyncExitStack() as stack:
            session, remote = await self._driven(named, stack, self._pages.within)
            context = remote.contexts[0]
            page = context.pages[0] if context.pages else await opened(context)
            before, there = await session.context(), list(context.pages)
            try:
                made = await work(page)
            except asyncio.CancelledError:
                await to_the_end(_stopped(page))
                raise
            except GatewayError as error:
                await _stopped(page)
                await _closed(context, there)
                updated = await _kept_in_spite(session, before)
                raise _with_session(error, named.name, updated) from error
            finally:
                await to_the_end(_closed(context, there))
            return made, await _kept(session, before)

    async def on_cookies(self, named: Named, work: Callable[[Whose, Jar], Awaitable[T]]) -> tuple[T, bool]:
        """The same with the session's cookies alone: where its browser is put away, none is started for it."""
        async with self._turn(named):
            record = await self._found(named) or await self._made_asleep(named)
            _check(record, named)
            await self._renewed(record)
            live = self._registry.live(record.id)
            if live is None and (found := await self._on_saved(record, work)) is not None:
                return found
            async with AsyncExitStack() as stack:
                session, _ = await self._driven(named, stack, Session.attach)
                return await _on_browser(session, work)

    async def _on_saved(
        self, record: SessionRecord, work: Callable[[Whose, Jar], Awaitable[T]]
    ) -> tuple[T, bool] | None:
        """None where only a browser can tell what there is."""
        document = await context_of(self._registry, record)
        if document.stale:
            return None
        jar = Jar(document.cookies)
        made = await self._sent(record, work, jar)
        before, after = document.cookies, jar.cookies
        updated = _differ(before, after)
        if set(before) == set(after) or await resaved(
            self._registry, record, lambda now: merged(now, before, after), "request"
        ):
            return made, updated
        # Somebody has woken it meanwhile, and drives it perhaps: what came is put in beside them.
        async with self._registry.beside(_principal(record.spec.tenant), record.id) as session:
            await _put(session, before, after)
        return made, updated

    async def _sent(self, record: SessionRecord, work: Callable[[Whose, Jar], Awaitable[T]], jar: Jar) -> T:
        """`work` on the road that is kept for the session: what it uses is the session's, also where it fails."""
        spec, means = record.spec, self._registry.means
        async with lent(means, spec.tenant, spec.egress, record.id) as loan:
            try:
                return await work(_whose(record, road=loan.ready.result()), jar)
            finally:
                await to_the_end(self._charged(record, loan))

    async def _charged(self, record: SessionRecord, loan: Loan) -> None:
        await spent(self._registry, record.id, await self._registry.means.egress.lent.spent(loan))

    # --- which session ---

    @asynccontextmanager
    async def _turn(self, named: Named) -> AsyncIterator[None]:
        key = (named.tenant, named.name)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(1, PATIENCE, lambda: self._lines[key].waiting >= WAITING)
        try:
            async with AsyncExitStack() as stack:
                try:
                    await stack.enter_async_context(line.turn())
                except GatewayError as error:
                    words = f"too many requests wait for the session {named.name[:80]!r}"
                    raise GatewayError(error.code, words, retry_after=error.retry_after) from None
                yield
        finally:
            if line.empty and self._lines.get(key) is line:
                del self._lines[key]

    async def _driven(
        self, named: Named, stack: AsyncExitStack, enter: Callable[[Session], AbstractAsyncContextManager[Entered]]
    ) -> tuple[Session, Entered]:
        """The session, made if there is none, with us in its driver's seat for as long as the stack lasts."""
        for last in (False,) * (TRIES - 1) + (True,):
            try:
                record = await self._found(named)
                if record is None:
                    session = await self._created(named)
                else:
                    _check(record, named)
                    await self._renewed(record)
                    session = await self._registry.session(_principal(named.tenant), record.id)
                return session, await stack.enter_async_context(enter(session))
            except GatewayError as error:
                if last or error.code not in LOST:
                    raise
        raise AssertionError("not reached")

    async def _found(self, named: Named) -> SessionRecord | None:
        """By its name; one that was made through another door, by its id."""
        if is_session_id(named.name):
            try:
                record = await self._registry.find(_principal(named.tenant), SessionId(named.name))
            except GatewayError as error:
                if error.code is not Code.SESSION_NOT_FOUND:
                    raise
            else:
                if record.spec.name is None and not record.status.ended:
                    return record
        return await self._registry.named(named.tenant, named.name)

    async def _created(self, named: Named) -> Session:
        spec, context = await self._spec(named)
        try:
            return await self._registry.created(spec, context)
        except GatewayError as error:
            if error.code is Code.NAME_IN_USE:
                await self._registry.faster(named.tenant, named.name)  # it is found there, then
            raise

    async def _made_asleep(self, named: Named) -> SessionRecord:
        spec, context = await self._spec(named)
        return await made_asleep(self._registry, spec, context)

    async def _spec(self, named: Named) -> tuple[SessionSpec, ContextDocument | None]:
        """What a new one is to be: as the last one of that name, unless that was forgotten."""
        limits = self._registry.means.quotas.limits(named.tenant, self._limits)
        ttl = min(IDLE, limits.ttl_max)
        page = await self._registry.page(Query(named.tenant, None, named.name, limit=1))
        last = page.records[0] if page.records else None
        if last is not None and last.status is not Status.EXPIRED:
            identity = named.identity or last.spec.identity
            launch = last.spec.launch if identity == last.spec.identity else dressed(identity, LaunchSpec())
            spec = replace(
                last.spec, kind=Kind.API, launch=launch, identity=identity, persist=True, source=None, url=None
            )
            return replace(spec, ttl=ttl, keep=min(spec.keep, limits.ttl_max)), None
        spec = SessionSpec(
            tenant=named.tenant,
            kind=Kind.API,
            launch=dressed(named.identity, LaunchSpec()),
            ttl=ttl,
            keep=limits.keep,
            persist=True,
            name=named.name,
            park=limits.park,
            checkpoint=limits.checkpoint,
            identity=named.identity,
        )
        return spec, None if last is None else ContextDocument()

    async def _renewed(self, record: SessionRecord) -> None:
        """Another day from now, or as long as its tenant may; one of another door keeps its own end."""
        if record.spec.name is None:
            return
        limits = self._registry.means.quotas.limits(record.spec.tenant, self._limits)
        ttl = min(IDLE, limits.ttl_max)
        if record.expires_at < time.time() + ttl:
            await self._registry.amend(_principal(record.spec.tenant), record.id, ttl=ttl, keep=None, labels=None)


def _principal(tenant: str) -> Principal:
    return Principal(tenant, Role.USER)


def _check(record: SessionRecord, named: Named) -> None:
    if named.identity is not None and named.identity != record.spec.identity:
        words = "its identity was fixed when it was first used, and is another one: leave it out, or use another id"
        raise GatewayError(Code.IDENTITY_DIFFERS, f"session {named.name[:80]!r}: {words}")


def _whose(record: SessionRecord, agent: str | None = None, road: int | None = None) -> Whose:
    spec = record.spec
    return Whose(spec.tenant, spec.launch, spec.egress, spec.identity, agent, road)


def _with_session(error: GatewayError, name: str, updated: bool) -> GatewayError:
    details = {**error.details, "session": {"id": name, "updated": updated}}
    return GatewayError(error.code, error.message, retry_after=error.retry_after, details=details)


async def _stopped(page: Page) -> None:
    """A page that still loads would keep the next request waiting."""
    with suppress(PlaywrightError, TimeoutError):  # it is gone, or hangs: the next request is told
        async with asyncio.timeout(STOP):
            cdp = await page.context.new_cdp_session(page)
            await cdp.send("Page.stopLoading")
            await cdp.detach()


async def _closed(context: BrowserContext, there: list[Page]) -> None:
    """Windows that the site has opened go with the request."""
    for page in context.pages:
        if page not in there:
            with suppress(PlaywrightError, TimeoutError):  # it is gone already, or hangs and goes with the browser
                async with asyncio.timeout(STOP):
                    await page.close()


async def _kept(session: Session, before: ContextDocument) -> bool:
    after = await session.context()
    if not changed(before, after, time.time()):
        return False
    if session.record.spec.persist:
        await session.snapshot("request")
    return True


async def _kept_in_spite(session: Session, before: ContextDocument) -> bool:
    """After a failure, which is what the caller shall be told of."""
    try:
        return await _kept(session, before)
    except GatewayError as error:
        log.warning("session_not_saved", session=session.record.id, error=error.message)
        return False


# --- cookies ---


async def _on_browser(session: Session, work: Callable[[Whose, Jar], Awaitable[T]]) -> tuple[T, bool]:
    async with session.used() as browser:
        try:
            before, _ = cookies_of((await browser.devtools.send("Storage.getCookies"))["cookies"])
        except (DevToolsError, DevToolsGone) as error:
            raise GatewayError(Code.BROWSER_FAILED, f"the session's browser does not answer: {error}") from error
        jar = Jar(before)
        road = None if browser.road is None else browser.road.port
        made = await work(_whose(session.record, browser.version.get("userAgent"), road), jar)
    after = jar.cookies
    if set(before) != set(after):
        await _put(session, before, after)
    return made, _differ(before, after)


async def _put(session: Session, before: tuple[Cookie, ...], after: tuple[Cookie, ...]) -> None:
    """Into the running browser: those that have come or changed, and those that have gone out of it. Then save it."""
    gone = [replace(one, value="", expires=1.0) for one in before if _place(one) not in map(_place, after)]
    new = [*gone, *(one for one in after if one not in before)]
    async with session.used() as browser:
        for cookie in new:
            try:
                await browser.devtools.send("Storage.setCookies", {"cookies": [cookie_param(cookie)]})
            except DevToolsError:
                log.info("cookie_not_taken", session=session.record.id)  # the browser's rules are stricter than ours
            except DevToolsGone as error:
                raise GatewayError(Code.BROWSER_FAILED, f"the session's browser is gone: {error}") from error
    if session.record.spec.persist:
        await session.snapshot("request")


def merged(now: ContextDocument, before: tuple[Cookie, ...], after: tuple[Cookie, ...]) -> ContextDocument:
    """`now`, with what has become of its cookies from `before` to `after`."""
    places = {_place(cookie): cookie for cookie in now.cookies}
    for cookie in before:
        places.pop(_place(cookie), None)
    return replace(now, cookies=tuple({**places, **{_place(cookie): cookie for cookie in after}}.values()))


def _place(cookie: Cookie) -> tuple[object, ...]:
    return (cookie.domain, cookie.path, cookie.name, cookie.partition_key)


def _differ(before: tuple[Cookie, ...], after: tuple[Cookie, ...]) -> bool:
    return changed(ContextDocument(cookies=before), ContextDocument(cookies=after), time.time())
