"""Browsers that outlive their process: that process (outliver.py), for tests which kill it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser_pool.browser import Browser
from browser_pool.spec import LaunchSpec
from tests.browser_pool.seen import children, reaped

REPOSITORY = Path(__file__).parent.parent.parent


async def evaluate(browser: Browser, expression: str) -> Any:
    """What an expression is in the oldest page."""
    async with browser.devtools.attached(next(iter(browser.pages))) as session:
        asked = {"expression": expression, "returnByValue": True}
        reply = await browser.devtools.send("Runtime.evaluate", asked, session=session)
    return reply["result"].get("value")


@dataclass
class Outliving:
    """The running program: its process, its guard, and of each owner ("" for none) the browser's pid and directory."""

    process: asyncio.subprocess.Process
    guard: int
    pids: dict[str, int]
    directories: dict[str, Path]

    async def kill(self) -> None:
        """kill -9 of it alone."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def outliving(root: Path, spec: LaunchSpec, outlive: float, *owners: str) -> AsyncIterator[Outliving]:
    """The program with a browser for each of `owners`; killed at the end, and what it left to us is reaped."""
    before = children()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.browser_pool.outliver",
        str(root),
        spec.mode.value,
        str(outlive),
        *owners,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    try:
        told = json.loads(await process.stdout.readline())
        places = {owner: Path(place) for owner, place in told["directories"].items()}
        yield Outliving(process, told["guard"], told["pids"], places)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reaped(before)
