"""Tasks that live no longer than a block."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` beside the block; cancel it at the end and wait until it is over.

    Unlike asyncio.TaskGroup it leaves the block's own exception as it is. A failure of `work` is raised
    at the end of the block, unless the block has failed itself.
    """
    task = asyncio.get_running_loop().create_task(work, name=name)  # ended below, come what may
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


Start = Callable[[Coroutine[Any, Any, None], str], None]


@asynccontextmanager
async def crew(patience: float | None = None) -> AsyncIterator[Start]:
    """`start(work, name)` for any number of independent tasks; the block ends when all of them have.

    Those that take longer than `patience` seconds at its end are cancelled. Unlike asyncio.TaskGroup the failure
    of one, which it has to deal with itself, does not touch the others.
    """
    tasks: set[asyncio.Task[None]] = set()

    def start(work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)  # awaited at the end of the block
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    try:
        yield start
    finally:
        if patience is not None and tasks:
            await asyncio.wait(tasks, timeout=patience)
            for task in tasks:
                task.cancel()
        while tasks:
            await asyncio.wait(tasks)


async def to_the_end(work: Coroutine[Any, Any, T], *, patience: float | None = None) -> T:
    """Await `work` whole: who is cancelled meanwhile is so once it is done, when what it did can be undone.

    With `patience`, in seconds, `work` is cancelled as well if it is not done so long after: it may wait for what never
    comes.
    """
    task = asyncio.get_running_loop().create_task(work)  # out of reach of who cancels us; awaited below
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task], timeout=None if cancelled is None else patience)
            if cancelled is not None and patience is not None:
                task.cancel()
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        with suppress(Exception, asyncio.CancelledError):  # its failure gives way to the cancellation
            task.result()
        raise cancelled
    return task.result()
