"""What is kept of a session's browser: while it runs, when it is put away, and when it ended without us."""

import asyncio
import shutil
import time
from collections.abc import Iterable
from dataclasses import replace

import structlog

from browser_pool.browser import Browser
from gateway.errors import Code, GatewayError
from gateway.records import SessionRecord
from gateway.session.life import Cause
from gateway.session.means import Means
from gateway.session.source import readable
from gateway.snapshot.document import ContextDocument, Tab
from gateway.snapshot.folder import instant
from gateway.snapshot.settle import written
from gateway.snapshot.vault import SnapshotInfo

log = structlog.get_logger()


async def saved(
    record: SessionRecord, browser: Browser, last: ContextDocument | None, cause: Cause, means: Means
) -> SnapshotInfo:
    """Keep a browser that is put away; at the end it has ended. Raises GatewayError.

    With its `last` words it is asked to end, which makes it write its profile. One that crashed or hangs (None) leaves
    what it had written by then.
    """
    profile, kind = browser.directory.profile, browser.mode.kind
    if last is not None:
        await written(browser)
        if not await browser.close():
            log.warning("browser_not_closed_gently", session=record.id, reason=browser.reason)
    await browser.kill()  # files still being written are worth nothing
    document = await _remembered(record, browser.pages.values(), means) if last is None else last
    reason, fence = cause.word, record.incarnation
    try:
        return await means.save(record, document, profile=profile, kind=kind, reason=reason, fence=fence)
    except GatewayError as error:
        if (version := error.details.get("savedHere")) is not None:
            # All of it is on this node's disk; what nodes share has it as soon as that can be reached (`Vault.share`).
            log.warning("snapshot_not_shared", session=record.id, version=version, error=error.message)
            return SnapshotInfo(record.id, version, instant(time.time()), 0, reason, kind, False, fence=fence)
        if last is None or error.code is not Code.SAVE_FAILED:
            raise
        # A full disk: the profile itself takes the room, and the document alone is small and has the login.
        log.warning("profile_not_saved", session=record.id, error=error.message)
        await asyncio.to_thread(shutil.rmtree, profile, ignore_errors=True)
    return await means.save(record, last, profile=None, kind=kind, reason=reason, fence=fence)


async def _remembered(record: SessionRecord, urls: Iterable[str] | None, means: Means) -> ContextDocument:
    """What goes with the profile of a browser that cannot be asked any more.

    `urls` are the pages that were open, where that is known; their sessionStorage, session cookies and what else the
    profile has not are those of the last snapshot. One that was taken while that browser ran is no older than the
    checkpoint's interval, while Chromium writes cookies every 30 s and localStorage up to a minute late: it overlays
    the profile. Beside an older one the profile stands.
    """
    source = await readable(record, means.vault)
    if source is None:
        return ContextDocument(stale=True)
    last = await means.vault.load_document(source.session, source.version)
    infos = await means.vault.list(source.session)
    fence = next((info.fence for info in infos if info.version == source.version), None)
    overlay = source.session == record.id and fence == record.incarnation
    tabs = last.tabs if urls is None else reopened(last.tabs, urls)
    return replace(last, tabs=tabs, stale=not overlay, overlay=overlay)


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


async def snapshot(
    record: SessionRecord, document: ContextDocument, means: Means, *, reason: str, checkpoint: bool = False
) -> SnapshotInfo:
    """Save what was captured of a browser that goes on running. Raises GatewayError."""
    kind, fence = record.spec.launch.mode.kind, record.incarnation
    return await means.save(
        record, document, profile=None, kind=kind, reason=reason, checkpoint=checkpoint, fence=fence
    )


async def salvaged(record: SessionRecord, means: Means) -> SnapshotInfo:
    """Save the profile that the session's browser left when it ended with an earlier process of ours."""
    kind = record.spec.launch.mode.kind
    async with means.pool.salvaged(record.id) as directory:
        await means.files.collect(record.id, directory)
        document = await _remembered(record, None, means)
        info = await means.save(
            record,
            document,
            profile=directory.profile,
            kind=kind,
            reason="gateway_killed",
            fence=record.incarnation,
        )
    if record.spec.persist_profile and means.kept is not None:
        await means.kept(record, info)
    return info
