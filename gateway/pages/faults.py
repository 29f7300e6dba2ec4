"""What callers are told of a page that fails, and never what they typed or what a page holds; what they may ask for."""

import re
from urllib.parse import urlsplit

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from gateway.errors import Code, GatewayError

SCHEMES = ("http", "https", "data", "about")  # Chromium's own pages and the machine's files are nobody's
_NET = re.compile(r"net::(ERR_[A-Z_0-9]+)")
_NAVIGATED = re.compile(r"Execution context was destroyed|frame was detached|Target page, context or browser has been")


def checked_url(url: str, field: str = "url") -> str:
    """The same; raises BAD_REQUEST for what pages are not loaded from."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme.lower() not in SCHEMES or (parts.scheme.lower() in ("http", "https") and not parts.netloc):
        raise GatewayError(Code.BAD_REQUEST, f"{field}: an absolute http or https URL is wanted")
    return url


def css(selector: str) -> str:
    """A selector as Playwright takes it: CSS, unless it says otherwise in Puppeteer's or Playwright's way."""
    for prefix, engine in (("xpath/", "xpath="), ("text/", "text="), ("pierce/", "css=")):
        if selector.startswith(prefix):
            return engine + selector.removeprefix(prefix)
    if selector.startswith(("css=", "xpath=", "text=", "//", "(//")):
        return selector
    return f"css={selector}"


def told(error: PlaywrightError, page: Page | None = None) -> GatewayError:
    """What a caller is told of an error of Playwright's: never its call log, which may have what was typed."""
    if (net := _NET.search(error.message)) is not None:
        return GatewayError(Code.PAGE_UNREACHABLE, f"the page could not be loaded: {net[1]}")
    if "crashed" in error.message:
        return GatewayError(Code.PAGE_CRASHED, "the page crashed")
    if "selector" in error.message and ("not a valid" in error.message or "parsing" in error.message):
        return GatewayError(Code.BAD_REQUEST, f"selector: {first_line(error)}")
    if "Download is starting" in error.message:
        return GatewayError(Code.PAGE_UNREACHABLE, "the URL is a download, not a page")
    if isinstance(error, PlaywrightTimeout):
        return GatewayError(Code.WAIT_FAILED, first_line(error))
    if page is not None and page.is_closed():
        return GatewayError(Code.PAGE_CRASHED, "the page was closed in the middle of it")
    return GatewayError(Code.PAGE_FAILED, first_line(error))


def moved(error: PlaywrightError) -> bool:
    """Whether the page went elsewhere, or is gone: what was asked of it is no fault of the question."""
    return _NAVIGATED.search(error.message) is not None


def first_line(error: PlaywrightError) -> str:
    """The first line, without the name of the method."""
    line = error.message.strip().partition("\n")[0]
    return re.sub(r"^[A-Z][A-Za-z]+\.[a-z_]+: ", "", line)[:300]
