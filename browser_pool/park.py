"""Putting a browser to sleep and waking it: all its processes are stopped (SIGSTOP), and use no processor time.

What its pages hold stays as it is: JavaScript heap, canvas, WebGL. Of the garbage among it they let go before.
Chromium has more ways to let go of memory, none of which will do: `Memory.forciblyPurgeJavaScriptMemory` destroys the
page's JavaScript with it, and `Memory.simulatePressureNotification` does nothing where it is headless.
"""

import asyncio
import os
import signal
import time
from contextlib import suppress
from weakref import WeakKeyDictionary

from browser_pool.browser import Browser
from browser_pool.devtools import DevToolsError, DevToolsGone
from browser_pool.errors import BrowserFailed
from browser_pool.procfs import Process, Tree, members, seen, wake
from browser_pool.tasks import to_the_end

TIDY = 2.0  # seconds for all pages to collect their garbage; one that is busy keeps what it has
STOP = 2.0  # seconds until all processes are stopped; a disk that hangs can keep one from it
LOOK = 0.002  # seconds between looks at them
STOPPED = (b"T", b"t")

# The processes of those that we have stopped. A pid that was given to another since does no harm: it runs.
_stopped: "WeakKeyDictionary[Browser, list[int]]" = WeakKeyDictionary()


class NotParked(BrowserFailed):
    """A process of the browser did not stop: all of them run again."""


async def freeze(browser: Browser) -> None:
    """Stop it, once its pages have let go of their garbage; one that is stopped already stays so.

    Raises NotParked. When that or anything else goes wrong, a cancel among it, it runs on as if nothing had been.
    """
    tree = _tree(browser)
    if browser.gone.is_set() or tree is None:
        return
    try:
        if not parked(browser):
            await tidy(browser)
        _stopped[browser] = await to_the_end(asyncio.to_thread(_stop, tree))
    except BaseException:  # whatever it was: half a browser must not stay stopped
        _stopped.pop(browser, None)
        await to_the_end(asyncio.to_thread(wake, tree))
        raise


async def thaw(browser: Browser) -> None:
    """Let all of it run again. It answers a few ms later. Harmless where it runs, or is gone."""
    tree = _tree(browser)
    if browser.gone.is_set() or tree is None:
        return
    known = _stopped.pop(browser, None)
    if known is None:  # not by us: the process that had it before
        await to_the_end(asyncio.to_thread(wake, tree))
        return
    # While all of them stood still there was nobody to begin another. So no search: somebody waits.
    for pid in known:
        with suppress(ProcessLookupError):  # it was ended meanwhile
            os.kill(pid, signal.SIGCONT)


def parked(browser: Browser) -> bool:
    """Whether its main process is stopped: nothing that it is asked would be answered."""
    main = seen(browser.pid)
    return main is not None and main.state in STOPPED


async def tidy(browser: Browser) -> None:
    """Have all pages collect their garbage (HeapProfiler.collectGarbage), within TIDY seconds."""
    async with asyncio.TaskGroup() as group:
        for page in tuple(browser.pages):
            group.create_task(_collect(browser, page))  # the group awaits it


async def _collect(browser: Browser, page: str) -> None:
    # It was closed, or is too busy to answer: then it keeps what it has.
    with suppress(DevToolsError, DevToolsGone, TimeoutError):
        async with asyncio.timeout(TIDY), browser.devtools.attached(page) as session:
            await browser.devtools.send("HeapProfiler.collectGarbage", session=session, timeout=TIDY)


def _tree(browser: Browser) -> Tree | None:
    """Where its processes are found; None if its main process is no more."""
    main = seen(browser.pid)
    return (str(browser.directory.path), browser.pid, main.start) if main is not None and main.lives else None


def _stop(tree: Tree) -> list[int]:
    """Stop all of them, and return which they are. Raises NotParked.

    A process may be born while they are looked through, from one that was not stopped yet: so until two looks in a
    row have found nothing that runs. The group is stopped at once, so that hardly anything is born at all.
    """
    deadline = time.monotonic() + STOP
    with suppress(ProcessLookupError):  # it has just ended
        os.killpg(tree[1], signal.SIGSTOP)
    there: list[Process] = []
    quiet = 0
    while quiet < 2:
        there = [process for process in members((tree,)) if process.lives]
        running = [process for process in there if process.state not in STOPPED]
        for process in running:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGSTOP)
        quiet = 0 if running else quiet + 1
        if running and time.monotonic() > deadline:
            raise NotParked(f"{len(running)} processes of the browser did not stop within {STOP:g} s")
        time.sleep(LOOK)
    return [process.pid for process in there]
