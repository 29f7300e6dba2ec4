"""From a running browser to a context document, without disturbing its pages. The mirror image of `restore.py`.

Nothing of it can be seen by a page: reading happens in isolated worlds, and origins that no page has open are read
in a hidden empty page. A page that hangs costs its own time limit, no more, and is named in `missing`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

from browser_pool.devtools import DevTools, DevToolsGone, Params
from gateway.errors import GatewayError
from gateway.snapshot.document import ContextDocument, Cookie, origin_of
from gateway.snapshot.origins import known_origins
from gateway.snapshot.parsing import cookie
from gateway.snapshot.reading import FAILURES, Reading
from gateway.snapshot.tabs import Target, opened, pages_of, silent, tabs_of

TARGET_LIMIT = 3.0  # seconds for one page, one frame process, one origin to answer
DATABASES_LIMIT = 10.0  # seconds for the IndexedDB of one origin, beyond that
LIMIT = 20.0  # seconds for all of it, about


async def capture(
    devtools: DevTools,
    *,
    profile: Path | None = None,
    visited: Iterable[str] = (),
    unopened: bool = True,
    target_limit: float = TARGET_LIMIT,
    limit: float = LIMIT,
) -> ContextDocument:
    """Cookies, tabs, storage and permissions as they are now; `profile` (the user-data-dir) tells of origins that are
    not open.

    `visited` are URLs or origins known otherwise: what a page has just stored is in the profile only seconds later.

    Cookies and storage are those of the default context: pages of other contexts (Playwright's `newContext()`) are
    among the tabs, since Playwright too folds them together after a reconnect, but their cookies and storage are not.
    The storage of a third party's frame is the page's own (partitioned) and not in the document, except for session
    storage. `unopened` False leaves out the origins that no page has open (`missing` says so): they need a hidden page,
    which drivers connected to a headless shell take for a new page of theirs; in the full browser they do not.
    Limits in seconds. Raises DevToolsError and DevToolsGone when the browser itself does not answer.
    """
    deadline = asyncio.get_running_loop().time() + limit
    jar, lost = cookies_of((await devtools.send("Storage.getCookies", timeout=limit))["cookies"])
    reading = Reading(devtools)
    await reading.discover(limit)
    async with asyncio.TaskGroup() as group:
        for target in reading.targets.values():
            group.create_task(_look(devtools, reading, target, target_limit))
    if devtools.closed.is_set():
        raise DevToolsGone("the browser went away while its context was read")
    pages = pages_of(reading.targets.values())
    lost += [silent(page) for page in pages if page.failed and origin_of(page.url)]
    known = await asyncio.to_thread(known_origins, profile) if profile is not None else []
    names = (*opened(pages), *known, *map(origin_of, visited))
    wanted = [name for name in dict.fromkeys(names) if name and not reading.origin(name).known]
    if wanted and unopened and (why := await reading.unopened(wanted, target_limit, DATABASES_LIMIT, deadline)):
        lost.append(why)
    lost += [f"{name}: {words}" for name, origin in reading.origins.items() for words in origin.databases.lost]
    lost += [f"storage of {name}: it was not read" for name in wanted if not reading.origin(name).known]
    return ContextDocument(
        cookies=jar,
        origins=reading.states(),
        tabs=tabs_of(reading.targets.values()),
        permissions=reading.permissions(),
        missing=tuple(lost),
    )


async def _look(devtools: DevTools, reading: Reading, target: Target, limit: float) -> None:
    try:
        async with devtools.attached(target.id) as session:
            target.session = session
            await reading.look(target, limit, DATABASES_LIMIT)
    except FAILURES:
        target.failed = True  # told to the caller by `capture`


def cookies_of(values: Sequence[Params]) -> tuple[tuple[Cookie, ...], list[str]]:
    """CDP's cookies as the document has them, and what was lost, in words."""
    found, lost = [], []
    for value in values:
        if value.get("partitionKeyOpaque"):  # without its key it would become everybody's cookie
            lost.append(f"cookie {value['name']} of {value['domain']}: its partition has no name")
            continue
        try:
            found.append(cookie(value, "it"))
        except GatewayError as error:
            lost.append(f"cookie {value['name']} of {value['domain']}: {error.message}")
    return tuple(found), lost
