"""One browser of a session: leased, filled from what was saved, and saved again when it is put away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from browser_pool.browser import Browser, Work
from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone
from browser_pool.errors import BrowserFailed, NoRoom
from browser_pool.extensions import ExtensionRefused
from browser_pool.spec import Mode
from browser_pool.tasks import running
from gateway.adblock.blocking import blocking
from gateway.adblock.thrift import thrifty
from gateway.errors import Code, GatewayError
from gateway.identity.keeper import Keeper, keeping
from gateway.records import SessionId, SessionRecord, Source
from gateway.session.means import Means
from gateway.session.precedence import Precedence
from gateway.session.source import readable
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.restore import Pages, restoring
from gateway.snapshot.vault import Vault
from gateway.store.codec import locked

log = structlog.get_logger()
GIVE_WAY = 1.0  # seconds that pages wait for other sessions to be made


@dataclass(frozen=True, slots=True)
class Incarnation:
    """A browser with the session's context in it; `known` is what it need not be asked about.

    Its pages begin to load when `answered` is set: who waits for the session need not wait for them. `shown` is set
    when they are there.
    """

    browser: Browser
    known: ContextDocument
    keeper: Keeper | None
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    shown: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def incarnated(record: SessionRecord, means: Means) -> AsyncIterator[Incarnation]:
    """A browser with the session's context in it, for this block. Raises GatewayError."""
    _opened(record)
    if record.spec.persist:  # from now on nobody else saves it: what is read next is the last there will be
        await means.vault.claim(record.id, record.incarnation)
    source, launch, filled = await readable(record, means.vault), record.spec.launch, False
    profiled = source is not None and await _has_profile(source, launch.mode, means.vault)
    # What origins have stored is in the profile: reading it from the document as well would take as long again.
    stored = not profiled
    document = await means.vault.load_document(source.session, source.version, storage=stored) if source else None
    if source is not None and profiled and document is not None and document.overlay:
        document = await means.vault.load_document(source.session, source.version)

    async def unpack(profile: Path) -> Work:
        nonlocal filled
        assert source is not None
        session, version = source.session, source.version
        filled = await means.vault.unpack_profile(session, version, profile, late=False)

        async def rest() -> None:
            await means.vault.unpack_profile(session, version, profile, late=True)

        return rest

    unwanted = await means.filters.engine() if record.spec.block_ads else None
    unwanted = thrifty(record.spec.thrift, unwanted)
    async with AsyncExitStack() as stack:
        if means.placed:
            stack.enter_context(means.slots.kept(record.spec.tenant))
        else:
            await stack.enter_async_context(means.slots.taken(record.spec.tenant, again=record.incarnation > 1))
        ready = stack.enter_context(means.precedence.preparing())
        pages = None
        try:
            lease = means.pool.lease(launch, fill=unpack if profiled else None, owner=record.id)
            browser = await stack.enter_async_context(lease)
            await means.lead(browser, record.spec)
            first = record.incarnation <= 1
            await stack.enter_async_context(means.files.within(record.id, browser, first=first))
            held = keeping(browser.devtools, record.spec.identity, stealth=record.spec.launch.stealth)
            keeper = await stack.enter_async_context(held)
            if unwanted is not None:
                await stack.enter_async_context(blocking(browser.url, unwanted))
            if document is not None:
                tell = partial(_tell, record.id)
                context = restoring(browser.devtools, document, storage=not filled, tell=tell)
                pages = await stack.enter_async_context(context)
                browser.visited.update(state.origin for state in document.origins)
            if record.spec.url is not None and (document is None or not document.tabs):
                await _open(browser.devtools, record.spec.url)
        except ExtensionRefused as error:
            raise GatewayError(Code.FLAG_REFUSED, str(error)) from error
        except NoRoom as error:
            raise GatewayError(Code.TOO_MANY_SESSIONS, str(error), retry_after=5) from error
        except (BrowserFailed, DevToolsError, DevToolsGone) as error:
            raise GatewayError(Code.BROWSER_FAILED, str(error)) from error
        made = Incarnation(browser, _known(document, storage=not filled), keeper)
        await stack.enter_async_context(running(_show(made, pages, ready, means.precedence), "pages"))
        yield made


def _opened(record: SessionRecord) -> None:
    """Raises GatewayError where the record has what cannot be used."""
    if locked(record.spec):
        words = "a proxy's password or a header is sealed with a key that the gateway lacks: add it to encryption_key"
        raise GatewayError(Code.SNAPSHOT_UNREADABLE, words)


async def _show(made: Incarnation, pages: Pages | None, ready: Callable[[], None], precedence: Precedence) -> None:
    try:
        await made.answered.wait()
        ready()
        if pages is not None:
            await precedence.give_way(GIVE_WAY)
            pages.show()
            await pages.shown.wait()
    finally:
        made.shown.set()


def _tell(session: SessionId, words: str) -> None:
    log.warning("not_restored", session=session, what=words)


@asynccontextmanager
async def adopted(record: SessionRecord, means: Means) -> AsyncIterator[Incarnation]:
    """The session's browser, which an earlier process of ours left running, for this block, as `incarnated`.

    Raises GatewayError when it does not answer; what it had written by then can be `salvaged`.
    """
    _opened(record)
    unwanted = await means.filters.engine() if record.spec.block_ads else None
    unwanted = thrifty(record.spec.thrift, unwanted)
    async with AsyncExitStack() as stack:
        stack.enter_context(means.slots.kept(record.spec.tenant))
        try:
            browser = await stack.enter_async_context(means.pool.adopted(record.id))
            await means.lead(browser, record.spec)
            await stack.enter_async_context(means.files.within(record.id, browser, first=True))
            held = keeping(browser.devtools, record.spec.identity, stealth=record.spec.launch.stealth)
            keeper = await stack.enter_async_context(held)
            if unwanted is not None:
                await stack.enter_async_context(blocking(browser.url, unwanted))
        except (BrowserFailed, DevToolsError, DevToolsGone) as error:
            raise GatewayError(Code.BROWSER_FAILED, str(error)) from error
        last = None
        if record.snapshot is not None:
            try:
                last = await means.vault.load_document(record.id, record.snapshot, storage=False)
            except GatewayError as error:
                log.warning("snapshot_not_read", session=record.id, error=error.message)
        made = Incarnation(browser, _known(last, storage=False), keeper)
        made.shown.set()
        yield made


def _known(document: ContextDocument | None, *, storage: bool) -> ContextDocument:
    """What a browser need not be asked about; without `storage` its profile may have other than `document`."""
    if document is None:
        return ContextDocument()
    return ContextDocument(origins=document.origins if storage else (), permissions=document.permissions)


async def _has_profile(source: Source, mode: Mode, vault: Vault) -> bool:
    """Whether the snapshot has a profile that this kind of browser can read."""
    info = next((info for info in await vault.list(source.session) if info.version == source.version), None)
    return info is not None and info.has_profile and info.kind == mode.kind


async def _open(devtools: DevTools, url: str) -> None:
    """Begin to load `url` in the first page. A page that cannot be loaded shows it as it would to anyone."""
    targets = (await devtools.send("Target.getTargets"))["targetInfos"]
    page = next(target["targetId"] for target in targets if target["type"] == "page")
    async with devtools.attached(page) as session:
        # Answered once the navigation is committed or has failed: a slow server shall not fail the create.
        with suppress(DevToolsGone):
            failed = "errorText" in await devtools.send("Page.navigate", {"url": url}, session=session, timeout=3)
            if failed:
                await _shown(devtools, session)


async def _shown(devtools: DevTools, session: str) -> None:
    """Return once the tab is at its page that says why the other could not be loaded: a moment after the reply.

    No event tells of it in the tab's history, from which the tab is saved.
    """
    try:
        async with asyncio.timeout(1):
            while True:
                with suppress(DevToolsError):  # in the moment between two pages there is none to ask
                    history = await devtools.send("Page.getNavigationHistory", session=session)
                    if history["entries"][history["currentIndex"]]["url"] not in ("", "about:blank"):
                        return
                await asyncio.sleep(0.005)
    except TimeoutError:
        pass  # a URL that no page can be at
