"""What every session is given: its browser's road to the network, and room for what it saves."""

from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from gateway.errors import Code, GatewayError
from gateway.records import Egress, Kind, SessionSpec, Tenant
from gateway.snapshot.parsing import parse
from gateway.tenancy.storage import Storage
from tests.inside import ADMIN, inside

SPEC = SessionSpec(ADMIN.tenant, Kind.API, LaunchSpec(), ttl=60, keep=30, persist=True)


async def test_a_road_that_cannot_be_led_and_a_save_past_the_limit(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(SPEC, parse({"cookies": [], "origins": []}))
        means, browser = gateway.registry.means, session.browser
        assert browser is not None
        unled = replace(SPEC, egress=Egress(allow=("10.0.0.0/99",)))
        with pytest.raises(GatewayError, match="the browser's way to the network") as refused:
            await means.lead(browser, unled)
        assert refused.value.code is Code.BROWSER_FAILED
        await means.lead(browser, SPEC)

        first = await session.snapshot("asked")
        document, fence = await session.context(), session.record.incarnation
        limited = Tenant(ADMIN.tenant, snapshot_bytes=1)
        full = replace(means, storage=Storage(gateway.registry._store, means.vault, lambda name: limited))
        with pytest.raises(GatewayError) as refused:
            await full.save(session.record, document, profile=None, kind="chromium", reason="asked", fence=fence)
        assert refused.value.code is Code.QUOTA_EXCEEDED
        assert [info.version for info in await means.vault.list(session.record.id)] == [first.version]
