"""What is kept of a browser that hangs, and of its tabs."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from gateway.records import Kind, SessionSpec, Source
from gateway.session.saving import reopened
from gateway.snapshot import checkpoint
from gateway.snapshot.document import Tab
from gateway.snapshot.parsing import parse
from tests.inside import ADMIN, inside

SPEC = SessionSpec(ADMIN.tenant, Kind.API, LaunchSpec(), ttl=60, keep=30, persist=True)


async def test_a_browser_that_hangs_is_saved_from_its_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGSTOP: it answers nothing any more. What it had written is kept, and what was saved before is not lost."""
    monkeypatch.setattr(checkpoint, "LIMIT", 1.0)
    cookies = [
        {"name": "sid", "value": "one", "domain": "127.0.0.1", "path": "/"},
        {"name": "kept", "value": "two", "domain": "127.0.0.1", "path": "/", "expires": 4102444800},
    ]
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(
            replace(SPEC, checkpoint=60), parse({"cookies": cookies, "origins": []})
        )
        browser = session.browser
        assert browser is not None
        os.killpg(browser.pid, signal.SIGSTOP)
        await session.stop(force=False)
        assert session.record.snapshot == 2
        assert list((tmp_path / "browsers").iterdir()) == []
        revived = await gateway.registry.created(replace(SPEC, source=Source(session.record.id, 2)))
        document = await revived.context()
        assert {cookie.name: cookie.value for cookie in document.cookies} == {"sid": "one", "kept": "two"}
        assert [tab.url for tab in document.tabs] == ["about:blank"]


def test_each_tab_is_taken_once() -> None:
    one, two = Tab("a", active=True, session_storage={"o": {"k": "v"}}), Tab("b")
    assert reopened((one, two), ["b", "a", "a", "c"]) == (two, one, Tab("a"), Tab("c"))
