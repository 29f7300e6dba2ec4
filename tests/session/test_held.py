"""What is done to a session's browser while it has one: its context is known, and saved when it changes."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from browser_pool.spec import LaunchSpec
from gateway.records import Kind, SessionSpec, Status
from gateway.relay.overrides import GRANT, RESET_PERMISSIONS, SET_PERMISSION, Override
from gateway.session.held import undecided
from gateway.snapshot.document import Permission
from tests.inside import ADMIN, inside, until
from tests.site.app import Site

SPEC = SessionSpec(ADMIN.tenant, Kind.API, LaunchSpec(), ttl=60, keep=30, persist=True, checkpoint=0.2)


async def test_it_is_saved_when_it_changes(tmp_path: Path, site: Site) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(SPEC)
        await until(lambda: session.record.snapshot is not None)
        browser = session.browser
        assert browser is not None
        first = session.record.snapshot
        cookie = {"name": "sid", "value": "one", "url": site.url}
        await browser.devtools.send("Storage.setCookies", {"cookies": [cookie]})
        await until(lambda: session.record.snapshot != first)
        infos = await gateway.registry.means.vault.list(session.record.id)
        assert [(info.version, info.reason) for info in infos] == [(session.record.snapshot, "checkpoint")]
        document = await gateway.registry.means.vault.load_document(session.record.id)
        assert [cookie.name for cookie in document.cookies] == ["sid"]
        last = session.record.snapshot
        await asyncio.sleep(0.6)  # three intervals in which nothing changes
        assert session.record.snapshot == last
        # Killed: it is revived from that.
        await browser.kill()
        await session.over.wait()
        assert (session.record.status, session.record.failures) == (Status.SUSPENDED, 1)


async def test_without_persist_nothing_is_saved_and_the_context_is_there(tmp_path: Path, site: Site) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(replace(SPEC, persist=False, checkpoint=None))
        browser = session.browser
        assert browser is not None
        cookie = {"name": "sid", "value": "one", "url": site.url}
        await browser.devtools.send("Storage.setCookies", {"cookies": [cookie]})
        assert [cookie.name for cookie in (await session.context()).cookies] == ["sid"]
        assert not (tmp_path / "snapshots" / session.record.id).exists()


async def test_a_parked_one_tells_its_context_and_is_parked_again(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(replace(SPEC, park=0.1))
        for _ in range(2):
            await until(lambda: session.parked)
            assert session.record.parked
            assert [tab.url for tab in (await session.context()).tabs] == ["about:blank"]
        async with session.attach():
            assert not session.parked
            assert session.browser is not None
            assert (await session.browser.devtools.send("Browser.getVersion"))["product"]


A, B, C = Permission("https://a", "geolocation"), Permission("https://a", "midi"), Permission("https://b", "midi")


@pytest.mark.parametrize(
    ("method", "params", "left"),
    [
        (RESET_PERMISSIONS, {}, []),
        (RESET_PERMISSIONS, {"browserContextId": "another"}, [A, B, C]),
        (GRANT, {"origin": "https://a", "permissions": ["midi"]}, [C]),
        (GRANT, {"origin": "https://a/page?x", "permissions": []}, [C]),
        (GRANT, {"permissions": []}, []),
        (SET_PERMISSION, {"origin": "https://a", "permission": {"name": "midi"}, "setting": "denied"}, [A, C]),
        (SET_PERMISSION, {"permission": {"name": "midi"}, "setting": "denied"}, [A]),
        (SET_PERMISSION, {"origin": "https://b", "permission": {"name": "push"}, "setting": "denied"}, [A, B, C]),
        ("Browser.setDownloadBehavior", {}, [A, B, C]),
    ],
)
def test_what_a_driver_has_decided_is_not_granted_again(
    method: str, params: dict[str, Any], left: list[Permission]
) -> None:
    assert undecided([A, B, C], Override(None, method, params)) == left
