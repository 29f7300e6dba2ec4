"""The long-living Node client (clients/sessions.mjs) that takes the times of sessions."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parent / "clients" / "sessions.mjs"
ANSWER_SECONDS = 60


class ClientFailed(Exception):
    """What Puppeteer threw."""


class Client:
    """One command at a time; made by `client`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, command: str, **arguments: Any) -> Any:
        """Run a command of the script and return its result. Raises ClientFailed, TimeoutError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"id": 0, "do": command, **arguments}).encode() + b"\n")
        async with asyncio.timeout(ANSWER_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise ClientFailed("the Node client has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise ClientFailed(answer["error"])
        return answer["result"]


@asynccontextmanager
async def client(temporary: Path) -> AsyncIterator[Client]:
    """Run it for this block; the profiles of browsers that it launches itself are in `temporary`."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    node = shutil.which("node", path=path)
    if node is None:
        raise ClientFailed("Node.js is not installed: run `make bench`, which brings it")
    process = await asyncio.create_subprocess_exec(
        node,
        str(SCRIPT),
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        yield Client(process)
    finally:
        process.stdin.close()  # it ends with its input, and Puppeteer ends what it launched
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
