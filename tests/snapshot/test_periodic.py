"""When checkpoints are taken and saved, and what a failure to do so leads to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from browser_pool.tasks import running
from gateway.errors import Code, GatewayError
from gateway.snapshot.checkpoint import checkpointing
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.periodic import Checkpoints
from tests.inside import until
from tests.snapshot.live import Browser, Place


@dataclass
class Desk:
    """Where checkpoints and words of the log arrive."""

    saved: list[ContextDocument] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    full: bool = False

    async def save(self, document: ContextDocument) -> None:
        if self.full:
            raise GatewayError(Code.SAVE_FAILED, "no space left")
        self.saved.append(document)

    def warning(self, event: str, **fields: Any) -> None:
        self.words.append(f"{event}: {fields['error']}")

    def info(self, event: str, **fields: Any) -> None:
        self.words.append(event)


@asynccontextmanager
async def kept(browser: Browser, interval: float) -> AsyncIterator[tuple[Checkpoints, Desk]]:
    desk = Desk()
    async with checkpointing(browser.devtools) as checkpointer:
        yield Checkpoints(checkpointer, desk.save, devtools=browser.devtools, interval=interval, log=desk), desk


async def test_what_changes_is_saved_within_the_interval(browser: Browser, place: Place) -> None:
    async with kept(browser, 0.1) as (checkpoints, desk), browser.first_page() as page:
        async with running(checkpoints.run(), "checkpoints"):
            await until(lambda: len(desk.saved) == 1)
            await page.goto(place.at())
            for number in range(3):
                await page.evaluate(f"localStorage.token = '{number}'")
                await until(
                    lambda n=number: (
                        ("token", str(n))
                        in [  # type: ignore[misc]
                            item for state in desk.saved[-1].origins for item in state.local_storage
                        ]
                    )
                )
        before = len(desk.saved)
        assert await checkpoints.now() is False
        assert len(desk.saved) == before


async def test_a_full_disk_is_told_once_and_what_was_taken_is_saved_later(browser: Browser, place: Place) -> None:
    async with kept(browser, 0.05) as (checkpoints, desk), browser.first_page() as page:
        desk.full = True
        await page.goto(place.at())
        await page.evaluate("localStorage.token = 'kept'")
        with pytest.raises(GatewayError):
            await checkpoints.now()
        async with running(checkpoints.run(), "checkpoints"):
            await until(lambda: len(desk.words) == 1)
            for _ in range(3):
                with pytest.raises(GatewayError):
                    await checkpoints.now()
            assert desk.words == ["checkpoint_failed: no space left"]
            desk.full = False
            await until(lambda: len(desk.words) == 2)
        assert desk.words[1] == "checkpoints_again"
        assert [dict(state.local_storage) for state in desk.saved[0].origins] == [{"token": "kept"}]
        assert len(desk.saved) == 1


async def test_the_last_one_is_taken_before_it_is_frozen_and_none_after(browser: Browser, place: Place) -> None:
    async with kept(browser, 0.05) as (checkpoints, desk), browser.first_page() as page:
        await checkpoints.now()
        await page.goto(place.at())
        await page.evaluate("localStorage.token = 'last'")
        await checkpoints.park()
        assert [dict(state.local_storage) for state in desk.saved[-1].origins] == [{"token": "last"}]
        await page.evaluate("localStorage.token = 'later'")
        assert await checkpoints.now() is False
        checkpoints.wake()
        assert await checkpoints.now() is True
        assert [dict(state.local_storage) for state in desk.saved[-1].origins] == [{"token": "later"}]


async def test_it_ends_with_the_browser(browser: Browser) -> None:
    async with kept(browser, 60) as (checkpoints, desk):
        async with asyncio.TaskGroup() as group:
            group.create_task(checkpoints.run())
            await checkpoints.now()
            await browser.close()
        assert desk.words == []
