"""Steel's files: those of a session, by the paths that its SDKs know. What is not kept here is refused in words.

A file's `path` is what `DOM.setFileInputFiles` takes: `/session/files/NAME` of an upload, and of a download
`/session/files/downloads/NAME`. `NAME` and `downloads/NAME` mean the same; the SDKs send them encoded or not.
"""

import asyncio
import io
import os
import secrets
import time
import zipfile
from collections.abc import AsyncIterator
from datetime import datetime

from aiohttp import BodyPartReader, web
from typing_extensions import Buffer

from gateway.errors import Code, GatewayError
from gateway.records import SessionId
from gateway.relay.places import DOWNLOADS, ROOT
from gateway.session.commands import instant
from gateway.session.files import File, Files, Kind
from gateway.session.registry import Registry
from gateway.web.door import PRINCIPAL
from gateway.web.files import attached, sent
from gateway.web.request import check_query
from gateway.web.steel import session_of
from gateway.web.steel_answers import FileList, FileShape, dumped
from gateway.web.steel_operations import ELSEWHERE

CHUNK = 256 << 10  # bytes
PATH_LIMIT = 2000  # bytes of the field `path`
EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip archive can tell


class SteelFiles:
    """Handlers of /v1/sessions/ID/files, and of what there is none of."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._files: Files = registry.means.files

    def routes(self, app: web.Application) -> None:
        """Add them."""
        router, all_of_them = app.router, "/v1/sessions/{id}/files"
        router.add_get(all_of_them, self.page)
        router.add_post(all_of_them, self.add)
        router.add_delete(all_of_them, self.delete_all)
        router.add_get(f"{all_of_them}.zip", self.archive)
        router.add_get(f"{all_of_them}/{{path:.+}}", self.fetch)
        router.add_delete(f"{all_of_them}/{{path:.+}}", self.delete)
        for name in ELSEWHERE:
            method, _, path = name.partition(" ")
            router.add_route(method, path.replace("{path}", "{path:.+}"), self.elsewhere)

    async def page(self, request: web.Request) -> web.Response:
        """GET: the last changed first."""
        check_query(request, frozenset())
        found = await self._files.listed(await self._session(request))
        found.sort(key=lambda file: file.entry.modified_at, reverse=True)
        return web.json_response(dumped(FileList(data=[_shape(file) for file in found])))

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """GET one: its bytes, or those that Range names."""
        check_query(request, frozenset())
        session = await self._session(request)
        kind, name = named(request.match_info["path"])
        return await sent(request, *self._files.open(session, name, kind))

    async def add(self, request: web.Request) -> web.Response:
        """POST: a form with `file`, and its name in `path` where that is to be another."""
        check_query(request, frozenset())
        session = await self._session(request)
        if request.content_type != "multipart/form-data":
            raise GatewayError(Code.BAD_REQUEST, "body: a form (multipart/form-data) with a field file is wanted")
        try:
            added = await self._form(request, session)
        except ValueError as error:  # aiohttp's word for what is no form
            raise GatewayError(Code.BAD_REQUEST, f"body: no form: {str(error)[:200]}") from None
        return web.json_response(dumped(_shape(added)), status=201)

    async def _form(self, request: web.Request, session: SessionId) -> File:
        path: str | None = None
        added: File | None = None
        reader = await request.multipart()
        # Which field comes first is the client's choice: until `path` is known the file has a name of its own.
        kept = f"arriving-{secrets.token_hex(8)}"
        theirs = ""
        try:
            while (part := await reader.next()) is not None:
                if not isinstance(part, BodyPartReader) or part.name not in ("file", "path"):
                    raise GatewayError(Code.BAD_REQUEST, "body: file and path are the fields of the form")
                if part.name == "path":
                    path = await _text(part)
                elif added is not None:
                    raise GatewayError(Code.BAD_REQUEST, "body: file: one file at a time")
                elif part.filename is None:
                    raise GatewayError(
                        Code.UNSUPPORTED, "file: bring the bytes: what is at a URL is not fetched for a session here"
                    )
                else:
                    theirs = part.filename
                    added = await self._files.add(session, kept, _chunks(part))
            if added is None:
                raise GatewayError(Code.BAD_REQUEST, "body: there is no file in the form")
            kind, name = named(path or theirs)
            if kind is Kind.DOWNLOAD:
                raise GatewayError(Code.BAD_REQUEST, "path: under downloads is what the browser brought")
            added, kept = await self._files.rename(session, kept, name), ""
            return added
        finally:
            if added is not None and kept:
                await self._files.delete(session, kept, Kind.UPLOAD)

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE one."""
        check_query(request, frozenset())
        session = await self._session(request)
        kind, name = named(request.match_info["path"])
        await self._files.delete(session, name, kind)
        return web.Response(status=204)

    async def delete_all(self, request: web.Request) -> web.Response:
        """DELETE: all of them."""
        check_query(request, frozenset())
        session = await self._session(request)
        for file in await self._files.listed(session):
            try:
                await self._files.delete(session, file.entry.name, file.kind)
            except GatewayError as error:
                if error.code is not Code.NOT_FOUND:  # it has gone by itself
                    raise
        return web.Response(status=204)

    async def archive(self, request: web.Request) -> web.StreamResponse:
        """GET files.zip: all whole files, as they are read; downloads under `downloads/`."""
        check_query(request, frozenset())
        session = await self._session(request)
        found = [file for file in await self._files.listed(session) if file.entry.complete]
        response = web.StreamResponse(headers=attached(f"{session}.zip"))
        response.content_type = "application/zip"
        await response.prepare(request)
        if request.method != "HEAD":
            sink = _Sink()
            with zipfile.ZipFile(sink, "w") as archive:
                for file in found:
                    await self._pack(session, file, archive, sink, response)
            await response.write(sink.taken())
        return response

    async def _pack(
        self, session: SessionId, file: File, archive: zipfile.ZipFile, sink: "_Sink", response: web.StreamResponse
    ) -> None:
        try:
            _, descriptor = self._files.open(session, file.entry.name, file.kind)
        except GatewayError:
            return  # it has gone since it was listed
        with os.fdopen(descriptor, "rb") as source:
            changed = max(EARLIEST, time.gmtime(file.entry.modified_at)[:6])
            under = f"{DOWNLOADS}/" if file.kind is Kind.DOWNLOAD else ""
            info = zipfile.ZipInfo(f"{under}{file.entry.name}", changed)
            with archive.open(info, "w", force_zip64=True) as target:
                while data := await asyncio.to_thread(source.read, CHUNK):
                    target.write(data)
                    await response.write(sink.taken())

    async def elsewhere(self, request: web.Request) -> web.Response:
        """What Steel keeps or does outside of sessions."""
        resource = request.match_info.route.resource
        assert resource is not None
        raise GatewayError(Code.UNSUPPORTED, ELSEWHERE[f"{request.method} {resource.canonical}"])

    async def _session(self, request: web.Request) -> SessionId:
        found = await session_of(request, self._registry)
        return (await self._registry.at_home(request[PRINCIPAL], found.id)).id


class _Sink(io.RawIOBase):
    """What an archive is written to; it cannot seek, so that all of it may be sent as it comes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """See io.IOBase."""
        return True

    def write(self, data: Buffer) -> int:
        """Append."""
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def taken(self) -> bytes:
        """What was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def named(path: str) -> tuple[Kind | None, str]:
    """A file's kind and name by its path; None for a bare name, which may be of either."""
    rest = path.removeprefix(f"{ROOT}/")
    if rest.startswith(f"{DOWNLOADS}/"):
        return Kind.DOWNLOAD, rest.removeprefix(f"{DOWNLOADS}/")
    return (None if rest == path else Kind.UPLOAD), rest


def _shape(file: File) -> FileShape:
    under = ROOT if file.kind is Kind.UPLOAD else f"{ROOT}/{DOWNLOADS}"
    return FileShape(
        path=f"{under}/{file.entry.name}",
        size=file.entry.size,
        last_modified=datetime.fromisoformat(instant(file.entry.modified_at)),
    )


async def _text(part: BodyPartReader) -> str:
    data = b""
    while chunk := await part.read_chunk(1024):
        data += chunk
        if len(data) > PATH_LIMIT:
            raise GatewayError(Code.BAD_REQUEST, f"path: at most {PATH_LIMIT} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise GatewayError(Code.BAD_REQUEST, "path: text is wanted") from None


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(64 << 10):
        yield bytes(chunk)
