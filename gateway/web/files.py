"""A session's files over HTTP: what its browser downloaded, to fetch, and what its pages are given, to bring."""

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from aiohttp import BodyPartReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from gateway.errors import Code, GatewayError
from gateway.records import SessionId
from gateway.relay.places import ROOT
from gateway.session.commands import instant
from gateway.session.files import File, Files, Kind
from gateway.session.registry import Registry
from gateway.web.door import PRINCIPAL
from gateway.web.request import check_query, session_id

MOST = 100  # files in one request
KIND = frozenset({"kind"})


class SessionFiles:
    """Handlers of /session/ID/files."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._files: Files = registry.means.files

    async def page(self, request: web.Request) -> web.Response:
        """GET /session/ID/files."""
        check_query(request, frozenset())
        found = await self._files.listed(await self._session(request))
        return web.json_response({"files": [_shape(file) for file in found]})

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """GET /session/ID/files/NAME: its bytes, or those that Range names."""
        check_query(request, KIND)
        session, name = await self._session(request), request.match_info["name"]
        return await sent(request, *self._files.open(session, name, _kind(request)))

    async def add(self, request: web.Request) -> web.Response:
        """POST /session/ID/files: a form with files, or the bytes of one and its `name` in the query."""
        check_query(request, frozenset({"name"}))
        session = await self._session(request)
        if request.content_type == "multipart/form-data":
            if "name" in request.query:
                raise GatewayError(Code.BAD_REQUEST, "name: a form has the names of its files itself")
            added = await self._form(request, session)
        elif "name" in request.query:
            added = [await self._files.add(session, request.query["name"], request.content.iter_any())]
        else:
            raise GatewayError(Code.BAD_REQUEST, "name: ?name=NAME is wanted, or a form (multipart/form-data)")
        return web.json_response({"files": [_shape(file) for file in added]}, status=201)

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /session/ID/files/NAME."""
        check_query(request, KIND)
        await self._files.delete(await self._session(request), request.match_info["name"], _kind(request))
        return web.Response(status=204)

    async def _session(self, request: web.Request) -> SessionId:
        return (await self._registry.at_home(request[PRINCIPAL], session_id(request.match_info["key"]))).id

    async def _form(self, request: web.Request, session: SessionId) -> list[File]:
        added: list[File] = []
        try:
            reader = await request.multipart()
            while (part := await reader.next()) is not None:
                if not isinstance(part, BodyPartReader) or part.filename is None:
                    raise GatewayError(Code.BAD_REQUEST, "body: only files are wanted in the form")
                if len(added) == MOST:
                    raise GatewayError(Code.BAD_REQUEST, f"body: at most {MOST} files at once are taken")
                added.append(await self._files.add(session, part.filename, _chunks(part)))
        except ValueError as error:  # aiohttp's word for what is no form
            raise GatewayError(Code.BAD_REQUEST, f"body: no form: {str(error)[:200]}") from None
        if not added:
            raise GatewayError(Code.BAD_REQUEST, "body: there is no file in the form")
        return added


async def sent(request: web.Request, file: File, descriptor: int) -> web.StreamResponse:
    """The answer with a file's bytes, or those that Range names; closes the descriptor."""
    try:
        # What was opened, wherever a link of its name may lead by now.
        response = _Opened(f"/proc/self/fd/{descriptor}")
        response.content_type = "application/octet-stream"
        response.headers.update(attached(file.entry.name))
        await response.prepare(request)  # and sent, as far as it is not HEAD
    finally:
        os.close(descriptor)
    return response


def attached(name: str) -> dict[str, str]:
    """Headers of what is to be kept as a file (RFC 6266, RFC 8187): never shown as a page of ours."""
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


class _Opened(web.FileResponse):
    """A file that is sent where it is opened: aiohttp prepares every response once more, when it is returned."""

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """See web.FileResponse."""
        return None if self.prepared else await super().prepare(request)


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(64 << 10):
        yield bytes(chunk)


def _kind(request: web.Request) -> Kind | None:
    if "kind" not in request.query:
        return None
    with suppress(ValueError):
        return Kind(request.query["kind"])
    raise GatewayError(Code.BAD_REQUEST, f"kind: one of {', '.join(Kind)} is wanted")


def _shape(file: File) -> dict[str, Any]:
    """As a client is told; `path` is what to give to DOM.setFileInputFiles."""
    entry = file.entry
    under = ROOT if file.kind is Kind.UPLOAD else f"{ROOT}/{file.kind.directory}"
    return {
        "name": entry.name,
        "kind": file.kind.value,
        "size": entry.size,
        "modifiedAt": instant(entry.modified_at),
        "complete": entry.complete,
        "path": f"{under}/{entry.name}",
    }
