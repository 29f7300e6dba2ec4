"""Bodies of Browserless's Session API in native words."""

from typing import Any

import pytest

from gateway.errors import Code, GatewayError
from gateway.web.browserless_session import native
from gateway.web.shapes import SessionBody, read


def test_what_its_documents_show() -> None:
    body = {
        "ttl": 300000,
        "processKeepAlive": 10000,
        "stealth": True,
        "headless": False,
        "args": ["--lang=de"],
        "browser": "chromium",
        "blockAds": True,
        "replay": False,
        "trackingId": "mine",
        "url": "https://example.com/",
        "proxy": {"server": "http://proxy.example:8080", "username": "u", "password": "p"},
    }
    read_body = read(SessionBody, native(body), "body")
    assert read_body.labels == {"trackingId": "mine"}
    assert (read_body.ttl, read_body.headless, read_body.stealth) == (300000, False, True)
    assert "browser" in body, "the body itself is left as it was"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"replay": True}, "replay: sessions are not recorded"),
        ({"solveCaptchas": True}, "solveCaptchas"),
        ({"browser": "firefox"}, "browser: one of chromium, chrome"),
        ({"proxy": {"type": "residential", "country": "us"}}, r"proxy\.country: this gateway has no proxies"),
    ],
    ids=["replay", "captchas", "firefox", "residential"],
)
def test_what_is_not_here_is_said(body: dict[str, Any], words: str) -> None:
    with pytest.raises(GatewayError, match=words) as refused:
        native(body)
    assert refused.value.code is Code.UNSUPPORTED


@pytest.mark.parametrize(
    "body", [None, [], "x", {"labels": 1, "trackingId": "x"}, {"trackingId": 1}, {"proxy": 1}], ids=repr
)
def test_what_is_no_body_is_left_to_be_refused(body: object) -> None:
    with pytest.raises(GatewayError) as refused:
        read(SessionBody, native(body), "body")
    assert refused.value.code in (Code.BAD_REQUEST, Code.UNKNOWN_FIELD)
