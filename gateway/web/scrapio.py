"""Scrapio's /v1/fetch, /v1/interact and /v1/jobs: shapes to and from the gateway's own nouns."""

import hashlib
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from gateway.errors import Code, GatewayError
from gateway.pages.fetch import Asked, Fetches, check
from gateway.pages.jobs import Jobs
from gateway.records import Identity
from gateway.session.commands import instant
from gateway.store.jobs import Job, JobStatus
from gateway.web.door import NUMBER, PRINCIPAL
from gateway.web.operation import Example, Operation, Parameter, Reply, refused
from gateway.web.request import check_query, json_body
from gateway.web.scrapio_shapes import (
    FetchBody,
    InteractBody,
    JobAccepted,
    JobBody,
    JobResult,
    JobTold,
    PageTold,
    asked,
    told,
)
from gateway.web.sessions import Named
from gateway.web.shapes import identity_of, read

BODIES: dict[str, type[FetchBody]] = {"fetch": FetchBody, "interact": InteractBody}


class Scrapio:
    """Handlers. `identities` finds a tenant's identity by its name."""

    def __init__(self, fetches: Fetches, jobs: Jobs, identities: Named) -> None:
        self._fetches = fetches
        self._jobs = jobs
        self._identities = identities

    def routes(self, app: web.Application) -> None:
        """Add its own."""
        app.router.add_post("/v1/fetch", self.fetch)
        app.router.add_post("/v1/interact", self.interact)
        app.router.add_post("/v1/jobs", self.submit)
        app.router.add_get("/v1/jobs/{id}", self.job)
        app.router.add_get("/v1/jobs/{id}/result", self.result)
        app.router.add_delete("/v1/jobs/{id}", self.cancel)

    async def fetch(self, request: web.Request) -> web.Response:
        """POST /v1/fetch."""
        return await self._answer(request, "fetch")

    async def interact(self, request: web.Request) -> web.Response:
        """POST /v1/interact."""
        return await self._answer(request, "interact")

    async def submit(self, request: web.Request) -> web.Response:
        """POST /v1/jobs."""
        check_query(request, frozenset())
        body = read(JobBody, await json_body(request), "body")
        if body.kind not in BODIES:
            raise GatewayError(Code.UNSUPPORTED, f"kind: {body.kind} is not done here: fetch and interact are")
        wanted = await self._asked(request, body.kind, body.input)
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 1 <= len(key) <= 255:
            raise GatewayError(Code.BAD_REQUEST, "Idempotency-Key: 1 to 255 characters are wanted")
        fingerprint = hashlib.sha256(await request.read()).hexdigest()
        job = await self._jobs.submit(body.kind, wanted, key, fingerprint)
        accepted = {"request_id": request[NUMBER], "mode": "async", "status": job.status.value, "job_id": job.id}
        return _reply(JobAccepted, accepted, 202)

    async def job(self, request: web.Request) -> web.Response:
        """GET /v1/jobs/ID."""
        check_query(request, frozenset())
        job = await self._jobs.find(request[PRINCIPAL].tenant, request.match_info["id"])
        return await self._told(request, job)

    async def result(self, request: web.Request) -> web.Response:
        """GET /v1/jobs/ID/result: of one that failed what the request itself would have got."""
        check_query(request, frozenset())
        job, answer = await self._jobs.result(request[PRINCIPAL].tenant, request.match_info["id"])
        shown = told(answer, request[NUMBER])
        return _reply(JobResult, {**shown, "job_id": job.id, "job_type": job.kind, "mode": "async"})

    async def cancel(self, request: web.Request) -> web.Response:
        """DELETE /v1/jobs/ID: it has been stopped when this replies. Repeating it is harmless."""
        check_query(request, frozenset())
        return await self._told(request, await self._jobs.cancel(request[PRINCIPAL].tenant, request.match_info["id"]))

    async def _answer(self, request: web.Request, kind: str) -> web.Response:
        check_query(request, frozenset())
        wanted = await self._asked(request, kind, await json_body(request))
        return _reply(PageTold, told(await self._fetches.answer(wanted), request[NUMBER]))

    async def _asked(self, request: web.Request, kind: str, value: object) -> Asked:
        """Everything that can be refused is refused here, before anything is done for it."""
        principal = request[PRINCIPAL]
        principal.require_tenant()
        body = read(BODIES[kind], value, "body")
        identity: Identity | None
        if isinstance(body.identity, str):
            identity = await self._identities(principal.tenant, body.identity)
        else:
            identity = identity_of(body.identity)
        wanted = asked(body, principal.tenant, identity)
        check(wanted)
        return wanted

    async def _told(self, request: web.Request, job: Job) -> web.Response:
        failure = await self._jobs.failure(job)
        shown = {
            "request_id": request[NUMBER],
            "job_id": job.id,
            "job_type": job.kind,
            "status": job.status.value,
            "mode": "async",
            "created_at": instant(job.created_at),
            "started_at": None if job.started_at is None else instant(job.started_at),
            "completed_at": None if job.finished_at is None else instant(job.finished_at),
            "result_available": job.status is JobStatus.COMPLETED,
            "error": None if failure is None else {"code": failure.code.word, "message": failure.message},
        }
        return _reply(JobTold, shown)


def _reply(model: type[BaseModel], value: dict[str, Any], status: int = 200) -> web.Response:
    """JSON that the model allows; what a page says of itself may be as large as it likes, so it is not copied."""
    model.model_validate(value)
    return web.json_response(value, status=status)


_PAGE = {200: Reply("What came of it.", PageTold), **refused(400, 409, 413, 422, 502, 504)}
_KEY = Parameter("Idempotency-Key", "A repeated request with it gets the first one's job.", where="header")
_VALUES = {"mode": "selectors", "fields": {"title": {"selector": "h1"}, "all": {"selector": "a", "all": True}}}
OPERATIONS = (
    Operation(
        "POST /v1/fetch",
        "A page as HTML, Markdown, text, links, values or a picture",
        _PAGE,
        body=FetchBody,
        dialect="scrapio",
        examples=(
            Example("rendered", {"url": "URL", "output": ["markdown", "links"]}),
            Example("without a browser", {"url": "URL", "render_js": False, "output": ["text"]}),
            Example("in a session", {"url": "URL", "session": {"id": "user-session"}, "output": ["html"]}),
            Example("values by selectors", {"url": "URL", "output": ["json"], "extract": _VALUES}),
        ),
        words="With `session` in the tenant's session of that name, else in a fresh context.",
    ),
    Operation(
        "POST /v1/interact",
        "Do things on a page, then take it as /v1/fetch does",
        _PAGE,
        body=InteractBody,
        dialect="scrapio",
        examples=(
            Example(
                "scroll down",
                {"url": "URL", "actions": [{"type": "scroll"}, {"type": "wait_ms", "duration_ms": 10}]},
            ),
        ),
        words="An action that fails is 422 `action_failed`: `action` is its index, `done` what was done before it.",
    ),
    Operation(
        "POST /v1/jobs",
        "The same, later",
        {202: Reply("It waits for its turn.", JobAccepted), **refused(400, 409, 413, 422)},
        body=JobBody,
        dialect="scrapio",
        parameters=(_KEY,),
        examples=(Example("a fetch", {"kind": "fetch", "input": {"url": "URL", "output": ["text"]}}, 202),),
    ),
    Operation(
        "GET /v1/jobs/{id}",
        "How far a job is",
        {200: Reply("The job.", JobTold), **refused(404)},
        dialect="scrapio",
    ),
    Operation(
        "GET /v1/jobs/{id}/result",
        "What came of a job, for 24 hours",
        {200: Reply("What came of it.", JobResult), **refused(404, 409, 422, 502, 504)},
        dialect="scrapio",
        words="Of a job that failed it is the refusal that the request itself would have got.",
    ),
    Operation(
        "DELETE /v1/jobs/{id}",
        "Cancel a job",
        {200: Reply("The job, cancelled unless it was over.", JobTold), **refused(404)},
        dialect="scrapio",
    ),
)
