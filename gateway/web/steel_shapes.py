"""What Steel's SDKs send, and what that means here. Translation only; `steel.py` has the handlers.

Field names and their meaning are those of steel-sdk (`SessionCreateParams`, `Session`). Times in ms. A null is as good
as nothing: the SDK for Python sends them. What would change the result and cannot be had is refused with 422.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from browser_pool.spec import LaunchSpec, Mode
from gateway.errors import Code, GatewayError
from gateway.identity.launch import launch as dressed
from gateway.records import Egress, Identity, Kind, Limits, SessionSpec, Thrift, Upstream
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.formats import parse_any
from gateway.snapshot.steel import from_steel
from gateway.web import network
from gateway.web.shapes import Plain, Shape, Text, checked_flags

LEAST = 1000  # ms: what is less was not meant so,
BRIEF = 10_000  # and becomes this. The SDK for Python sends its own request timeout, in seconds, as `timeout`
DIMENSIONS = (1920, 1080)  # of a session that says nothing
THRIFTY = ("image", "media", "stylesheet")
NAMESPACE, PROJECT = "namespace", "projectId"  # labels of a session

Timeout = Annotated[float, Field(gt=0, le=1e15)]
Host = Annotated[Text, Field(min_length=1, max_length=300, pattern=r"^[^\s/@:*]*\.?[^\s/@:*]+$")]
Part = Annotated[Text, Field(min_length=1, max_length=2000)]


class Sent(Shape):
    """JSON's types as they are: no number in a string."""

    model_config = ConfigDict(strict=True)


class Dimensions(Sent):
    """CSS pixels."""

    width: Annotated[int, Field(ge=1, le=16384)]
    height: Annotated[int, Field(ge=1, le=16384)]


class BandwidthBody(Sent):
    """What pages shall not load. Hosts with all under them; parts of URLs, in which `*` stands for anything."""

    block_images: bool | None = None
    block_media: bool | None = None
    block_stylesheets: bool | None = None
    block_hosts: Annotated[list[Host], Field(max_length=1000)] | None = None
    block_url_patterns: Annotated[list[Part], Field(max_length=200)] | None = None


class StealthBody(Sent):
    """How the browser looks to pages."""

    humanize_interactions: bool | None = None
    skip_fingerprint_injection: bool | None = None
    auto_captcha_solving: bool | None = None


class DebugBody(Sent):
    """The viewer at `debugUrl`."""

    interactive: bool | None = None
    system_cursor: bool | None = None


class DeviceBody(Sent):
    """What kind of device the browser is on."""

    device: Literal["desktop", "mobile"] | None = None


class ProxyBody(Sent):
    """`useProxy` as an object."""

    server: Annotated[Text, Field(min_length=1, max_length=1024)] | None = Field(default=None, repr=False)
    geolocation: dict[str, Any] | None = None
    type: Literal["fixed"] | None = None
    id: str | None = None


class CreateBody(Sent):
    """`POST /v1/sessions`."""

    timeout: Timeout | None = None
    api_timeout: Timeout | None = None
    inactivity_timeout: Timeout | None = None
    session_context: dict[str, Any] | None = Field(default=None, repr=False)
    session_id: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")] | None = None
    user_agent: Plain | None = None
    dimensions: Dimensions | None = None
    device_config: DeviceBody | None = None
    proxy_url: Annotated[Text, Field(min_length=1, max_length=1024)] | None = Field(default=None, repr=False)
    use_proxy: bool | ProxyBody | None = None
    headless: bool | None = None
    fullscreen: bool | None = None
    namespace: Annotated[Text, Field(min_length=1, max_length=256)] | None = None
    project_id: Annotated[Text, Field(min_length=1, max_length=256)] | None = None
    block_ads: bool | None = None
    optimize_bandwidth: bool | BandwidthBody | None = None
    stealth_config: StealthBody | None = None
    debug_config: DebugBody | None = None
    persist_profile: bool | None = None
    profile_id: Annotated[Text, Field(min_length=1, max_length=256)] | None = None
    solve_captcha: bool | None = None
    is_selenium: bool | None = None
    region: Any = None
    credentials: dict[str, Any] | None = Field(default=None, repr=False)
    extension_ids: Annotated[list[Text], Field(max_length=100)] | None = None
    ca_certificates: Annotated[list[Text], Field(max_length=100)] | None = Field(default=None, repr=False)
    experimental_features: Annotated[list[Text], Field(max_length=100)] | None = None
    concurrency: int | None = None


class ReleaseBody(Sent):
    """`POST /v1/sessions/ID/release`: nothing, or an empty object."""


class ReleaseAllBody(Sent):
    """`POST /v1/sessions/release`: nothing, or the project that is meant."""

    project_id: Annotated[Text, Field(min_length=1, max_length=256)] | None = None


# What cannot be had: the field, whether it is asked for, and why not.
REFUSED: tuple[tuple[str, Callable[[CreateBody], bool], str], ...] = (
    (
        "solveCaptcha",
        lambda body: bool(body.solve_captcha),
        "captchas are solved by a third party, and this gateway has none",
    ),
    (
        "stealthConfig.autoCaptchaSolving",
        lambda body: bool(body.stealth_config and body.stealth_config.auto_captcha_solving),
        "captchas are solved by a third party, and this gateway has none",
    ),
    (
        "stealthConfig.humanizeInteractions",
        lambda body: bool(body.stealth_config and body.stealth_config.humanize_interactions),
        "the mouse moves as its driver says, and no other way",
    ),
    ("isSelenium", lambda body: bool(body.is_selenium), "browsers are driven over CDP here; there is no WebDriver"),
    (
        "region",
        lambda body: body.region is not None,
        "this gateway runs in one place; leave it out, or use a gateway that is where it shall be",
    ),
    (
        "useProxy",
        lambda body: body.use_proxy is True and body.proxy_url is None,
        "residential proxies belong to a third party; name your own as useProxy.server or proxyUrl",
    ),
    (
        "useProxy.geolocation",
        lambda body: isinstance(body.use_proxy, ProxyBody) and body.use_proxy.geolocation is not None,
        "proxies by place belong to a third party; name your own as useProxy.server or proxyUrl",
    ),
    (
        "useProxy.type",
        lambda body: isinstance(body.use_proxy, ProxyBody) and body.use_proxy.type is not None,
        "fixed addresses belong to a third party; name your own proxy as useProxy.server or proxyUrl",
    ),
    (
        "deviceConfig.device",
        lambda body: bool(body.device_config and body.device_config.device == "mobile"),
        "browsers have no ready-made mobile device; give a mobile userAgent and dimensions of your own",
    ),
    (
        "debugConfig.interactive",
        lambda body: bool(body.debug_config and body.debug_config.interactive),
        "the viewer shows and takes no input; DevTools at /session/ID does",
    ),
    (
        "debugConfig.systemCursor",
        lambda body: bool(body.debug_config and body.debug_config.system_cursor),
        "the viewer shows what the page draws, and that is no cursor",
    ),
    ("credentials", lambda body: body.credentials is not None, "this gateway keeps no credentials; give a context"),
    ("caCertificates", lambda body: bool(body.ca_certificates), "browsers trust the authorities of their machine only"),
    ("experimentalFeatures", lambda body: bool(body.experimental_features), "there are none here"),
    (
        "extensionIds",
        lambda body: "all_ext" in (body.extension_ids or ()),
        "name the extensions that this gateway's operator offers",
    ),
    ("concurrency", lambda body: body.concurrency not in (None, 1), "one request makes one session; send several"),
    (
        "fullscreen",
        lambda body: bool(body.fullscreen) and body.headless is False,
        "without headless the window has Chromium's own bars; with it the page has all of it",
    ),
)


def check(body: CreateBody) -> None:
    """Raises UNSUPPORTED (422) naming the first field that asks for what cannot be had, and why."""
    for field, asked, why in REFUSED:
        if asked(body):
            raise GatewayError(Code.UNSUPPORTED, f"{field}: {why}")


def session_spec(body: CreateBody, tenant: str, limits: Limits, *, admin: bool) -> SessionSpec:
    """The spec of a session that lives until its timeout, whoever comes and goes. Raises GatewayError."""
    check(body)
    size = body.dimensions or Dimensions(width=DIMENSIONS[0], height=DIMENSIONS[1])
    identity = Identity(user_agent=body.user_agent, viewport=(size.width, size.height))
    flags = [f"--load-extension={','.join(body.extension_ids)}"] if body.extension_ids else []
    stealth = body.stealth_config or StealthBody()
    launch = LaunchSpec(
        mode=Mode.HEADED if body.headless is False else Mode.HEADLESS,
        args=checked_flags(flags),
        stealth=not stealth.skip_fingerprint_injection,
    )
    given = body.timeout if body.timeout is not None else body.api_timeout
    ttl = _clamped(given, limits.ttl, limits.ttl_max)
    named = {NAMESPACE: body.namespace if body.namespace != "default" else None, PROJECT: body.project_id}
    return SessionSpec(
        tenant=tenant,
        kind=Kind.API,
        launch=dressed(identity, launch),
        ttl=ttl,
        keep=ttl,
        persist=True,
        labels=tuple((name, value) for name, value in named.items() if value is not None),
        park=limits.park,
        checkpoint=limits.checkpoint,
        idle=None if body.inactivity_timeout is None else max(body.inactivity_timeout, LEAST) / 1000,
        identity=identity,
        egress=Egress(opens=admin, upstream=_upstream(body)),
        block_ads=bool(body.block_ads),
        thrift=_thrift(body.optimize_bandwidth),
    )


def _clamped(given: float | None, usual: float, most: float) -> float:
    """ms as they are sent to seconds as they are granted."""
    if given is None:
        return min(usual, most)
    return min(int(given if given >= LEAST else BRIEF) / 1000, most)


def _upstream(body: CreateBody) -> Upstream | None:
    if body.proxy_url is not None:
        return network.upstream(body.proxy_url, None, field="proxyUrl")
    if isinstance(body.use_proxy, ProxyBody):
        if body.use_proxy.server is None:
            raise GatewayError(Code.BAD_REQUEST, "body: useProxy: true, false or {server} is wanted")
        return network.upstream(body.use_proxy.server, None, field="useProxy.server")
    return None


def _thrift(asked: bool | BandwidthBody | None) -> Thrift | None:
    if asked is None or asked is False:
        return None
    if asked is True:
        return Thrift(frozenset(THRIFTY))
    said = (asked.block_images, asked.block_media, asked.block_stylesheets)
    found = Thrift(
        frozenset(kind for kind, wanted in zip(THRIFTY, said, strict=True) if wanted),
        tuple(asked.block_hosts or ()),
        tuple(asked.block_url_patterns or ()),
    )
    return None if found == Thrift() else found


def context_of(given: Mapping[str, Any] | None) -> ContextDocument | None:
    """A `sessionContext` in any of the ways in which SDKs send it, or a context of another format; None if empty."""
    if given is None:
        return None
    others = {"origins", "tabs", "version"} & {name for name, part in given.items() if part is not None}
    found = parse_any(given, "sessionContext") if others else from_steel(given, "sessionContext")
    return None if found == ContextDocument() else found
