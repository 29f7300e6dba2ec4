"""The operations of sessions, their files and identities, as the native dialect has them."""

from collections.abc import Mapping
from typing import Any

from gateway.web.answers import (
    ContextAnswer,
    FilesAnswer,
    Forked,
    IdentitiesAnswer,
    IdentityAnswer,
    SessionAnswer,
    SessionPage,
    SnapshotAnswer,
    SnapshotsAnswer,
)
from gateway.web.identities import NewIdentity, ReplacedIdentity
from gateway.web.operation import Example, Operation, Parameter, Reply, refused
from gateway.web.shapes import AmendBody, ForkBody, RestoreBody, RotateBody, SessionBody

BOOLEAN: Mapping[str, Any] = {"type": "boolean"}
STATUSES = ("starting", "connected", "detached", "suspended", "stopped", "expired", "failed")
IDEMPOTENCY = Parameter(
    "Idempotency-Key",
    "A repeated request with the same key gets the first one's session, for 24 hours.",
    {"type": "string", "minLength": 1, "maxLength": 255},
    where="header",
)
FILE_KIND = Parameter(
    "kind", "Which one, where a download and an upload have the name.", {"enum": ["download", "upload"]}
)
LIFE = {
    "ttl": "ms; the session's whole life, default 300000.",
    "processKeepAlive": "ms that the browser waits for a client until it is put away, default 30000.",
    "inactivityTimeout": "ms without a client or a command until the session ends.",
    "labels": "Strings of your own, to find it by.",
}
FIELDS = {
    **LIFE,
    "persist": "Its context outlives its browser. False: the session ends with its browser.",
    "name": "Your own name for it; one session of a name runs at a time.",
    "attach": "Give the session of that name, if there is one.",
    "park": "Stop its processes while nobody is connected.",
    "parkAfter": "ms without a client until then, default 5000.",
    "checkpointInterval": "ms between two savings while it runs and changes, default 10000, at least 1000.",
    "dialogs": "How a page's dialogs are answered when no driver is there.",
    "restore": "Start from what this session saved.",
    "context": "A context document; Playwright's storageState and Steel's sessionContext are taken as they are.",
    "identity": "Who the browser says it is: a stored identity's name, or inline.",
    "stealth": "A browser that does not look automated.",
    "blockAds": "Requests for ads and trackers are not made.",
    "headless": "As Puppeteer has it.",
    "args": "Chromium flags, from a list of those that clients may set.",
    "proxy": "All its traffic goes out by it.",
    "egress": "What it may reach, and how often.",
    "url": "What the first page loads.",
}
SHOWN = {200: Reply("The session.", SessionAnswer)}
MADE = {201: Reply("The new session.", SessionAnswer)}

SESSIONS = (
    Operation(
        "POST /session",
        "Create a session",
        {
            **MADE,
            200: Reply("With `attach`: the session of that name which is there already.", SessionAnswer),
            **refused(404, 409, 422),
        },
        SessionBody,
        optional=True,
        fields=FIELDS,
        parameters=(IDEMPOTENCY,),
        examples=(
            Example("ten minutes, found by a label", {"ttl": 600000, "labels": {"team": "blue"}, "url": "URL"}, 201),
            Example(
                "somebody in Berlin",
                {
                    "identity": {
                        "locale": "de-DE",
                        "timezone": "Europe/Berlin",
                        "viewport": {"width": 1280, "height": 800},
                        "geolocation": {"latitude": 52.52, "longitude": 13.405},
                    }
                },
                201,
            ),
            Example(
                "with a cookie, and nowhere but there",
                {
                    "context": {"cookies": [{"name": "seen", "value": "1", "domain": "app.example", "path": "/"}]},
                    "egress": {"allow": ["app.example", "*.app.example"], "ratePerDomain": 5},
                },
                201,
            ),
        ),
        words="A browser that outlives its clients: when nobody is connected for `processKeepAlive` it is put away "
        "with all that it knows, and the next client to connect finds it as it was.",
    ),
    Operation(
        "GET /sessions",
        "List sessions",
        {200: Reply("One page of them, newest first.", SessionPage)},
        parameters=(
            Parameter("status", "Those with this status only.", {"enum": list(STATUSES)}),
            Parameter("name", "Those of this name only."),
            Parameter(
                "label",
                "Those with this label only, `key:value`; with several, those that have all of them.",
                {"type": "array", "items": {"type": "string", "pattern": "^[^:]*:"}},
            ),
            Parameter("cursor", "The `nextCursor` of the page before.", {"type": "string", "format": "uuid"}),
            Parameter("limit", "How many on a page.", {"type": "integer", "minimum": 1, "maximum": 1000}),
            Parameter("tenant", "Whose, for role admin."),
        ),
    ),
    Operation("GET /session/{key}", "Show a session", SHOWN, words="`egress` tells what it has used of the network."),
    Operation(
        "PATCH /session/{key}",
        "Change a session's terms",
        {**SHOWN, **refused(409, 410)},
        AmendBody,
        optional=True,
        fields=LIFE,
        examples=(Example("half an hour from now", {"ttl": 1800000, "labels": {"team": "red"}}),),
        words="`ttl` counts from now; `labels` replace those it has.",
    ),
    Operation(
        "DELETE /session/{key}",
        "Stop a session",
        {**SHOWN, **refused(409, 502)},
        parameters=(
            Parameter("force", "Although a driver is connected, which is 409 else.", BOOLEAN),
            Parameter("purge", "What it saved and its files are erased, too.", BOOLEAN),
        ),
        words="The answer comes when its context is on disk and its browser is gone. Repeating it is harmless.",
    ),
    Operation(
        "POST /session/{key}/rotate",
        "New URLs for a session",
        {**SHOWN, **refused(410)},
        RotateBody,
        optional=True,
        examples=(Example("and put off who is connected", {"disconnect": True}),),
        words="Every URL of it that was handed out before is 401 at once.",
    ),
    Operation(
        "POST /session/{key}/restore",
        "A new session from what this one saved",
        {**MADE, **refused(409, 410, 422)},
        RestoreBody,
        optional=True,
        fields={
            "snapshot": "The version; the last one if none is named.",
            "ttl": LIFE["ttl"],
            "processKeepAlive": LIFE["processKeepAlive"],
            "labels": LIFE["labels"],
            "name": FIELDS["name"],
        },
        parameters=(IDEMPOTENCY,),
        examples=(Example("what was saved last", {"ttl": 600000}, 201),),
        words="What the body leaves out stays as the session had it.",
    ),
    Operation(
        "POST /session/{key}/fork",
        "Copies of a session",
        {201: Reply("All of them.", Forked), **refused(409, 410, 422, 502)},
        ForkBody,
        optional=True,
        fields={
            "count": "How many.",
            "ttl": LIFE["ttl"],
            "processKeepAlive": LIFE["processKeepAlive"],
            "labels": LIFE["labels"],
        },
        examples=(Example("one", {"count": 1, "labels": {"copy": "yes"}}, 201),),
        words="Sessions with a copy of its context, all or none; it runs on, and its driver is not disturbed.",
    ),
    Operation(
        "POST /session/{key}/snapshot",
        "Save a session's context now",
        {201: Reply("The version that was saved.", SnapshotAnswer), **refused(409, 410, 422, 502)},
    ),
    Operation(
        "GET /session/{key}/snapshots",
        "List what a session has saved",
        {200: Reply("Its versions.", SnapshotsAnswer)},
    ),
    Operation(
        "GET /session/{key}/context",
        "A session's context",
        {200: Reply("The context document.", ContextAnswer), **refused(409, 410, 422, 502)},
        parameters=(Parameter("format", "Whose shape it has.", {"enum": ["native", "playwright", "steel"]}),),
        words="Cookies, storage and tabs of the running browser, else what was saved last.",
    ),
)
FILES = (
    Operation(
        "GET /session/{key}/files",
        "List a session's files",
        {200: Reply("What its browser downloaded, and what was brought for it.", FilesAnswer)},
    ),
    Operation(
        "POST /session/{key}/files",
        "Bring files to a session",
        {201: Reply("Those that were brought.", FilesAnswer), **refused(409, 410, 422)},
        parameters=(Parameter("name", "The name of the one file whose bytes are the body."),),
        words="A form with up to 100 files, or the bytes of one with its `name` in the query. A file of the same name "
        "is replaced.",
        upload=("multipart/form-data", "application/octet-stream"),
    ),
    Operation(
        "GET /session/{key}/files/{name}",
        "Fetch a file",
        {
            200: Reply("Its bytes, as an attachment.", media="application/octet-stream"),
            206: Reply("Those of them that `Range` named.", media="application/octet-stream"),
            416: Reply("There is nothing in that range.", media="application/octet-stream"),
        },
        parameters=(FILE_KIND,),
    ),
    Operation(
        "DELETE /session/{key}/files/{name}",
        "Delete a file",
        {204: Reply("It is gone."), **refused(409)},
        parameters=(FILE_KIND,),
    ),
)
IDENTITIES = (
    Operation(
        "POST /identities",
        "Store an identity",
        {201: Reply("As it was stored.", IdentityAnswer), **refused(409)},
        NewIdentity,
        examples=(Example("by its name", {"name": "vienna", "locale": "de-AT", "timezone": "Europe/Vienna"}, 201),),
        words='A session is made with it by `"identity": NAME`, and keeps the values that it had then.',
    ),
    Operation("GET /identities", "List identities", {200: Reply("All of them, by name.", IdentitiesAnswer)}),
    Operation("GET /identities/{name}", "Show an identity", {200: Reply("It.", IdentityAnswer)}),
    Operation(
        "PUT /identities/{name}",
        "Replace an identity",
        {
            200: Reply("As it is now.", IdentityAnswer),
            201: Reply("There was none of that name; now there is.", IdentityAnswer),
        },
        ReplacedIdentity,
        optional=True,
        examples=(Example("another place", {"locale": "de-CH", "timezone": "Europe/Zurich"}, 201),),
    ),
    Operation("DELETE /identities/{name}", "Delete an identity", {204: Reply("It is gone.")}),
)
