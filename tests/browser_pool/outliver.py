"""A process that has browsers which outlive it; tests start it (outliving.py) and kill it. Little is imported: time."""

import asyncio
import json
import os
import sys
from functools import partial
from pathlib import Path

from browser_pool.binary import Binaries
from browser_pool.browser import Browser
from browser_pool.examine import examine
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec, Mode
from tests.browser_pool.roads import OpenRoads


async def main() -> None:
    """Argv: ROOT MODE OUTLIVE OWNER… ("" for none). Goes on until its input ends, then leaves its pool in good order.

    With ROADS in the environment each browser has a road, with WRAPPED it is as if there were no Landlock. In each
    browser's page `x` is its owner's name. Tells its guard, pids and directories as a line of JSON.
    """
    root, mode, outlive, *owners = sys.argv[1:]
    browsers: dict[str, Browser] = {}
    ready, done = asyncio.Semaphore(0), asyncio.Event()

    pool = BrowserPool(
        Path(root),
        Binaries(),
        outlive=float(outlive),
        roads=OpenRoads() if "ROADS" in os.environ else None,
        look=partial(examine, abi=0) if "WRAPPED" in os.environ else examine,
    )

    async def have(owner: str) -> None:
        async with pool.lease(LaunchSpec(mode=Mode(mode)), owner=owner or None, about={"for": owner}) as browser:
            async with browser.devtools.attached(next(iter(browser.pages))) as session:
                await browser.devtools.send("Runtime.evaluate", {"expression": f"x = {owner!r}"}, session=session)
            browsers[owner] = browser
            ready.release()
            await done.wait()

    async with pool, asyncio.TaskGroup() as group:
        for owner in owners:
            group.create_task(have(owner))
        for _ in owners:
            await ready.acquire()
        told = {
            "guard": pool.guard.pid if pool.guard else 0,
            "pids": {owner: browser.pid for owner, browser in browsers.items()},
            "directories": {owner: str(browser.directory.path) for owner, browser in browsers.items()},
        }
        sys.stdout.write(f"{json.dumps(told)}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        done.set()


if __name__ == "__main__":
    asyncio.run(main())
