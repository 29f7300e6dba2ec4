"""What a session's next browser starts from."""

from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.binary import Binaries
from browser_pool.spec import LaunchSpec, Mode
from gateway.records import Kind, SessionSpec
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
