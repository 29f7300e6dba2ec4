"""What callers are told: the first line, never the log of calls."""

import pytest
from playwright.async_api import Error, TimeoutError

from gateway.errors import Code, GatewayError
from gateway.pages.faults import checked_url, css, first_line, moved, told

LOG = "\nCall log:\n  - fill(secret)\n"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Error(f"Page.goto: net::ERR_NAME_NOT_RESOLVED at http://x/?k=secret{LOG}"), Code.PAGE_UNREACHABLE, "ERR_NAME"),
        (Error("Page.goto: Page crashed"), Code.PAGE_CRASHED, "crashed"),
        (Error(f"Page.goto: Download is starting{LOG}"), Code.PAGE_UNREACHABLE, "download"),
        (Error("Page.q: Unexpected token while parsing css selector"), Code.BAD_REQUEST, "selector"),
        (TimeoutError(f"Page.fill: Timeout 10ms exceeded.{LOG}"), Code.WAIT_FAILED, "Timeout 10ms"),
        (Error(f"Page.click: It is odd{LOG}"), Code.PAGE_FAILED, "It is odd"),
    ],
    ids=["net", "crash", "download", "selector", "timeout", "other"],
)
def test_what_is_told(error: Error, code: Code, words: str) -> None:
    found = told(error)
    assert found.code is code
    assert words in found.message
    assert "secret" not in found.message
    assert not first_line(error).startswith("Page.")


def test_a_page_that_went_elsewhere() -> None:
    assert moved(Error("Page.evaluate: Execution context was destroyed, most likely because of a navigation"))
    assert not moved(Error("Page.evaluate: nothing of the kind"))


@pytest.mark.parametrize("url", ["https://a/b", "HTTP://a", "data:text/html,x", "about:blank"])
def test_urls_that_are_visited(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url", ["", "a/b", "//a", "file:///etc/passwd", "chrome://version", "http:/a", "http://[", "javascript:1"]
)
def test_urls_that_are_not(url: str) -> None:
    with pytest.raises(GatewayError, match=r"^field: an absolute"):
        checked_url(url, "field")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("a > b", "css=a > b"), ("xpath///a", "xpath=//a"), ("//a", "//a"), ("text/Go", "text=Go"), ("css=a", "css=a")],
)
def test_selectors(given: str, wanted: str) -> None:
    assert css(given) == wanted
