"""Sessions by their ids and names: who finds which."""

from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from gateway.errors import Code, GatewayError
from gateway.records import Kind, SessionSpec, Status, new_session_id
from gateway.tenancy.access import NOBODY, Principal, Role
from gateway.tenancy.capability import Scope
from tests.inside import ADMIN, inside

API = SessionSpec(ADMIN.tenant, Kind.API, LaunchSpec(), ttl=60, keep=30, persist=True)


async def refusal(work: object) -> Code:
    with pytest.raises(GatewayError) as refused:
        await work  # type: ignore[misc]
    return refused.value.code


async def test_nobody_elses_session_is_there(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        registry, number = gateway.registry, (await gateway.registry.created(API)).record.id
        other = Principal("other", Role.USER)
        bearer = Principal(NOBODY, Role.USER, Scope.SESSION, new_session_id())
        ticket = Principal(ADMIN.tenant, Role.USER, Scope.CREATE)
        for principal in (other, bearer, ticket):
            assert await refusal(registry.find(principal, number)) is Code.SESSION_NOT_FOUND
            assert await refusal(registry.session(principal, number)) is Code.SESSION_NOT_FOUND
            assert await refusal(registry.stop(principal, number, force=True, purge=True)) is Code.SESSION_NOT_FOUND
            assert registry.running(principal) == []
        assert (await registry.find(ADMIN, number)).status is Status.DETACHED
        operator = Principal("other", Role.ADMIN)
        assert (await registry.find(operator, number)).id == number, "role admin reaches it by its id"
        assert registry.running(operator) == [], "but has no part in it"
        assert await refusal(registry.find(ADMIN, new_session_id())) is Code.SESSION_NOT_FOUND


async def test_by_its_name(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        registry, named = gateway.registry, replace(API, name="shop")
        assert await registry.named(ADMIN.tenant, "shop") is None
        session = await registry.created(named)
        for tenant, name, there in ((ADMIN.tenant, "shop", True), (ADMIN.tenant, "other", False), ("b", "shop", False)):
            found = await registry.named(tenant, name)
            assert (found is not None and found.id == session.record.id) is there, (tenant, name)
        await session.stop(force=False)
        assert await registry.named(ADMIN.tenant, "shop") is None
        assert registry.count == 0
