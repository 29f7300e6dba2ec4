"""/openapi.json and /docs: what the API is, for programs and for people, without a credential and without a network.

Both are made on first demand and kept; a reply differs only in the address at which the gateway was asked.
"""

import asyncio
import hashlib
import json
from html import escape
from pathlib import Path

from aiohttp import web

from gateway.web.headers import page_policy
from gateway.web.openapi import document
from gateway.web.operations import all_operations
from gateway.web.page import BASE, page
from gateway.web.request import check_query

FRAME = (Path(__file__).parent / "static" / "docs.html").read_text()
# Scripts and styles are in the frame alone: whatever comes into it is text.
POLICY = page_policy(FRAME)
WS = "{{ws}}"


class Docs:
    """Handlers of /openapi.json and /docs."""

    def __init__(self, external_url: str | None) -> None:
        self._external_url = external_url
        self._made: tuple[str, str] | None = None  # as JSON and as a page

    async def openapi(self, request: web.Request) -> web.Response:
        """GET /openapi.json."""
        check_query(request, frozenset())
        servers = json.dumps({"servers": [{"url": self._base(request)}]})
        found, _ = await self._document()
        return _kept(request, f"{servers[:-1]}, {found[1:]}", "application/json")

    async def docs(self, request: web.Request) -> web.Response:
        """GET /docs."""
        check_query(request, frozenset())
        base = escape(self._base(request))
        _, found = await self._document()
        shown = found.replace(BASE, base).replace(WS, "ws" + base.removeprefix("http"))
        return _kept(request, shown, "text/html")

    def _base(self, request: web.Request) -> str:
        return self._external_url or f"{request.scheme}://{request.host}"

    async def _document(self) -> tuple[str, str]:
        if self._made is None:
            self._made = await asyncio.to_thread(_made)  # some tenths of a second, in which others are served
        return self._made


def _made() -> tuple[str, str]:
    found = json.dumps(document(all_operations()), ensure_ascii=False)
    return found, page(json.loads(found), FRAME)


def _kept(request: web.Request, body: str, kind: str) -> web.Response:
    """The body, or 304 to who has it already (RFC 9110 section 13.1.2)."""
    tag = hashlib.sha256(body.encode()).hexdigest()[:32]
    same = any(given.value in (tag, "*") for given in request.if_none_match or ())
    answer = web.Response(status=304) if same else web.Response(text=body, content_type=kind)
    answer.etag = tag
    answer.headers["Cache-Control"] = "no-cache"  # to be kept, but asked for again
    return answer
