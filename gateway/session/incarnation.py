"""One browser of a session: leased, filled from what was saved, and saved again when it is put away."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from browser_pool.browser import Browser
from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone
from browser_pool.errors import BrowserFailed, NoRoom
from browser_pool.extensions import ExtensionRefused
from browser_pool.pool import BrowserPool
from browser_pool.spec import Mode
from gateway.errors import Code, GatewayError
from gateway.records import SessionRecord, Source
from gateway.session.life import Cause, Save
from gateway.snapshot.capture import capture
from gateway.snapshot.document import ContextDocument, Tab
from gateway.snapshot.restore import restore
from gateway.snapshot.vault import SnapshotInfo, Vault
from gateway.tenancy.queue import Slots

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Means:
    """What every session needs to have a browser and to be saved."""

    pool: BrowserPool
    slots: Slots
    vault: Vault


def source_of(record: SessionRecord) -> Source | None:
    """What a new browser of this session starts from: its own last snapshot, else what it was made from."""
    if record.snapshot is not None:
        return Source(record.id, record.snapshot)
    return record.spec.source


@asynccontextmanager
async def incarnated(record: SessionRecord, means: Means) -> AsyncIterator[Browser]:
    """A browser with the session's context in it, for this block. Raises GatewayError."""
    source, launch, filled = source_of(record), record.spec.launch, False
    document = await means.vault.load_document(source.session, source.version) if source is not None else None

    async def unpack(profile: Path) -> None:
        nonlocal filled
        assert source is not None
        filled = await means.vault.unpack_profile(source.session, source.version, profile)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(means.slots.taken())
        try:
            fill = unpack if source is not None and await _has_profile(source, launch.mode, means.vault) else None
            browser = await stack.enter_async_context(means.pool.lease(launch, fill=fill))
            if document is not None:
                for lost in await restore(browser.devtools, document, storage=not filled):
                    log.warning("not_restored", session=record.id, what=lost)
                browser.visited.update(state.origin for state in document.origins)
            if record.spec.url is not None and (document is None or not document.tabs):
                await _open(browser.devtools, record.spec.url)
        except ExtensionRefused as error:
            raise GatewayError(Code.FLAG_REFUSED, str(error)) from error
        except NoRoom as error:
            raise GatewayError(Code.TOO_MANY_SESSIONS, str(error), retry_after=5) from error
        except (BrowserFailed, DevToolsError, DevToolsGone) as error:
            raise GatewayError(Code.BROWSER_FAILED, str(error)) from error
        yield browser


async def _has_profile(source: Source, mode: Mode, vault: Vault) -> bool:
    """Whether the snapshot has a profile that this kind of browser can read."""
    info = next((info for info in await vault.list(source.session) if info.version == source.version), None)
    return info is not None and info.has_profile and info.kind == mode.kind


async def saved(record: SessionRecord, browser: Browser, save: Save, cause: Cause, means: Means) -> SnapshotInfo | None:
    """Keep what `save` says of a browser that is put away; at the end it has ended. Raises GatewayError.

    While it still answers, its context is captured and it is asked to end, which makes it write its
    profile. One that crashed or hangs leaves what it had written by then.
    """
    if save is Save.NOTHING:
        return None
    profile, kind = browser.directory.profile, browser.mode.kind
    answered = await _last_words(record, browser) if save is Save.CONTEXT else None
    await browser.kill()  # files still being written are worth nothing
    document = await _remembered(record, browser, means) if answered is None else answered
    try:
        return await means.vault.save(record.id, document, profile=profile, kind=kind, reason=cause.word)
    except GatewayError as error:
        if answered is None or error.code is not Code.SAVE_FAILED:
            raise
        # A full disk: the profile itself takes the room, and the document alone is small and has the login.
        log.warning("profile_not_saved", session=record.id, error=error.message)
        await asyncio.to_thread(shutil.rmtree, profile, ignore_errors=True)
    return await means.vault.save(record.id, answered, profile=None, kind=kind, reason=cause.word)


async def _last_words(record: SessionRecord, browser: Browser) -> ContextDocument | None:
    """The context of a browser that is then asked to end; None if it does not answer."""
    try:
        document = await capture(browser.devtools, profile=browser.directory.profile, visited=browser.visited)
    except (DevToolsError, DevToolsGone) as error:
        log.warning("context_not_captured", session=record.id, error=str(error))
        return None
    if not await browser.close():
        log.warning("browser_not_closed_gently", session=record.id, reason=browser.reason)
    return document


async def _remembered(record: SessionRecord, browser: Browser, means: Means) -> ContextDocument:
    """What goes with the profile of a browser that cannot be asked any more.

    The profile has the newest of all that was written by then. Which pages were open is known; their
    sessionStorage, session cookies and what else the profile has not are those of the last snapshot.
    """
    source = source_of(record)
    last = await means.vault.load_document(source.session, source.version) if source else ContextDocument()
    return replace(last, tabs=reopened(last.tabs, browser.pages.values()), stale=True)


def reopened(tabs: Iterable[Tab], urls: Iterable[str]) -> tuple[Tab, ...]:
    """A tab for each of `urls`, in their order: each of `tabs` is taken once, for a page of its URL."""
    left = list(tabs)
    found = []
    for url in urls:
        tab = next((tab for tab in left if tab.url == url), None)
        if tab is not None:
            left.remove(tab)
        found.append(tab or Tab(url))
    return tuple(found)


async def captured(browser: Browser) -> ContextDocument:
    """The context of a browser that goes on running. Raises GatewayError."""
    try:
        return await capture(browser.devtools, profile=browser.directory.profile, visited=browser.visited)
    except (DevToolsError, DevToolsGone) as error:
        raise GatewayError(Code.SAVE_FAILED, f"the context could not be captured: {error}") from error


async def snapshot(record: SessionRecord, browser: Browser, reason: str, means: Means) -> SnapshotInfo:
    """Save the context of a browser that goes on running. Raises GatewayError."""
    document = await captured(browser)
    return await means.vault.save(record.id, document, profile=None, kind=browser.mode.kind, reason=reason)


async def _open(devtools: DevTools, url: str) -> None:
    """Begin to load `url` in the first page. A page that cannot be loaded shows it as it would to anyone."""
    targets = (await devtools.send("Target.getTargets"))["targetInfos"]
    page = next(target["targetId"] for target in targets if target["type"] == "page")
    async with devtools.attached(page) as session:
        # Answered once the navigation is committed or has failed: a slow server shall not fail the create.
        with suppress(DevToolsGone):
            await devtools.send("Page.navigate", {"url": url}, session=session, timeout=3)
