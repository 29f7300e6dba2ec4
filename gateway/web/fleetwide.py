"""Over all sessions of a caller, wherever they run: which nodes have some, and which of these has a target."""

import asyncio
import json
from collections import Counter
from typing import Any

import structlog
from aiohttp import web

from gateway.cluster.fleet import Elsewhere
from gateway.cluster.hop import current
from gateway.errors import Code, GatewayError
from gateway.records import SessionId, Status, is_session_id
from gateway.session.registry import Registry
from gateway.session.session import Session
from gateway.store.base import Query
from gateway.tenancy.access import Principal
from gateway.web.between import has_target, stop_at
from gateway.web.forward import Forwards

log = structlog.get_logger()
PATIENCE = 2.0  # seconds for another node to say what it has
RUNNING = (Status.STARTING, Status.CONNECTED, Status.DETACHED)
PAGE = 1000  # records read at once


class Fleetwide:
    """The caller's sessions on all nodes. Without `forwards`, and over a hop, those of this node are all."""

    def __init__(self, registry: Registry, forwards: Forwards | None) -> None:
        self._registry = registry
        self._forwards = forwards

    async def elsewhere(self, principal: Principal) -> Counter[str]:
        """How many running sessions of the caller other nodes have. Raises STORE_UNAVAILABLE."""
        if self._forwards is None or current() is not None:
            return Counter()
        if principal.session is not None:
            try:
                await self._registry.find(principal, principal.session)
            except Elsewhere as elsewhere:
                return Counter({elsewhere.node: 1})
            return Counter()
        found: Counter[str] = Counter()
        cursor: str | None = None
        while True:
            page = await self._registry.page(Query(principal.tenant, cursor=cursor, limit=PAGE, among=RUNNING))
            for record in page.records:
                if record.node is not None and self._registry.live(record.id) is None:
                    found[record.node] += 1
            if (cursor := page.next_cursor) is None:
                break
        found.pop(self._forwards.name, None)
        return found

    async def lists(self, request: web.Request, principal: Principal) -> list[dict[str, Any]]:
        """What other nodes answer to the same GET, put together; one that does not in PATIENCE is left out."""
        forwards = self._forwards
        if forwards is None:
            return []
        found: list[dict[str, Any]] = []

        async def look(node: str) -> None:
            try:
                async with asyncio.timeout(PATIENCE):
                    status, body = await forwards.look(request, node)
                if status != 200:
                    raise ValueError(f"it answered {status}")
                found.extend(json.loads(body))
            except (GatewayError, TimeoutError, ValueError) as error:
                log.warning("node_left_out", node=node, why=str(error) or type(error).__name__)

        async with asyncio.TaskGroup() as group:
            for node in await self.elsewhere(principal):
                group.create_task(look(node))  # the group awaits it
        return found

    async def with_target(self, principal: Principal, what: str, target: str) -> Session:
        """As `Roll.with_target`. Raises Elsewhere for one on another node."""
        try:
            return await self._registry.with_target(principal, what, target)
        except GatewayError as error:
            if error.code is not Code.TARGET_NOT_FOUND:
                raise
            if (node := await self._having(principal, what, target)) is None:
                raise
        raise Elsewhere(node)

    async def stop(self, principal: Principal, session: SessionId) -> None:
        """End one of many sessions, wherever it runs. Raises GatewayError."""
        try:
            await self._registry.stop(principal, session, force=True, purge=False)
        except Elsewhere as elsewhere:
            if self._forwards is None:
                raise
            await stop_at(self._forwards, elsewhere.node, session, principal.tenant)

    async def _having(self, principal: Principal, what: str, target: str) -> str | None:
        """The node that has the target."""
        forwards = self._forwards
        nodes = await self.elsewhere(principal)
        if forwards is None or not nodes:
            return None
        if principal.session is not None:
            return next(iter(nodes))
        if what == "browser" and is_session_id(target):
            try:
                await self._registry.find(principal, SessionId(target))
            except Elsewhere as elsewhere:
                return elsewhere.node
            except GatewayError as error:
                if error.code is not Code.SESSION_NOT_FOUND:
                    raise
            return None

        async def asked(node: str) -> str | None:
            try:
                async with asyncio.timeout(PATIENCE):
                    return node if await has_target(forwards, node, what, target, principal.tenant) else None
            except (GatewayError, TimeoutError) as error:
                log.warning("node_left_out", node=node, why=str(error) or type(error).__name__)
                return None

        answers = await asyncio.gather(*(asked(node) for node in nodes))
        return next((node for node in answers if node is not None), None)
