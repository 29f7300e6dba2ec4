"""The operations of Browserless's dialect, for the API's document."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.web.browserless_shapes import (
    ContentBody,
    PDFBody,
    PerformanceAnswer,
    PerformanceBody,
    ScrapeAnswer,
    ScrapeBody,
    ScreenshotBody,
)
from gateway.web.operation import Example, Operation, Parameter, Reply, refused

BOOLEAN: Mapping[str, Any] = {"type": "boolean"}
MILLISECONDS: Mapping[str, Any] = {"type": "integer", "minimum": 1}
QUERY = (
    Parameter("timeout", "ms that the request's work may take once it began; 30000 if not given.", MILLISECONDS),
    Parameter("sessionId", "Not in a browser of its own, but in a new tab of this session, beside its driver."),
    Parameter("launch", "How the browser is started, as of a websocket: JSON or base64 of JSON."),
    Parameter("headless", "As Puppeteer has it.", {"enum": ["true", "false", "shell", "new", ""]}),
    Parameter("stealth", "A browser that does not look automated.", BOOLEAN),
    Parameter("blockAds", "Requests for ads and trackers are not made.", BOOLEAN),
    Parameter("proxyServer", "A proxy for all its traffic."),
    Parameter("trackingId", "Accepted; a page request is no session that could be found by it."),
)
WORDS = (
    "In a fresh context of a browser that the tenant's requests of one kind share; they begin in order of arrival. "
    "Chromium flags are parameters too: `--lang=de`."
)
FAILS = refused(404, 408, 409, 410, 422, 502)
SERVICES = (
    Operation(
        "POST /content",
        "A page's HTML, rendered",
        {200: Reply("The HTML.", media="text/html"), **FAILS},
        ContentBody,
        parameters=QUERY,
        examples=(
            Example("a page", {"url": "URL"}),
            Example(
                "some HTML, once its script is through",
                {
                    "html": "<p id=a></p><script>setTimeout(() => document.body.className = 'done')</script>",
                    "waitForSelector": {"selector": "body.done", "timeout": 10000},
                },
            ),
        ),
        words=WORDS,
    ),
    Operation(
        "POST /screenshot",
        "A picture of a page",
        {
            200: Reply(
                "The picture; with `encoding: base64` text.",
                media="image/png",
                also=("image/jpeg", "image/webp", "text/plain"),
            ),
            **FAILS,
        },
        ScreenshotBody,
        parameters=QUERY,
        examples=(
            Example("all of a page", {"url": "URL", "options": {"fullPage": True, "type": "jpeg", "quality": 80}}),
            Example(
                "one element of some HTML",
                {"html": "<h1>Hello</h1>", "selector": "h1", "viewport": {"width": 640, "height": 480}},
            ),
        ),
        words=WORDS,
    ),
    Operation(
        "POST /pdf",
        "A page as a PDF",
        {200: Reply("The PDF.", media="application/pdf"), **FAILS},
        PDFBody,
        parameters=QUERY,
        examples=(
            Example(
                "A4, with colours",
                {"url": "URL", "options": {"format": "A4", "printBackground": True, "margin": {"top": "1cm"}}},
            ),
        ),
        words=WORDS,
    ),
    Operation(
        "POST /scrape",
        "What selectors find in a page",
        {200: Reply("In the order of `elements`.", ScrapeAnswer), **FAILS},
        ScrapeBody,
        parameters=QUERY,
        examples=(
            Example("headings", {"html": "<h1>Hello</h1><h1 class=b>again</h1>", "elements": [{"selector": "h1"}]}),
        ),
        words=WORDS,
    ),
    Operation(
        "POST /performance",
        "How fast a page was",
        {200: Reply("What the browser measured itself; no Lighthouse report.", PerformanceAnswer), **FAILS},
        PerformanceBody,
        parameters=QUERY,
        examples=(Example("a page", {"url": "URL"}),),
        words=WORDS,
    ),
)
ENGINE = Parameter("engine", "Both are the same Chromium.", {"enum": ["chromium", "chrome"]}, where="path")
NOT_SERVED = "Not served"


def _engined(operation: Operation) -> Operation:
    method, _, path = operation.name.partition(" ")
    return replace(
        operation,
        name=f"{method} /{{engine}}{path}",
        summary=f"{operation.summary}, by another name",
        parameters=(ENGINE, *operation.parameters),
        examples=(),
    )


_ALL = (
    *SERVICES,
    *(_engined(one) for one in SERVICES),
    Operation(
        "GET /kill/{target}",
        "End sessions",
        {204: Reply("They have ended."), **refused(404, 503)},
        parameters=(
            Parameter("target", "A session's id, a `trackingId`, or `all` of the tenant that run.", where="path"),
        ),
    ),
    Operation("POST /function", NOT_SERVED, refused(422), words="No caller's code is run on this server."),
    Operation("POST /download", NOT_SERVED, refused(422), words="No caller's code is run on this server."),
    Operation("POST /unblock", NOT_SERVED, refused(422), words="Nothing gets round a site's defences here."),
)
OPERATIONS = tuple(replace(one, dialect="browserless") for one in _ALL)
