"""A page's HTML read in a process of its own, with limits: whatever it does to a parser there harms nobody.

A module that has such work is run with `python -m` and calls `answer`; here it is asked. Question and answer are JSON.
"""

import asyncio
import json
import resource
import sys
from collections.abc import Callable
from typing import Any

from browser_pool.tasks import to_the_end
from gateway.errors import Code, GatewayError

SMALL = 64 << 10  # characters that may be read in a thread of ours, some 0.3 s at most
LARGEST = 10 << 20  # characters of a page
MEMORY = 2 << 30  # bytes of address space of the process
PATIENCE = 30.0  # seconds for it, waited and of processor time
AT_ONCE = 2  # processes


class Apart:
    """Asks `module`, a few times at once."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def asked(self, question: Any) -> Any:
        """The answer. Raises PAGE_UNREADABLE (422) where there is none in time."""
        async with self._turns:
            return await self._asked(json.dumps(question).encode())

    async def _asked(self, question: bytes) -> Any:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", self._module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={},  # nothing of the gateway's own
        )
        try:
            async with asyncio.timeout(PATIENCE):
                answered, _ = await process.communicate(question)
        except TimeoutError:
            raise unreadable(f"it took longer than {PATIENCE:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await to_the_end(process.wait())
        if process.returncode != 0:
            raise unreadable("it takes too much memory, or is nothing that a parser can bear")
        return json.loads(answered)


def answer(work: Callable[[Any], Any]) -> None:
    """What the process does: one question from the standard input, its answer to the output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(PATIENCE), int(PATIENCE)))
    sys.stdout.write(json.dumps(work(json.load(sys.stdin.buffer))))


def check(source: str) -> None:
    """Raises PAGE_UNREADABLE (422) for a page that is larger than any that is read."""
    if len(source) > LARGEST:
        raise unreadable(f"it has more than {LARGEST} characters")


def unreadable(why: str) -> GatewayError:
    """A page whose HTML nothing can be made of."""
    return GatewayError(Code.PAGE_UNREADABLE, f"the page cannot be read: {why}")
