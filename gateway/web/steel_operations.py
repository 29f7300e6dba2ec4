"""The operations of Steel's sessions and their files, for the API's document; and what of Steel's is not kept here."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.web.operation import Example, Operation, Parameter, Reply, refused
from gateway.web.steel_answers import (
    AMONG,
    ContextShape,
    Events,
    FileList,
    FileShape,
    LiveDetails,
    Released,
    Session,
    Sessions,
)
from gateway.web.steel_shapes import CreateBody, ReleaseAllBody, ReleaseBody

ID = Parameter("id", "The session's id, or the name of one that runs or is put away.", where="path", required=True)
PATH = Parameter("path", "The file's path as it was listed, or its name.", where="path", required=True)
WHOLE: Mapping[str, Any] = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_CAPTCHAS = "captchas are solved by a third party, and this gateway has none"
_FILES = "files belong to sessions here: /v1/sessions/ID/files"
_CREDENTIALS = "this gateway keeps no credentials: give a session a context (sessionContext) that is logged in"
_EXTENSIONS = "extensions are this gateway's operator's to offer: name them in extensionIds"
# What Steel's SDKs can ask for and what is not to be had here: why not, by the name of the route.
ELSEWHERE: Mapping[str, str] = {
    "POST /v1/sessions/{id}/captchas/solve": _CAPTCHAS,
    "POST /v1/sessions/{id}/captchas/solve-image": _CAPTCHAS,
    "GET /v1/sessions/{id}/captchas/status": _CAPTCHAS,
    "GET /v1/files": _FILES,
    "POST /v1/files": _FILES,
    "GET /v1/files/{path}": _FILES,
    "DELETE /v1/files/{path}": _FILES,
    "GET /v1/credentials": _CREDENTIALS,
    "POST /v1/credentials": _CREDENTIALS,
    "PUT /v1/credentials": _CREDENTIALS,
    "DELETE /v1/credentials": _CREDENTIALS,
    "GET /v1/extensions": _EXTENSIONS,
    "POST /v1/extensions": _EXTENSIONS,
    "DELETE /v1/extensions": _EXTENSIONS,
    "GET /v1/extensions/{id}": _EXTENSIONS,
    "PUT /v1/extensions/{id}": _EXTENSIONS,
    "DELETE /v1/extensions/{id}": _EXTENSIONS,
}
_SESSIONS = (
    Operation(
        "POST /v1/sessions",
        "Make a session, which lives until its timeout whoever comes and goes",
        {201: Reply("The new session.", Session), **refused(404, 409, 422)},
        body=CreateBody,
        optional=True,
        parameters=(
            Parameter(
                "Idempotency-Key",
                "A repeated request with the same key gets the first one's session, for 24 hours.",
                {"type": "string", "minLength": 1, "maxLength": 255},
                where="header",
            ),
        ),
        examples=(
            Example("plain", {}, 201),
            Example("idle", {"timeout": 60000, "inactivityTimeout": 30000, "blockAds": False}, 201),
            Example("captcha", {"solveCaptcha": True}, 422),
        ),
    ),
    Operation(
        "GET /v1/sessions",
        "List sessions, the newest first",
        {200: Reply("A page of them.", Sessions)},
        parameters=(
            Parameter("cursorId", "The last id of the page before.", {"type": "string", "format": "uuid"}),
            Parameter("limit", "How many, 50 if it is not said.", {"type": "integer", "minimum": 1, "maximum": 100}),
            Parameter("status", "Those with that status only.", {"enum": list(AMONG)}),
            Parameter("projectId", "Those made with that projectId only."),
        ),
    ),
    Operation(
        "POST /v1/sessions/release",
        "End all sessions, or those of one project",
        {200: Reply("What became of it.", Released)},
        body=ReleaseAllBody,
        optional=True,
        parameters=(Parameter("projectId", "Those made with that projectId only."),),
    ),
    Operation(
        "GET /v1/sessions/{id}",
        "Show a session",
        {200: Reply("The session.", Session), **refused(404)},
        parameters=(ID,),
    ),
    Operation(
        "DELETE /v1/sessions/{id}",
        "End a session",
        {200: Reply("It is released; repeating it is harmless.", Released), **refused(404)},
        optional=True,
        parameters=(ID,),
    ),
    Operation(
        "POST /v1/sessions/{id}/release",
        "End a session, whoever is connected",
        {200: Reply("It is released; repeating it is harmless.", Released), **refused(404)},
        body=ReleaseBody,
        optional=True,
        parameters=(ID,),
    ),
    Operation(
        "GET /v1/sessions/{id}/context",
        "Cookies and storage, as sessionContext takes them: of a running session, else what was saved last",
        {200: Reply("The context.", ContextShape), **refused(404, 409, 410)},
        parameters=(ID,),
    ),
    Operation(
        "GET /v1/sessions/{id}/live-details",
        "What a session shows now",
        {200: Reply("Its tabs.", LiveDetails), **refused(404, 410)},
        parameters=(ID,),
    ),
    Operation(
        "GET /v1/sessions/{id}/events",
        "What happened to a session, as custom events of rrweb's, oldest first",
        {200: Reply("Some of it; Next-Cursor is the pointer to more.", Events), **refused(404)},
        parameters=(
            ID,
            Parameter("limit", "How many; all if it is not said.", WHOLE),
            Parameter("pointer", "The header Next-Cursor of the answer before.", WHOLE),
            Parameter("compressed", "Send it compressed to who takes that.", {"enum": ["true", "false"]}),
        ),
    ),
)
_FILES_OF = (
    Operation(
        "GET /v1/sessions/{id}/files",
        "List a session's files, the last changed first",
        {200: Reply("The files.", FileList), **refused(404)},
        parameters=(ID,),
    ),
    Operation(
        "POST /v1/sessions/{id}/files",
        "Bring a file for a session's pages",
        {201: Reply("The file.", FileShape), **refused(404, 413, 422)},
        parameters=(ID,),
        upload=("multipart/form-data",),
    ),
    Operation(
        "DELETE /v1/sessions/{id}/files",
        "Remove all of a session's files",
        {204: Reply("They are gone."), **refused(404)},
        parameters=(ID,),
    ),
    Operation(
        "GET /v1/sessions/{id}/files.zip",
        "All of a session's files as an archive",
        {200: Reply("The archive.", media="application/zip"), **refused(404)},
        parameters=(ID,),
    ),
    Operation(
        "GET /v1/sessions/{id}/files/{path}",
        "A file's bytes",
        {200: Reply("The bytes.", media="application/octet-stream"), **refused(404)},
        parameters=(ID, PATH),
    ),
    Operation(
        "DELETE /v1/sessions/{id}/files/{path}",
        "Remove a file",
        {204: Reply("It is gone."), **refused(404)},
        parameters=(ID, PATH),
    ),
)


def _elsewhere(name: str, why: str) -> Operation:
    names = [part for part in ("id", "path") if f"{{{part}}}" in name]
    parameters = tuple(Parameter(part, "Anything.", where="path", required=True) for part in names)
    return Operation(name, "Not to be had here", refused(422), parameters=parameters, words=f"Refused: {why}.")


def _steel(operation: Operation, group: str) -> Operation:
    return replace(operation, dialect="steel", group=group)


OPERATIONS: tuple[Operation, ...] = (
    *(_steel(one, "Sessions") for one in _SESSIONS),
    *(_steel(one, "Files") for one in _FILES_OF),
    *(_steel(_elsewhere(name, why), "Not here") for name, why in ELSEWHERE.items()),
)
