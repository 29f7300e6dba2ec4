"""What a session's next browser starts from."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.binary import Binaries
from browser_pool.spec import LaunchSpec, Mode
from gateway.records import Kind, SessionSpec, Source
from gateway.session.incarnation import reopened
from gateway.snapshot import checkpoint
from gateway.snapshot.document import Tab
from gateway.snapshot.parsing import parse
from tests.inside import ADMIN, inside

SPEC = SessionSpec(ADMIN.tenant, Kind.API, LaunchSpec(), ttl=60, keep=30, persist=True)


async def test_a_given_context_is_there_before_anyone_connects(tmp_path: Path) -> None:
    cookie = {"name": "sid", "value": "one", "domain": "127.0.0.1", "path": "/", "httpOnly": True}
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(SPEC, parse({"cookies": [cookie], "origins": []}))
        held = (await session.context()).cookies
        assert [(cookie.name, cookie.value, cookie.http_only) for cookie in held] == [("sid", "one", True)]


@pytest.mark.skipif(Binaries().shell is None, reason="Chromium's headless shell is not installed")
async def test_another_kind_of_browser_gets_the_document(tmp_path: Path) -> None:
    """A profile of full Chromium means nothing to the headless shell; the context document does."""
    origins = [{"origin": "http://127.0.0.1:9", "localStorage": [{"name": "k", "value": "v"}]}]
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(SPEC, parse({"cookies": [], "origins": origins}))
        await session.stop(force=False)
        source = await gateway.registry.source(ADMIN, session.record.id)
        shell = replace(SPEC, launch=LaunchSpec(mode=Mode.SHELL), source=source)
        restored = await gateway.registry.created(shell)
        assert (await restored.context()).origins[0].local_storage == (("k", "v"),)


async def test_the_same_kind_of_browser_gets_the_profile_and_permissions(tmp_path: Path) -> None:
    """What origins have stored comes from the profile alone; what that has not, from the document."""
    origins = [{"origin": "http://127.0.0.1:9", "localStorage": [{"name": "k", "value": "v"}]}]
    given = [{"origin": "http://127.0.0.1:9", "name": "geolocation"}]
    context = {"cookies": [], "origins": origins, "permissions": given, "tabs": [{"url": "http://127.0.0.1:9/"}]}
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(SPEC, parse(context))
        await session.stop(force=False)
        source = await gateway.registry.source(ADMIN, session.record.id)
        restored = await gateway.registry.created(replace(SPEC, source=source))
        document = await restored.context()
        assert document.origins[0].local_storage == (("k", "v"),)
        assert [(one.origin, one.name) for one in document.permissions] == [("http://127.0.0.1:9", "geolocation")]


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
