"""The operations beside sessions: websockets, remote debugging, and the gateway's own affairs."""

from collections.abc import Mapping
from typing import Any

from gateway.web.answers import Alive, PressureAnswer, Protocol, Ready, Target, Targets, VersionAnswer
from gateway.web.operation import Operation, Parameter, Reply, refused

HTML, TEXT, BINARY = "text/html", "text/plain", "application/octet-stream"
BOOLEAN: Mapping[str, Any] = {"type": "boolean"}
UPGRADED = {101: Reply("The websocket.")}
TAKEOVER = Parameter("takeover", "Put off the driver that is connected (close code 4002).", BOOLEAN)
STANDARD = (
    Parameter(
        "launch",
        "How the browser is started, as JSON or base64 of JSON: `headless`, `args`, `stealth`, `blockAds`, `viewport`, "
        "`userAgent`, `locale`, `timezone`, `acceptInsecureCerts`.",
    ),
    Parameter("headless", "As Puppeteer has it.", {"enum": ["true", "false", "shell", "new", ""]}),
    Parameter("timeout", "ms; the session's whole life.", {"type": "integer", "minimum": 1}),
    Parameter("stealth", "A browser that does not look automated.", BOOLEAN),
    Parameter("blockAds", "Requests for ads and trackers are not made.", BOOLEAN),
    Parameter("proxyServer", "A proxy for all its traffic."),
    Parameter("trackingId", "Becomes the session's label `trackingId`."),
    Parameter("sessionId", "Not a new session, but this running one."),
    TAKEOVER,
)
REFUSED = refused(404, 409, 410, 426, 502)
WHAT = Parameter("what", "Of what kind the target is.", {"enum": ["page", "browser"]}, where="path")
TARGET = Parameter(
    "target",
    "The target's id, as `/json/list` has it, or the browser's.",
    {"type": "string", "pattern": "^[A-Za-z0-9-]+$"},
    where="path",
)
ACTION = Parameter("action", "What is to be done with the page.", {"enum": ["activate", "close"]}, where="path")
NEW = "The whole query, but for a credential, is the URL of the new tab, as with Chromium."
OVER_ALL = "Over all running sessions that the credential may see."
ASKED = {**refused(404, 409, 410, 502)}


def _browser(path: str, name: str) -> Operation:
    return Operation(
        f"GET {path}",
        f"A browser for this client{name}",
        {**UPGRADED, **REFUSED},
        parameters=STANDARD,
        words="A standard session, which ends when its client goes, unless that asked for `reconnect`. Chromium flags "
        "are parameters too: `--lang=de`.",
    )


WEBSOCKETS = (
    Operation(
        "GET /",
        "A browser for this client",
        {200: Reply("Without an upgrade: a page for people.", media=HTML), **UPGRADED, **REFUSED},
        parameters=STANDARD,
        words="A websocket, as with `/chromium`; a web browser gets a page in its place, without a credential.",
    ),
    _browser("/chromium", ""),
    _browser("/chrome", ", by another name"),
    Operation(
        "GET /reconnect/{key}",
        "The browser that `reconnect` kept",
        {**UPGRADED, **REFUSED},
        parameters=(TAKEOVER,),
        words="With the secret that `reconnect` was given as `auth` in place of a token, if it was given one.",
    ),
    Operation(
        "GET /session/connect/{key}",
        "Drive an API session",
        {**UPGRADED, **REFUSED, **refused(422)},
        parameters=(TAKEOVER,),
        words="Revived, if its browser was put away. One driver at a time: a second one is 409.",
    ),
    Operation(
        "GET /devtools/{what}/{target}",
        "Debug beside the driver",
        {**UPGRADED, **REFUSED},
        parameters=(WHAT, TARGET),
        words=OVER_ALL,
    ),
    Operation(
        "GET /session/{key}/devtools/{what}/{target}",
        "Debug a session beside its driver",
        {**UPGRADED, **REFUSED, **refused(422)},
        parameters=(WHAT, TARGET),
    ),
    Operation(
        "GET /session/{key}/live/socket",
        "What a session's browser shows",
        {**UPGRADED, **REFUSED, **refused(422)},
        words='JPEGs (binary), and `{"url", "title"}` (text).',
    ),
)
DEBUGGING = (
    Operation(
        "GET /json/version",
        "Chromium's version",
        {200: Reply("Its `webSocketDebuggerUrl` makes a session.", VersionAnswer), **refused(404, 502)},
    ),
    Operation("GET /json", "List targets", {200: Reply("As Chromium has it.", Targets)}, words=OVER_ALL),
    Operation("GET /json/list", "List targets", {200: Reply("As Chromium has it.", Targets)}, words=OVER_ALL),
    Operation("GET /json/protocol", "CDP's description", {200: Reply("As Chromium has it.", Protocol), **refused(502)}),
    Operation(
        "PUT /json/new",
        "Open a tab",
        {200: Reply("The new target.", Target), **ASKED},
        words=f"In the one running session, or in a new one if none runs. {NEW}",
    ),
    Operation(
        "GET /json/{action}/{target}",
        "Bring a page to front, or close it",
        {200: Reply("What Chromium says.", media=BINARY), **ASKED},
        parameters=(ACTION, TARGET),
    ),
    Operation(
        "GET /session/{key}/json/version",
        "The version of a session's browser",
        {200: Reply("Its `webSocketDebuggerUrl` is for debugging clients.", VersionAnswer), **ASKED, **refused(422)},
    ),
    Operation(
        "GET /session/{key}/json",
        "List a session's targets",
        {200: Reply("As Chromium has it.", Targets), **ASKED, **refused(422)},
    ),
    Operation(
        "GET /session/{key}/json/list",
        "List a session's targets",
        {200: Reply("As Chromium has it.", Targets), **ASKED, **refused(422)},
    ),
    Operation(
        "GET /session/{key}/json/protocol",
        "CDP's description by a session's browser",
        {200: Reply("As Chromium has it.", Protocol), **ASKED, **refused(422)},
    ),
    Operation(
        "PUT /session/{key}/json/new",
        "Open a tab in a session",
        {200: Reply("The new target.", Target), **ASKED, **refused(422)},
        words=NEW,
    ),
    Operation(
        "GET /session/{key}/json/{action}/{target}",
        "Bring a session's page to front, or close it",
        {200: Reply("What Chromium says.", media=BINARY), **ASKED, **refused(422)},
        parameters=(ACTION, TARGET),
    ),
    Operation(
        "GET /session/{key}/devtools/{path}",
        "DevTools",
        {
            200: Reply("A file of Chromium's own DevTools.", media="*/*"),
            302: Reply("To the page with its target and a capability."),
            **ASKED,
            **refused(422),
        },
        parameters=(
            Parameter("path", "`inspector.html`, and what it loads.", where="path"),
            Parameter("ws", "The target, as a websocket's address without its scheme."),
            Parameter("wss", "The same, by TLS."),
        ),
    ),
    Operation(
        "GET /session/{key}/live",
        "A page that shows what a session's browser shows",
        {200: Reply("The page.", media=HTML), **refused(409, 410, 422, 502)},
    ),
)
GATEWAY = (
    Operation("GET /healthz", "Is it alive?", {200: Reply("It is.", Alive)}),
    Operation("GET /readyz", "Is it ready?", {200: Reply("It is.", Ready)}),
    Operation(
        "GET /pressure",
        "How much there is to do",
        {200: Reply("Role admin sees the gateway's, others their own.", PressureAnswer)},
    ),
    Operation("GET /active", "Can a session be had at once?", {204: Reply("Yes; 429 if not.")}),
    Operation(
        "GET /metrics",
        "Metrics",
        {
            200: Reply(
                "Prometheus' text; JSON in Browserless's words on `Accept`.", media=TEXT, also=("application/json",)
            )
        },
    ),
    Operation("GET /favicon.ico", "An icon, which there is not", {204: Reply("There is none.")}),
    Operation(
        "GET /openapi.json",
        "This document",
        {200: Reply("OpenAPI 3.1.", media="application/json"), 304: Reply("As it was.")},
    ),
    Operation("GET /docs", "This document, for people", {200: Reply("A page.", media=HTML), 304: Reply("As it was.")}),
)
