"""What the nodes of a fleet ask of each other, under /cluster/: a signed hop with a tenant's name, and nothing else.

The hop's header signs the body's digest too (`cluster/hop.py`). Nobody else gets an answer from here but 403.
"""

import json
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from gateway.cluster.fleet import Lease
from gateway.cluster.hop import HEADER, Hop, digest
from gateway.errors import Code, GatewayError
from gateway.pages.fetch import Answer, Asked
from gateway.records import Role
from gateway.session.registry import Registry
from gateway.tenancy.access import Principal
from gateway.web.arrival import HOP
from gateway.web.forward import Forwards, unreachable
from gateway.web.request import session_id

ANSWER = "/cluster/answer"
NAMES = ("cluster-answer", "cluster-stop", "cluster-target")  # of the routes: they look at no credential
_asked = TypeAdapter(Asked)
_answer = TypeAdapter(Answer)


class Between:
    """The answering side. `answer` does the work of a job (`pages/fetch.py`)."""

    def __init__(self, registry: Registry, answer: Callable[[Asked], Awaitable[Answer]]) -> None:
        self._registry = registry
        self._do = answer

    def routes(self, app: web.Application) -> None:
        """Add them."""
        app.router.add_post(ANSWER, self.answer, name="cluster-answer")
        app.router.add_post("/cluster/stop/{session}", self.stop, name="cluster-stop")
        app.router.add_get("/cluster/target/{what}/{target}", self.target, name="cluster-target", allow_head=False)

    async def answer(self, request: web.Request) -> web.Response:
        """POST /cluster/answer: a request for a page, whose named session is here."""
        tenant, body = await _signed(request)
        try:
            asked = _asked.validate_json(body)
        except ValidationError:  # its words would have what is typed and where
            words = "the body is no request for a page: do all nodes run this version?"
            raise GatewayError(Code.BAD_REQUEST, words) from None
        if asked.tenant != tenant:
            raise GatewayError(Code.HOP_REFUSED, f"{HEADER}: it is in another tenant's name than the body")
        return web.Response(body=_answer.dump_json(await self._do(asked)), content_type="application/json")

    async def stop(self, request: web.Request) -> web.Response:
        """POST /cluster/stop/SESSION: end a session that runs here, as one of many that are ended at once."""
        tenant, _ = await _signed(request)
        number = session_id(request.match_info["session"])
        await self._registry.stop(Principal(tenant, Role.USER), number, force=True, purge=False)
        return web.Response(status=204)

    async def target(self, request: web.Request) -> web.Response:
        """GET /cluster/target/WHAT/TARGET: 204 if a session of the tenant that runs here has it, else 404."""
        tenant, _ = await _signed(request)
        what, target = request.match_info["what"], request.match_info["target"]
        await self._registry.with_target(Principal(tenant, Role.USER), what, target)
        return web.Response(status=204)


async def answer_at(forwards: Forwards, node: str, asked: Asked, grant: Lease | None = None) -> Answer:
    """The answer of the node that has, or was granted, the named session. Raises GatewayError as the node did."""
    body = _asked.dump_json(asked)
    status, told = await forwards.ask(node, "POST", ANSWER, tenant=asked.tenant, body=body, grant=grant)
    if status != 200:
        raise refused(node, status, told)
    return _answer.validate_json(told)


async def stop_at(forwards: Forwards, node: str, session: str, tenant: str) -> None:
    """End a session that runs on that node. Raises GatewayError as the node did."""
    status, told = await forwards.ask(node, "POST", f"/cluster/stop/{session}", tenant=tenant)
    if status != 204:
        raise refused(node, status, told)


async def has_target(forwards: Forwards, node: str, what: str, target: str, tenant: str) -> bool:
    """Whether a session of the tenant on that node has it. Raises NODE_UNREACHABLE."""
    path = f"/cluster/target/{quote(what, safe='')}/{quote(target, safe='')}"
    status, _ = await forwards.ask(node, "GET", path, tenant=tenant)
    return status == 204


def refused(node: str, status: int, told: bytes) -> GatewayError:
    """What another node has refused with, as it was there; 421 and a refused hop: it cannot be had now."""
    try:
        error = json.loads(told)["error"]
        code = next(one for one in Code if one.word == error["code"])
        if code not in (Code.NOT_HERE, Code.HOP_REFUSED):
            return GatewayError(code, str(error["message"]), details=error.get("details", {}))
    except (ValueError, KeyError, TypeError, StopIteration):  # an older or newer node's
        pass
    return unreachable(node, sent=status != 421)


async def _signed(request: web.Request) -> tuple[str, bytes]:
    """The tenant in whose name it is, and the body. Raises HOP_REFUSED."""
    hop: Hop | None = request.get(HOP)
    if hop is None or hop.tenant is None:
        raise GatewayError(Code.HOP_REFUSED, "this is for other nodes of the fleet")
    body = await request.read()
    if hop.body != digest(body):
        raise GatewayError(Code.HOP_REFUSED, f"{HEADER}: the body is not the one that was signed")
    return hop.tenant, body
