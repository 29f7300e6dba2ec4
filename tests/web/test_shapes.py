import json
from typing import Any

import pytest

from browser_pool.spec import LaunchSpec, Mode
from gateway.errors import Code, GatewayError
from gateway.records import Egress, Identity, Kind, Limits, Upstream
from gateway.web.shapes import (
    AmendBody,
    LaunchBody,
    RestoreBody,
    RestoreFrom,
    SessionBody,
    Shape,
    checked_flags,
    mode_of,
    read,
    seconds,
    session_spec,
)

LIMITS = Limits(ttl_max=3600, keep=30, reconnect=60, reconnect_max=600)


def session(**body: Any) -> SessionBody:
    return read(SessionBody, body, "body")


def refusal(body: object, shape: type[Shape] = SessionBody) -> tuple[Code, str]:
    with pytest.raises(GatewayError) as refused:
        read(shape, body, "body")
    return refused.value.code, refused.value.message


def unmet(**body: Any) -> tuple[Code, str]:
    with pytest.raises(GatewayError) as refused:
        session_spec(session(**body), "t", LIMITS)
    return refused.value.code, refused.value.message


def test_an_empty_body_is_all_defaults() -> None:
    spec = session_spec(session(), "t", LIMITS)
    assert (spec.tenant, spec.kind, spec.launch) == ("t", Kind.API, LaunchSpec())
    assert (spec.ttl, spec.keep, spec.persist) == (300, 30, True)
    assert (spec.name, spec.url, spec.labels, spec.source) == (None, None, (), None)


def test_a_full_body() -> None:
    spec = session_spec(
        session(
            ttl=60_000,
            processKeepAlive=0,
            persist=False,
            name="shop",
            stealth=True,
            headless="shell",
            args=["--lang=de", "--mute-audio"],
            url="https://example.com/",
            labels={"b": "2", "a": "1"},
            proxy={"server": "socks5://127.0.0.1:1080", "username": "u", "password": "hunter2", "bypass": "*.local"},
            egress={
                "allow": ["*.shop.example"],
                "deny": ["a.shop.example"],
                "ratePerDomain": 2,
                "connectionsPerDomain": 3,
            },
            identity={
                "userAgent": "Agent",
                "locale": "de-AT",
                "timezone": "Europe/Vienna",
                "viewport": {"width": 800, "height": 600, "deviceScaleFactor": 2},
                "geolocation": {"latitude": 48.2, "longitude": 16},
                "extraHeaders": {"X-Team": "red", "Authorization": "Basic x"},
            },
        ),
        "t",
        LIMITS,
    )
    assert spec.launch == LaunchSpec(
        mode=Mode.SHELL,
        args=("--lang=de", "--mute-audio", "--accept-lang=de-AT,de;q=0.9"),
        user_agent="Agent",
        locale="de-AT",
        timezone="Europe/Vienna",
        viewport=(800, 600),
        device_scale_factor=2,
        stealth=True,
    )
    assert (spec.ttl, spec.keep, spec.persist, spec.name) == (60, 0, False, "shop")
    assert spec.url == "https://example.com/"
    assert spec.labels == (("a", "1"), ("b", "2"))
    assert spec.identity == Identity(
        user_agent="Agent",
        locale="de-AT",
        timezone="Europe/Vienna",
        viewport=(800, 600),
        device_scale_factor=2,
        geolocation=(48.2, 16, 20),
        extra_headers=(("Authorization", "Basic x"), ("X-Team", "red")),
    )
    assert spec.egress == Egress(
        ("*.shop.example",),
        ("a.shop.example",),
        rate=2,
        connections=3,
        upstream=Upstream("socks5", "127.0.0.1", 1080, "u", "hunter2", ("*.local",)),
    )
    assert "Basic" not in repr(spec)
    assert "hunter2" not in repr(spec)


def test_an_identity_that_is_stored() -> None:
    stored = Identity(timezone="Asia/Tokyo", extra_headers=(("X-Team", "red"),))
    spec = session_spec(session(identity="mine"), "t", LIMITS, stored)
    assert (spec.identity, spec.launch) == (stored, LaunchSpec(timezone="Asia/Tokyo"))


def test_the_scale_of_an_identity_stands_over_that_of_its_viewport() -> None:
    viewport = {"width": 8, "height": 6, "deviceScaleFactor": 2}
    for given, wanted in (({}, 2), ({"deviceScaleFactor": 3}, 3)):
        spec = session_spec(session(identity={"viewport": viewport, **given}), "t", LIMITS)
        assert spec.launch.device_scale_factor == wanted


def test_the_default_life_is_no_longer_than_allowed() -> None:
    limits = Limits(ttl_max=100, keep=200, reconnect=60, reconnect_max=600)
    spec = session_spec(session(), "t", limits)
    assert (spec.ttl, spec.keep) == (100, 100)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"colour": "red"}, "'colour'"),
        ({"process_keep_alive": 1}, "'process_keep_alive'"),
        ({"identity": {"colour": "red"}}, "'identity.colour'"),
        ({"identity": {"viewport": {"width": 1, "height": 1, "depth": 1}}}, "'identity.viewport.depth'"),
        ({"proxy": {"server": "a", "pass": "b"}}, "'proxy.pass'"),
        ({"restore": {"session": "x", "version": 1}}, "'restore.version'"),
    ],
)
def test_unknown_fields_are_named_with_their_place(body: dict[str, Any], field: str) -> None:
    assert refusal(body) == (Code.UNKNOWN_FIELD, f"body: there is no field {field}")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ttl": "60000"}, "ttl"),
        ({"ttl": 0}, "ttl"),
        ({"ttl": -1}, "ttl"),
        ({"ttl": 1.5}, "ttl"),
        ({"ttl": True}, "ttl"),
        ({"processKeepAlive": -1}, "processKeepAlive"),
        ({"name": ""}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"headless": "perhaps"}, "headless"),
        ({"args": "--lang=de"}, "args"),
        ({"args": ["\ud800"]}, "args.0"),
        ({"name": "\ud800"}, "name"),
        ({"url": "https://a/\ud800"}, "url"),
        ({"labels": {"a": "\ud800"}}, "labels.a"),
        ({"labels": {"\ud800": "a"}}, "labels"),
        ({"identity": {"userAgent": "\ud800"}}, "identity.userAgent"),
        ({"identity": 5}, "identity: Input should be a valid string"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"labels": {"a": 1}}, "labels.a"),
        ({"labels": {"a": "x" * 257}}, "labels.a"),
        ({"labels": {str(number): "x" for number in range(33)}}, "labels"),
        ({"identity": {"userAgent": "a\r\nb"}}, "identity.userAgent"),
        ({"identity": {"userAgent": "a\u0000"}}, "identity.userAgent"),
        ({"identity": {"userAgent": "a\n"}}, "identity.userAgent"),
        ({"identity": {"locale": "de_DE"}}, "identity.locale"),
        ({"identity": {"timezone": ":/etc/passwd"}}, "identity.timezone"),
        ({"identity": {"viewport": {"width": 0, "height": 1}}}, "identity.viewport.width"),
        ({"identity": {"viewport": {"width": 1}}}, "identity.viewport.height"),
        ({"identity": {"geolocation": {"latitude": 1}}}, "identity.geolocation.longitude"),
        ({"identity": {"geolocation": {"latitude": 91, "longitude": 1}}}, "identity.geolocation.latitude"),
        ({"identity": {"extraHeaders": {"a b": "c"}}}, "identity.extraHeaders.a b"),
        ({"identity": {"extraHeaders": {"a": "b\r\nc: d"}}}, "identity.extraHeaders.a"),
        ({"identity": {"extraHeaders": {"a": "b", "A": "c"}}}, "identity.extraHeaders: Value error, a header is given"),
        ({"identity": {"extraHeaders": {"Host": "b"}}}, "identity.extraHeaders: Value error, Host cannot be set"),
        ({"identity": {"extraHeaders": {"Sec-CH-UA": "b"}}}, "identity.extraHeaders: Value error, Sec-CH-UA cannot"),
        ({"proxy": {"server": "http://user:pass@host"}}, "proxy.server"),
        ({"proxy": {"server": "a;b=c"}}, "proxy.server"),
        ({"context": []}, "context"),
        ({"restore": {"session": "x", "snapshot": 0}}, "restore.snapshot"),
    ],
)
def test_bad_values_are_named(body: dict[str, Any], field: str) -> None:
    code, message = refusal(body)
    assert code is Code.BAD_REQUEST
    assert message.startswith(f"body: {field}")


@pytest.mark.parametrize("body", [[], "text", 1, None])
def test_what_is_no_object(body: object) -> None:
    assert refusal(body)[1].startswith("body: the whole: ")


@pytest.mark.parametrize("shape", [SessionBody, RestoreBody, AmendBody])
def test_labels_are_the_same_everywhere(shape: type[Shape]) -> None:
    assert refusal({"labels": {str(number): "x" for number in range(33)}}, shape)[0] is Code.BAD_REQUEST
    assert refusal({"labels": {"": "x"}}, shape)[0] is Code.BAD_REQUEST
    assert refusal({"labels": {"x" * 65: "x"}}, shape)[0] is Code.BAD_REQUEST
    assert read(shape, {"labels": {"x": "y"}}, "body")


@pytest.mark.parametrize("field", ["locale", "timezone", "userAgent"])
def test_a_websockets_launch_is_as_careful(field: str) -> None:
    assert refusal({field: "a\u0000b"}, LaunchBody)[0] is Code.BAD_REQUEST
    assert refusal({field: ""}, LaunchBody)[0] is Code.BAD_REQUEST


def test_a_websockets_launch_in_puppeteers_words() -> None:
    body = read(
        LaunchBody,
        {
            "headless": False,
            "args": ["--lang=de"],
            "ignoreHTTPSErrors": True,
            "defaultViewport": {"width": 1, "height": 2},
        },
        "launch",
    )
    assert body.ignore_https_errors
    assert body.default_viewport is not None
    assert (body.default_viewport.width, body.default_viewport.height) == (1, 2)
    assert mode_of(body.headless) is Mode.HEADED


def test_a_restore_by_id_or_with_a_version() -> None:
    assert session(restore="an-id").restore == "an-id"
    assert session(restore={"session": "an-id", "snapshot": 2}).restore == RestoreFrom(session="an-id", snapshot=2)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"egress": {"allow": ["a b"]}}, Code.BAD_REQUEST, "egress.allow"),
        ({"egress": {"deny": ["10.0.0.0/33"]}}, Code.BAD_REQUEST, "egress.deny"),
        ({"proxy": {"server": "socks4://p:1"}}, Code.BAD_REQUEST, "proxy"),
        ({"proxy": {"server": "p", "username": "u:v"}}, Code.BAD_REQUEST, "proxy"),
        ({"args": ["--proxy-server=ftp://p"]}, Code.FLAG_REFUSED, "flag --proxy-server"),
    ],
)
def test_what_cannot_be_honoured_is_refused_in_words(body: dict[str, Any], code: Code, field: str) -> None:
    found, message = unmet(**body)
    assert found is code
    assert message.startswith(f"{field}: ")


def test_flags_of_a_proxy_are_its_terms() -> None:
    flags = ["--proxy-server=p:1", "--lang=de", "--proxy-bypass-list=*.local"]
    spec = session_spec(session(args=flags), "t", LIMITS, admin=True)
    assert spec.launch == LaunchSpec(args=("--lang=de",))
    assert spec.egress == Egress(opens=True, upstream=Upstream("http", "p", 1, bypass=("*.local",)))
    spec = session_spec(session(args=flags, proxy={"server": "q:2"}), "t", LIMITS)
    assert spec.egress == Egress(upstream=Upstream("http", "q", 2))


def test_what_asks_for_nothing_is_no_trouble() -> None:
    assert session_spec(session(egress={}, identity={}, proxy=None), "t", LIMITS).identity is None


def test_times_beyond_the_ceiling() -> None:
    assert unmet(ttl=3_600_001) == (Code.BAD_REQUEST, "ttl: at most 3600000 ms is allowed here")
    assert unmet(processKeepAlive=3_600_001)[1].startswith("processKeepAlive: ")
    assert session_spec(session(ttl=3_600_000), "t", LIMITS).ttl == 3600


def test_seconds() -> None:
    assert seconds("x", 1500, 9, 10) == 1.5
    assert seconds("x", None, 9, 10) == 9
    assert seconds("x", None, 90, 10) == 10


@pytest.mark.parametrize(
    ("headless", "mode"),
    [
        (True, Mode.HEADLESS),
        ("true", Mode.HEADLESS),
        ("new", Mode.HEADLESS),
        (False, Mode.HEADED),
        ("false", Mode.HEADED),
        ("shell", Mode.SHELL),
    ],
)
def test_puppeteers_headless(headless: bool | str, mode: Mode) -> None:
    assert mode_of(session(headless=json.loads(json.dumps(headless))).headless) is mode


def test_flags() -> None:
    assert checked_flags(["--lang=de"]) == ("--lang=de",)
    with pytest.raises(GatewayError, match="no-sandbox") as refused:
        checked_flags(["--lang=de", "--no-sandbox", "--user-data-dir=/"])
    assert refused.value.code is Code.FLAG_REFUSED
