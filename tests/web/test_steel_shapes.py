"""What Steel's create asks for, as a session of ours; and what is refused, in words that name the field."""

from typing import Any

import pytest

from browser_pool.spec import Mode
from gateway.errors import Code, GatewayError
from gateway.records import Kind, Limits, SessionSpec, Thrift, Upstream
from gateway.web.shapes import read
from gateway.web.steel_shapes import BRIEF, REFUSED, CreateBody, context_of, session_spec

LIMITS = Limits(ttl_max=3600, keep=30, reconnect=60, reconnect_max=3600)


def spec(**body: Any) -> SessionSpec:
    return session_spec(read(CreateBody, body, "body"), "red", LIMITS, admin=False)


def refused(**body: Any) -> tuple[Code, str]:
    with pytest.raises(GatewayError) as error:
        spec(**body)
    return error.value.code, error.value.message


def test_a_session_that_says_nothing_lives_five_minutes_whoever_comes_and_goes() -> None:
    made = spec()
    assert (made.kind, made.tenant, made.persist) == (Kind.API, "red", True)
    assert made.ttl == made.keep == 300
    assert made.idle is None
    assert made.launch.mode is Mode.HEADLESS
    assert made.launch.stealth
    assert made.launch.viewport == (1920, 1080)
    assert made.egress.upstream is None
    assert made.thrift is None
    assert made.labels == ()


def test_nulls_are_nothing() -> None:
    names = [field.alias or name for name, field in CreateBody.model_fields.items()]
    assert spec(**dict.fromkeys(names)) == spec()


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [(60_000, 60), (2000.0, 2), (1000, 1), (30, BRIEF / 1000), (0.5, BRIEF / 1000), (1e12, 3600)],
    ids=["minute", "float", "least", "the-sdks-request-timeout", "fraction", "more-than-allowed"],
)
def test_timeouts_are_clamped(sent: float, seconds: float) -> None:
    assert spec(timeout=sent).ttl == seconds
    assert spec(apiTimeout=sent).ttl == seconds
    assert spec(timeout=sent, apiTimeout=5000).ttl == seconds


def test_no_timeout_below_nothing() -> None:
    assert refused(timeout=0)[1].startswith("body: timeout:")
    assert refused(inactivityTimeout=-1)[1].startswith("body: inactivityTimeout:")


def test_what_can_be_had() -> None:
    made = spec(
        inactivityTimeout=2500,
        userAgent="Agent/1",
        dimensions={"width": 800, "height": 600},
        deviceConfig={"device": "desktop"},
        headless=False,
        blockAds=True,
        namespace="crew",
        projectId="p1",
        stealthConfig={"skipFingerprintInjection": True, "humanizeInteractions": False},
        extensionIds=["reader", "clock"],
        debugConfig={"interactive": False},
    )
    assert made.idle == 2.5
    assert made.launch.user_agent == "Agent/1"
    assert made.launch.viewport == (800, 600)
    assert made.launch.mode is Mode.HEADED
    assert not made.launch.stealth
    assert made.launch.args == ("--load-extension=reader,clock",)
    assert made.block_ads
    assert dict(made.labels) == {"namespace": "crew", "projectId": "p1"}
    assert spec(namespace="default").labels == ()
    assert spec(inactivityTimeout=5).idle == 1


def test_harmless_defaults_are_taken() -> None:
    made = spec(
        solveCaptcha=False,
        isSelenium=False,
        useProxy=False,
        region=None,
        extensionIds=[],
        caCertificates=[],
        experimentalFeatures=[],
        concurrency=1,
        optimizeBandwidth=False,
        blockAds=False,
        persistProfile=False,
        fullscreen=False,
        stealthConfig={"autoCaptchaSolving": False},
        debugConfig={"interactive": False, "systemCursor": False},
    )
    assert made == spec()
    assert spec(fullscreen=True, headless=True) == spec(), "a page has all of a headless window"


ASKED: dict[str, dict[str, Any]] = {
    "solveCaptcha": {"solveCaptcha": True},
    "stealthConfig.autoCaptchaSolving": {"stealthConfig": {"autoCaptchaSolving": True}},
    "stealthConfig.humanizeInteractions": {"stealthConfig": {"humanizeInteractions": True}},
    "isSelenium": {"isSelenium": True},
    "region": {"region": "lax"},
    "useProxy": {"useProxy": True},
    "useProxy.geolocation": {"useProxy": {"geolocation": {"country": "US"}}},
    "useProxy.type": {"useProxy": {"type": "fixed"}},
    "deviceConfig.device": {"deviceConfig": {"device": "mobile"}},
    "debugConfig.interactive": {"debugConfig": {"interactive": True}},
    "debugConfig.systemCursor": {"debugConfig": {"systemCursor": True}},
    "credentials": {"credentials": {}},
    "caCertificates": {"caCertificates": ["-----BEGIN"]},
    "experimentalFeatures": {"experimentalFeatures": ["x"]},
    "extensionIds": {"extensionIds": ["all_ext"]},
    "concurrency": {"concurrency": 3},
    "fullscreen": {"fullscreen": True, "headless": False},
}


@pytest.mark.parametrize("field", [field for field, _, _ in REFUSED])
def test_what_cannot_be_had_is_named_with_the_reason(field: str) -> None:
    code, words = refused(**ASKED[field])
    assert code is Code.UNSUPPORTED
    assert words.startswith(f"{field}: ")
    assert len(words) > len(field) + 10


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({"timout": 5}, Code.UNKNOWN_FIELD, "timout"),
        ({"sessionId": "mine"}, Code.BAD_REQUEST, "sessionId"),
        ({"timeout": "30"}, Code.BAD_REQUEST, "timeout"),
        ({"dimensions": {"width": 800}}, Code.BAD_REQUEST, "dimensions.height"),
        ({"dimensions": {"width": 0, "height": 5}}, Code.BAD_REQUEST, "dimensions.width"),
        ({"useProxy": {}}, Code.BAD_REQUEST, "useProxy"),
        ({"useProxy": {"server": "ftp://a"}}, Code.BAD_REQUEST, "useProxy.server"),
        ({"proxyUrl": "http://user:hidden@"}, Code.BAD_REQUEST, "proxyUrl"),
        ({"optimizeBandwidth": {"blockFonts": True}}, Code.UNKNOWN_FIELD, "blockFonts"),
        ({"optimizeBandwidth": {"blockHosts": ["https://a.example"]}}, Code.BAD_REQUEST, "blockHosts"),
        ({"extensionIds": ["../x"]}, Code.FLAG_REFUSED, "--load-extension"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_is_wrong_is_named(body: dict[str, Any], code: Code, named: str) -> None:
    found, words = refused(**body)
    assert found is code, words
    assert named in words
    assert "hidden" not in words


def test_proxies_of_ones_own() -> None:
    own = Upstream("http", "proxy.example", 8080, "me", "p@ss")
    assert spec(proxyUrl="http://me:p%40ss@proxy.example:8080").egress.upstream == own
    assert spec(useProxy={"server": "http://me:p%40ss@proxy.example:8080"}).egress.upstream == own
    assert spec(useProxy=True, proxyUrl="http://me:p%40ss@proxy.example:8080").egress.upstream == own, "it goes before"
    assert "p@ss" not in repr(read(CreateBody, {"proxyUrl": "http://me:p@ss@proxy.example"}, "body"))


def test_bandwidth() -> None:
    assert spec(optimizeBandwidth=True).thrift == Thrift(frozenset({"image", "media", "stylesheet"}))
    some = {"blockImages": True, "blockMedia": False, "blockHosts": ["cdn.example"], "blockUrlPatterns": ["*.woff2"]}
    assert spec(optimizeBandwidth=some).thrift == Thrift(frozenset({"image"}), ("cdn.example",), ("*.woff2",))
    assert spec(optimizeBandwidth={}).thrift is None


def test_contexts() -> None:
    assert context_of(None) is None
    assert context_of({}) is None
    assert context_of({"cookies": None, "local_storage": None}) is None
    cookie = {"name": "a", "value": "b", "domain": "example.com", "http_only": True, "path": "/"}
    found = context_of({"cookies": [cookie]})
    assert found is not None
    assert found.cookies[0].http_only
    other = context_of({"cookies": [], "origins": [{"origin": "https://a.example", "localStorage": []}]})
    assert other is not None, "one of another format is as good"
    with pytest.raises(GatewayError) as error:
        context_of({"cookies": [{"name": "a"}]})
    assert "sessionContext.cookies[0]" in error.value.message
