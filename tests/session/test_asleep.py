"""Sessions that have no browser, and get none."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from gateway.errors import Code, GatewayError
from gateway.records import Kind, SessionSpec, Status
from gateway.session.asleep import context_of, made_asleep, resaved
from gateway.snapshot.document import ContextDocument, Cookie
from tests.inside import ADMIN, inside

SPEC = SessionSpec("default", Kind.API, LaunchSpec(), ttl=60, keep=10, persist=True, name="shop")
COOKIE = Cookie("a", "1", "a.example")


def add(document: ContextDocument) -> ContextDocument:
    return replace(document, cookies=(*document.cookies, COOKIE))


async def test_they_are_made_and_given_another_context(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        registry = gateway.registry
        vault = registry.means.vault
        record = await made_asleep(registry, SPEC)
        assert (record.status, registry.live(record.id)) == (Status.SUSPENDED, None)
        assert await context_of(registry, record) == ContextDocument()
        assert (await registry.named("default", "shop")) == record

        saved = await resaved(registry, record, add, "request")
        assert saved is not None
        assert saved.snapshot == 2
        assert await registry.find(ADMIN, record.id) == saved
        assert await context_of(registry, saved) == ContextDocument(cookies=(COOKIE,))

        # The profile goes along, and what is saved goes over it.
        profile = tmp_path / "profile"
        (profile / "Default").mkdir(parents=True)
        (profile / "Default" / "Preferences").write_text("{}")
        await vault.save(record.id, ContextDocument(), profile=profile, kind="headless-shell", reason="test")
        saved = await resaved(registry, record, add, "request")
        assert saved is not None
        newest = (await vault.list(record.id))[-1]
        assert (newest.version, newest.has_profile, newest.kind) == (4, True, "headless-shell")
        assert await vault.load_document(record.id) == ContextDocument(cookies=(COOKIE,), overlay=True)
        assert await vault.unpack_profile(record.id, 4, tmp_path / "unpacked")
        assert (tmp_path / "unpacked" / "Default" / "Preferences").read_text() == "{}"

        # Where the profile knows more, only a browser can tell.
        await vault.save(record.id, ContextDocument(stale=True), profile=profile, kind="chromium", reason="test")
        assert await resaved(registry, record, add, "request") is None

        # Ended: the next one of that name begins with what was saved, or with what it is given.
        await registry.stop(ADMIN, record.id, force=False, purge=False)
        assert await resaved(registry, record, add, "request") is None
        again = await made_asleep(registry, SPEC)
        assert again.spec.source is not None
        assert again.spec.source.session == record.id
        empty = await made_asleep(registry, replace(SPEC, name="other"), ContextDocument())
        assert await context_of(registry, empty) == ContextDocument()

        registry.draining = True
        with pytest.raises(GatewayError) as refused:
            await made_asleep(registry, SPEC)
        assert refused.value.code is Code.DRAINING
        assert record.expires_at > time.time()
