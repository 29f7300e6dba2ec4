"""Steel's profiles: shapes of the SDK's `profiles`, kept by `gateway/session/profiles.py`.

The SDK for Node.js sends `userDataDir` as a file of a form. The one for Python (0.19) sends the text of whatever it was
given: of bytes that is a literal, which is read here; of an open file or a path it is nothing that could be read.
"""

import ast
import asyncio
from pathlib import Path
from typing import Annotated, Any

from aiohttp import BodyPartReader, web
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from browser_pool.tasks import to_the_end
from gateway.errors import Code, GatewayError
from gateway.session.commands import instant
from gateway.session.profiles import About, Profiles
from gateway.store.profiles import Profile, Stage
from gateway.web import network
from gateway.web.door import PRINCIPAL
from gateway.web.operation import Operation, Parameter, Reply, refused
from gateway.web.request import check_query
from gateway.web.shapes import Plain, Shape, Text, read

LARGEST = 512 << 20  # bytes of a zip
LITERAL = 64 << 20  # bytes of one that comes as a literal
WORD = 64 << 10  # bytes of any other field
BATCH = 256 << 10
FILE = "userDataDir"
PROJECT = frozenset({"projectId"})
STATUS = {Stage.AWAITED: "UPLOADING", Stage.READY: "READY", Stage.FAILED: "FAILED"}
NO_FILE = (
    "userDataDir: a zip of a user-data-dir is wanted, as a file of the form. steel-sdk for Python sends no files here: "
    "give it the bytes, user_data_dir=open(PATH, 'rb').read()"
)


class Size(Shape):
    """CSS pixels; a form has them as text."""

    width: Annotated[int, Field(ge=1, le=16384)]
    height: Annotated[int, Field(ge=1, le=16384)]


class ProfileBody(Shape):
    """`POST /v1/profiles` and `PATCH /v1/profiles/ID`, but for the file: fields of a form."""

    dimensions: Size | None = None
    project_id: Annotated[Text, Field(min_length=1, max_length=256)] | None = None
    proxy_url: Annotated[Text, Field(min_length=1, max_length=1024)] | None = Field(default=None, repr=False)
    use_proxy: Text | None = None
    user_agent: Plain | None = None


class Answer(BaseModel):
    """As the SDK validates it."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True)


class ProxyAnswer(Answer):
    """The profile's proxy, without its credentials."""

    server: str


class ProfileAnswer(Answer):
    """A profile. UPLOADING: its first session runs."""

    id: str
    status: str
    created_at: str
    updated_at: str
    source_session_id: str | None
    dimensions: Size | None
    user_agent: str | None
    project_id: str | None
    use_proxy_config: ProxyAnswer | None
    credentials_config: None = None
    extension_ids: None = None
    fingerprint: None = None


class ProfilesAnswer(Answer):
    """All of them, the newest first."""

    count: int
    profiles: list[ProfileAnswer]


class Erased(Answer):
    """What was asked for is done."""

    message: str
    success: bool


class SteelProfiles:
    """Handlers of /v1/profiles."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    def routes(self, app: web.Application) -> None:
        """Add them."""
        app.router.add_post("/v1/profiles", self.create)
        app.router.add_get("/v1/profiles", self.page)
        app.router.add_get("/v1/profiles/{id}", self.show)
        app.router.add_patch("/v1/profiles/{id}", self.amend)
        app.router.add_delete("/v1/profiles/{id}", self.erase)

    async def create(self, request: web.Request) -> web.Response:
        """POST /v1/profiles."""
        check_query(request, PROJECT)
        tenant = request[PRINCIPAL].tenant
        async with self._profiles.receiving(tenant) as archive:
            about, came = await _form(request, archive)
            if not came:
                raise GatewayError(Code.BAD_REQUEST, NO_FILE)
            profile = await self._profiles.create(tenant, about, archive)
        return _shown(profile, 201)

    async def page(self, request: web.Request) -> web.Response:
        """GET /v1/profiles: all of them, or those of one project."""
        check_query(request, PROJECT)
        project = request.query.get("projectId")
        found = await self._profiles.listed(request[PRINCIPAL].tenant)
        shown = [shape(profile) for profile in found if project in (None, profile.project)]
        return web.json_response(ProfilesAnswer(count=len(shown), profiles=shown).model_dump(by_alias=True))

    async def show(self, request: web.Request) -> web.Response:
        """GET /v1/profiles/ID."""
        check_query(request, PROJECT)
        return _shown(await self._find(request))

    async def amend(self, request: web.Request) -> web.Response:
        """PATCH /v1/profiles/ID: what is left out stays as it is, the files too."""
        check_query(request, PROJECT)
        principal, key = request[PRINCIPAL], (await self._find(request)).id
        async with self._profiles.receiving(principal.tenant) as archive:
            about, came = await _form(request, archive)
            profile = await self._profiles.amend(principal, key, about, archive if came else None)
        return _shown(profile)

    async def erase(self, request: web.Request) -> web.Response:
        """DELETE /v1/profiles/ID."""
        check_query(request, PROJECT)
        key = (await self._find(request)).id
        await self._profiles.erase(request[PRINCIPAL], key)
        return web.json_response(Erased(message=f"profile {key} is erased", success=True).model_dump(by_alias=True))

    async def _find(self, request: web.Request) -> Profile:
        """The one in the path, if it is of the project that is named, where one is. Raises NOT_FOUND (404)."""
        found = await self._profiles.find(request[PRINCIPAL], request.match_info["id"])
        if (project := request.query.get("projectId", found.project)) != found.project:
            raise GatewayError(Code.NOT_FOUND, f"there is no profile {found.id!r} in the project {str(project)[:80]!r}")
        return found


def shape(profile: Profile) -> ProfileAnswer:
    """As a client is told."""
    view, proxy = profile.viewport, profile.upstream
    return ProfileAnswer(
        id=profile.id,
        status=STATUS[profile.stage],
        created_at=instant(profile.created_at),
        updated_at=instant(profile.updated_at),
        source_session_id=profile.session,
        dimensions=None if view is None else Size(width=view[0], height=view[1]),
        user_agent=profile.user_agent,
        project_id=profile.project,
        use_proxy_config=None if proxy is None else ProxyAnswer(server=f"{proxy.scheme}://{proxy.host}:{proxy.port}"),
    )


def _shown(profile: Profile, status: int = 200) -> web.Response:
    return web.json_response(shape(profile).model_dump(by_alias=True), status=status)


async def _form(request: web.Request, archive: Path) -> tuple[About, bool]:
    """What the form says, and whether its file is in `archive` now. Raises BAD_REQUEST, BODY_TOO_LARGE, UNSUPPORTED."""
    if request.content_type != "multipart/form-data":
        raise GatewayError(Code.BAD_REQUEST, "body: a form (multipart/form-data) is wanted")
    fields: dict[str, Any] = {}
    came, wordless = False, False
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise GatewayError(Code.BAD_REQUEST, "body: only fields and a file are wanted in the form")
            name = part.name.removesuffix("[]")
            if name == FILE and part.filename is not None:
                await _received(part, archive)
                came = True
            elif name == FILE:
                # A literal; or of a tuple one of three: a name, the literal, a media type.
                came |= await asyncio.to_thread(_read_literal, await _text(part, LITERAL), archive)
                wordless = not came
            else:
                _put(fields, name, (await _text(part, WORD)).decode(errors="replace"))
    except ValueError as error:  # aiohttp's word for what is no form
        raise GatewayError(Code.BAD_REQUEST, f"body: no form: {str(error)[:200]}") from None
    if wordless:
        raise GatewayError(Code.BAD_REQUEST, NO_FILE)
    return _about(read(ProfileBody, fields, "body")), came


def _about(body: ProfileBody) -> About:
    if body.use_proxy not in (None, "", "false", "null"):
        raise GatewayError(Code.UNSUPPORTED, "useProxy: this gateway has no proxies of its own; yours is proxyUrl")
    view = body.dimensions
    return About(
        user_agent=body.user_agent,
        viewport=None if view is None else (view.width, view.height),
        upstream=None if body.proxy_url is None else network.upstream(body.proxy_url, None, field="proxyUrl"),
        project=body.project_id,
    )


def _put(fields: dict[str, Any], name: str, value: str) -> None:
    """`dimensions[width]` is a field of a field. Raises BAD_REQUEST for what stands there twice."""
    outer, bracket, inner = name.partition("[")
    place = fields.setdefault(outer, {}) if bracket else fields
    key = inner.removesuffix("]") if bracket else outer
    if not isinstance(place, dict) or key in place:
        raise GatewayError(Code.BAD_REQUEST, f"body: {name[:80]!r} is there twice")
    place[key] = value


async def _received(part: BodyPartReader, archive: Path) -> None:
    came = 0
    with archive.open("wb") as file:
        while chunk := await part.read_chunk(BATCH):
            if (came := came + len(chunk)) > LARGEST:
                raise GatewayError(Code.BODY_TOO_LARGE, f"userDataDir: a zip has at most {LARGEST} bytes")
            await to_the_end(asyncio.to_thread(file.write, bytes(chunk)))


async def _text(part: BodyPartReader, most: int) -> bytes:
    came = bytearray()
    while chunk := await part.read_chunk(BATCH):
        came += chunk
        if len(came) > most:
            raise GatewayError(Code.BODY_TOO_LARGE, f"{(part.name or '')[:80]}: at most {most} bytes are taken here")
    return bytes(came)


def _read_literal(text: bytes, archive: Path) -> bool:
    """Whether it is a literal of bytes, whose content is in `archive` then. Blocking."""
    if text[:2] not in (b"b'", b'b"') or text[-1:] not in (b"'", b'"'):
        return False
    try:
        data = ast.literal_eval(text.decode("ascii"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    if isinstance(data, bytes):
        archive.write_bytes(data)
    return isinstance(data, bytes)


ID = Parameter("id", "The profile's id.", where="path", required=True)
IN_PROJECT = Parameter("projectId", "Those of one project.")
SENT = ("multipart/form-data",)
FAULTS = refused(413, 422)
WORDS = (
    "`userDataDir` is a zip of a user-data-dir, or of its directory `Default`. Taken of it are cookies, storage, "
    "history and what sites are allowed; extensions, settings and passwords are not."
)
OPERATIONS = (
    Operation(
        "POST /v1/profiles",
        "Upload a profile",
        {201: Reply("The profile.", ProfileAnswer), **FAULTS},
        dialect="steel",
        words=WORDS,
        upload=SENT,
    ),
    Operation(
        "GET /v1/profiles",
        "List profiles",
        {200: Reply("All of them, the newest first.", ProfilesAnswer)},
        parameters=(IN_PROJECT,),
        dialect="steel",
    ),
    Operation(
        "GET /v1/profiles/{id}",
        "Look at a profile",
        {200: Reply("The profile.", ProfileAnswer), **refused(404)},
        parameters=(ID, IN_PROJECT),
        dialect="steel",
    ),
    Operation(
        "PATCH /v1/profiles/{id}",
        "Change a profile",
        {200: Reply("The profile.", ProfileAnswer), **refused(404), **FAULTS},
        parameters=(ID, IN_PROJECT),
        dialect="steel",
        words=f"{WORDS} What is left out stays.",
        upload=SENT,
    ),
    Operation(
        "DELETE /v1/profiles/{id}",
        "Erase a profile",
        {200: Reply("It is erased.", Erased), **refused(404)},
        parameters=(ID, IN_PROJECT),
        dialect="steel",
    ),
)
