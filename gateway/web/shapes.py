"""The native dialect's shapes: what callers may send, checked once, and what they get. Nothing here has effects."""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from browser_pool.command_line import FlagRefused, check_flag
from browser_pool.spec import LaunchSpec, Mode
from gateway.errors import Code, GatewayError
from gateway.identity.launch import launch as dressed
from gateway.records import Egress, Identity, Kind, Limits, SessionSpec
from gateway.web import network


def _unicode(text: str) -> str:
    """JSON can hold half a surrogate pair, which can be neither stored nor put into an argv."""
    text.encode()
    return text


Text = Annotated[str, AfterValidator(_unicode)]
Name = Annotated[Text, Field(min_length=1, max_length=128)]
Destinations = Annotated[list[Annotated[Text, Field(max_length=300)]], Field(max_length=1000)]
Milliseconds = Annotated[int, Field(gt=0, strict=True)]
Headless = bool | Literal["shell", "new", "true", "false"]
# Characters that could not stand in a header or in an argv without doing harm.
Plain = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$")]
Labels = Annotated[
    dict[Annotated[Text, Field(min_length=1, max_length=64)], Annotated[Text, Field(max_length=256)]],
    Field(max_length=32),
]
Locale = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
# It becomes the browser's TZ, in which a colon would begin a file's path.
Timezone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,64}$")]


# pydantic names the branch of a union in an error's path, which means nothing to a caller.
_BRANCH = re.compile(r"^(?:bool|str|literal\[|function-)|Body$|^RestoreFrom$")


class Shape(BaseModel):
    """camelCase outside, unknown fields refused by name."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


S = TypeVar("S", bound=Shape)


class Viewport(Shape):
    """CSS pixels."""

    width: Annotated[int, Field(ge=1, le=16384)]
    height: Annotated[int, Field(ge=1, le=16384)]
    device_scale_factor: Annotated[float, Field(gt=0, le=8)] | None = None


class Geolocation(Shape):
    """Degrees, and metres."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    accuracy: Annotated[float, Field(ge=0, le=1e7)] = 20.0


def _settable(headers: dict[str, str]) -> dict[str, str]:
    """Only what neither the connection nor another field decides; each name once, in whatever case."""
    for name in headers:
        if name.lower() in _RESERVED_HEADERS or name.lower().startswith(("sec-", "proxy-", "access-control-")):
            raise ValueError(f"{name} cannot be set: the browser, or another field of the identity, decides it")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("a header is given twice")
    return headers


_RESERVED_HEADERS = frozenset(
    "host content-length content-type connection keep-alive te trailer transfer-encoding upgrade expect cookie origin "
    "referer range user-agent accept accept-encoding accept-language".split()
)
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")]
HeaderValue = Annotated[str, Field(pattern=r"^[\t\x20-\x7e]*$", max_length=4096)]


class IdentityBody(Shape):
    """Who the browser says it is."""

    user_agent: Plain | None = None
    locale: Locale | None = None
    timezone: Timezone | None = None
    viewport: Viewport | None = None
    device_scale_factor: Annotated[float, Field(gt=0, le=8)] | None = None
    geolocation: Geolocation | None = None
    extra_headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=32), AfterValidator(_settable)] | None = (
        None
    )


class ProxyBody(Shape):
    """A proxy for the whole browser."""

    server: Annotated[str, Field(pattern=r"^(?:(?:https?|socks[45]?)://)?[^\s/@,;=]+$", max_length=512)]
    username: Annotated[Text, Field(max_length=255)] | None = None
    password: Annotated[Text, Field(max_length=255)] | None = Field(default=None, repr=False)
    bypass: Plain | None = None


class EgressBody(Shape):
    """Where the browser may go, and how often: requests a second to one domain, connections to one at once."""

    allow: Destinations = []
    deny: Destinations = []
    rate_per_domain: Annotated[float, Field(ge=0.01, le=10_000)] | None = None
    connections_per_domain: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    breaker: bool = True


class LaunchBody(Shape):
    """`launch` of a websocket's query: how the browser is started."""

    headless: Headless = True
    args: list[Text] = []
    stealth: bool = False
    block_ads: bool = False
    viewport: Viewport | None = None
    default_viewport: Viewport | None = None
    user_agent: Plain | None = None
    locale: Locale | None = None
    timezone: Timezone | None = None
    accept_insecure_certs: bool = False
    ignore_https_errors: Annotated[bool, Field(alias="ignoreHTTPSErrors")] = False
    timeout: Milliseconds | None = None
    slow_mo: Annotated[float, Field(ge=0)] = 0
    ignore_default_args: bool | list[Text] = False  # Puppeteer's, which are not set here


class RestoreFrom(Shape):
    """A session's snapshot; without a version the last one."""

    session: str
    snapshot: Annotated[int, Field(ge=1)] | None = None


class SessionBody(Shape):
    """`POST /session`. Times in ms."""

    ttl: Milliseconds | None = None
    process_keep_alive: Annotated[int, Field(ge=0, strict=True)] | None = None
    inactivity_timeout: Milliseconds | None = None
    persist: bool = True
    name: Name | None = None
    attach: bool = False
    park: bool = True
    park_after: Milliseconds | None = None
    checkpoint_interval: Milliseconds | None = None
    dialogs: Literal["dismiss", "accept"] = "dismiss"
    restore: str | RestoreFrom | None = None
    context: dict[str, Any] | None = None
    identity: str | IdentityBody | None = None
    stealth: bool = False
    block_ads: bool = False
    headless: Headless = True
    args: list[Text] = []
    proxy: ProxyBody | None = None
    egress: EgressBody | None = None
    url: Annotated[Text, Field(max_length=8192, pattern=r"^(?:https?://|about:blank|data:)")] | None = None
    labels: Labels = {}


class RestoreBody(Shape):
    """`POST /session/ID/restore`: what is left out stays as ID had it."""

    snapshot: Annotated[int, Field(ge=1)] | None = None
    ttl: Milliseconds | None = None
    process_keep_alive: Annotated[int, Field(ge=0, strict=True)] | None = None
    name: Name | None = None
    labels: Labels | None = None


class ForkBody(Shape):
    """`POST /session/ID/fork`: how many, and what all of them have in place of what ID has."""

    count: Annotated[int, Field(ge=1, le=100, strict=True)] = 1
    ttl: Milliseconds | None = None
    process_keep_alive: Annotated[int, Field(ge=0, strict=True)] | None = None
    labels: Labels | None = None


class AmendBody(Shape):
    """`PATCH /session/ID`."""

    ttl: Milliseconds | None = None
    inactivity_timeout: Milliseconds | None = None
    process_keep_alive: Annotated[int, Field(ge=0, strict=True)] | None = None
    labels: Labels | None = None


class RotateBody(Shape):
    """`POST /session/ID/rotate`."""

    disconnect: bool = False


def read(shape: type[S], value: object, where: str) -> S:
    """`value` as a `shape`; raises UNKNOWN_FIELD or BAD_REQUEST naming the field. `where` is what it stands in."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        # Of a union's branches the one that was meant is the one that got as far as a field's name.
        first = max(found, key=lambda item: (item["type"] == "extra_forbidden", len(_path(item["loc"]))))
        path = ".".join(_path(first["loc"]))
        if first["type"] == "extra_forbidden":
            raise GatewayError(Code.UNKNOWN_FIELD, f"{where}: there is no field {path!r}") from None
        raise GatewayError(Code.BAD_REQUEST, f"{where}: {path or 'the whole'}: {first['msg']}") from None


def _path(place: tuple[int | str, ...]) -> list[str]:
    return [str(part) for part in place if not _BRANCH.search(str(part))]


def identity_of(body: IdentityBody | None) -> Identity | None:
    """What an identity's body asks for; None if that is nothing."""
    if body is None:
        return None
    viewport, place = body.viewport, body.geolocation
    found = Identity(
        user_agent=body.user_agent,
        locale=body.locale,
        timezone=body.timezone,
        viewport=(viewport.width, viewport.height) if viewport else None,
        device_scale_factor=body.device_scale_factor or (viewport.device_scale_factor if viewport else None),
        geolocation=(place.latitude, place.longitude, place.accuracy) if place else None,
        extra_headers=tuple(sorted((body.extra_headers or {}).items())),
    )
    return None if found == Identity() else found


def launch_identity(body: LaunchBody) -> Identity | None:
    """The same of a websocket's `launch`, which has some of the fields."""
    names = ("user_agent", "locale", "timezone")
    viewport = body.viewport or body.default_viewport
    return identity_of(IdentityBody.model_construct(viewport=viewport, **{name: getattr(body, name) for name in names}))


def session_spec(
    body: SessionBody, tenant: str, limits: Limits, stored: Identity | None = None, *, admin: bool = False
) -> SessionSpec:
    """The spec of an API session; raises GatewayError for what cannot be had.

    `stored` is the identity that the body names, if it names one; `admin`, whether an admin asks for it.
    """
    identity = stored if isinstance(body.identity, str) else identity_of(body.identity)
    checked_flags(body.args)
    args, server, bypass = network.parted(body.args)
    launch = LaunchSpec(mode=mode_of(body.headless), args=tuple(args), stealth=body.stealth)
    return SessionSpec(
        tenant=tenant,
        kind=Kind.API,
        launch=dressed(identity, launch),
        ttl=seconds("ttl", body.ttl, limits.ttl, limits.ttl_max),
        keep=seconds("processKeepAlive", body.process_keep_alive, limits.keep, limits.ttl_max),
        idle=None
        if body.inactivity_timeout is None
        else seconds("inactivityTimeout", body.inactivity_timeout, 0, limits.ttl_max),
        persist=body.persist,
        name=body.name,
        url=body.url,
        labels=tuple(sorted(body.labels.items())),
        park=seconds("parkAfter", body.park_after, limits.park, limits.ttl_max) if body.park else None,
        checkpoint=_checkpoint(body, limits) if body.persist else None,
        dialogs=body.dialogs,
        identity=identity,
        egress=_egress(body, server, bypass, admin),
        block_ads=body.block_ads,
    )


def _egress(body: SessionBody, server: str | None, bypass: str | None, admin: bool) -> Egress:
    """What the body says of the network; `server` and `bypass` are from flags, which its `proxy` goes before."""
    asked, proxy = body.egress or EgressBody(), body.proxy
    if proxy is not None:
        through = network.upstream(proxy.server, proxy.bypass, proxy.username, proxy.password)
    else:
        through = network.upstream(server, bypass, field=f"flag {network.SERVER}", code=Code.FLAG_REFUSED)
    return Egress(
        allow=network.patterns("egress.allow", asked.allow),
        deny=network.patterns("egress.deny", asked.deny),
        opens=admin,
        rate=asked.rate_per_domain,
        connections=asked.connections_per_domain,
        breaker=asked.breaker,
        upstream=through,
    )


def _checkpoint(body: SessionBody, limits: Limits) -> float:
    given = seconds("checkpointInterval", body.checkpoint_interval, limits.checkpoint, limits.ttl_max)
    if given < limits.checkpoint_least:
        raise GatewayError(Code.BAD_REQUEST, f"checkpointInterval: at least {limits.checkpoint_least * 1000:g} ms")
    return given


def seconds(name: str, given: int | None, default: float, ceiling: float) -> float:
    """Milliseconds from a caller as seconds; raises BAD_REQUEST above the ceiling."""
    if given is None:
        return min(default, ceiling)
    if given / 1000 > ceiling:
        raise GatewayError(Code.BAD_REQUEST, f"{name}: at most {int(ceiling * 1000)} ms is allowed here")
    return given / 1000


def mode_of(headless: Headless) -> Mode:
    """Puppeteer's `headless`."""
    if headless == "shell":
        return Mode.SHELL
    return Mode.HEADED if headless in (False, "false") else Mode.HEADLESS


def checked_flags(flags: list[str]) -> tuple[str, ...]:
    """Chromium flags from a caller; raises FLAG_REFUSED naming the first that is not allowed."""
    try:
        return tuple(check_flag(flag) for flag in flags)
    except FlagRefused as error:
        raise GatewayError(Code.FLAG_REFUSED, str(error)) from None
