"""Scrapio's dialect: what callers send and what they get. Nothing here has effects.

Its documented fields: `url`, `render_js`, `session.id`, `actions`, `output`, `extract`, `kind` and `input` of a job.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import Code, GatewayError
from gateway.pages import extract
from gateway.pages.fetch import Answer, Asked
from gateway.pages.interact import Action, Direction, Verb
from gateway.pages.outputs import Output
from gateway.pages.visit import checked_url
from gateway.records import Identity
from gateway.web.shapes import IdentityBody, Name, Shape, Text

Url = Annotated[Text, Field(min_length=1, max_length=8192)]
Selector = Annotated[Text, Field(min_length=1, max_length=2000)]


class Body(Shape):
    """snake_case, unknown fields refused by name."""

    model_config = ConfigDict(alias_generator=None, extra="forbid", frozen=True)


class SessionRef(Body):
    """A session, by a name of the caller's own; it is made when it is first used."""

    id: Name


class GotoAction(Body):
    """Go to a URL; without one, load the page again."""

    type: Literal["goto"]
    url: Url | None = None


class ClickAction(Body):
    """Click the first element that matches, once it can be clicked."""

    type: Literal["click"]
    selector: Selector


class TypeAction(Body):
    """Focus the element and type, key by key, behind what is in it."""

    type: Literal["type"]
    selector: Selector
    value: Annotated[Text, Field(max_length=65536, repr=False)]


class SelectAction(Body):
    """Choose an option, by its value or its label."""

    type: Literal["select"]
    selector: Selector
    value: Annotated[Text, Field(max_length=65536, repr=False)]


class PressAction(Body):
    """Press a key, by Playwright's names: `Enter`, `Tab`, `Control+a`."""

    type: Literal["press"]
    key: Annotated[Text, Field(min_length=1, max_length=100)]


class ScrollAction(Body):
    """Scroll the page, or an element; a selector alone brings that element into view. `amount` in CSS pixels, by
    default a screen."""

    type: Literal["scroll"]
    selector: Selector | None = None
    direction: Literal["up", "down", "left", "right"] | None = None
    amount: Annotated[float, Field(gt=0, le=1_000_000)] | None = None


class WaitForAction(Body):
    """Wait until an element is in the DOM."""

    type: Literal["wait_for"]
    selector: Selector


class WaitAction(Body):
    """Wait."""

    type: Literal["wait_ms"]
    duration_ms: Annotated[int, Field(ge=0, le=60_000)]


AnyAction = Annotated[
    GotoAction | ClickAction | TypeAction | SelectAction | PressAction | ScrollAction | WaitForAction | WaitAction,
    Field(discriminator="type"),
]


class FieldBody(Body):
    """One value: text, HTML or an attribute of the first element that matches, null if none does. `all`: a list of
    every match instead."""

    selector: Selector
    type: Literal["text", "html", "attr"] = "text"
    attribute: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    all: bool = False


class ExtractBody(Body):
    """What goes into the output `json`. `schema` and `instruction` want a language model and are refused (422)."""

    mode: Literal["selectors", "schema", "instruction"]
    fields: Annotated[dict[Annotated[Text, Field(max_length=200)], FieldBody], Field(max_length=200)] | None = None
    wanted: Annotated[Any, Field(alias="schema")] = None
    instruction: Text | None = None


class FetchBody(Body):
    """`POST /v1/fetch`. `timeout_ms` is for the page, and for each action."""

    url: Url
    render_js: bool = True
    session: SessionRef | None = None
    actions: Annotated[list[AnyAction], Field(max_length=100)] = Field(default=[])
    output: Annotated[
        list[Literal["html", "markdown", "json", "screenshot", "links", "text"]], Field(min_length=1, max_length=6)
    ] = Field(default=["html"])
    extract: ExtractBody | None = None
    identity: str | IdentityBody | None = None
    timeout_ms: Annotated[int, Field(ge=100, le=120_000)] = 30_000


class InteractBody(FetchBody):
    """`POST /v1/interact`."""

    actions: Annotated[list[AnyAction], Field(min_length=1, max_length=100)]


class JobBody(Body):
    """`POST /v1/jobs`: `input` is the body of `/v1/fetch` or `/v1/interact`."""

    kind: Literal["fetch", "interact", "crawl", "search", "map"]
    input: dict[str, Any]


# --- replies ---


class Told(BaseModel):
    """No field beyond those that are here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SessionTold(Told):
    """`updated`: its cookies or storage have changed in this request."""

    id: str
    updated: bool


class Outputs(Told):
    """Those that were asked for. `screenshot` is a PNG in base64, `links` are absolute."""

    html: str | None = None
    markdown: str | None = None
    text: str | None = None
    links: list[str] | None = None
    # Named so since a model has a method `json`.
    values: dict[str, Any] | None = Field(default=None, alias="json")
    screenshot: str | None = None


class PageTold(Told):
    """What came of a request. `diagnostics` has `final_url`, `http_status`, `redirects` and `timing_ms`."""

    request_id: str
    status: Literal["completed"] = "completed"
    outputs: Outputs
    session: SessionTold | None
    diagnostics: dict[str, Any]


class JobAccepted(Told):
    """A job that waits for its turn, or the earlier one of the same Idempotency-Key."""

    request_id: str
    mode: Literal["async"] = "async"
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    job_id: str


class JobFault(Told):
    """Why it failed."""

    code: str
    message: str


class JobTold(JobAccepted):
    """How far it is. Instants ISO 8601 UTC."""

    job_type: Literal["fetch", "interact"]
    created_at: str
    started_at: str | None
    completed_at: str | None
    result_available: bool
    error: JobFault | None


class JobResult(PageTold):
    """What came of a job."""

    job_id: str
    job_type: Literal["fetch", "interact"]
    mode: Literal["async"] = "async"


# --- to and from the core's nouns ---


def asked(body: FetchBody, tenant: str, identity: Identity | None) -> Asked:
    """What a body asks for; `identity` is the one that it names or has. Raises BAD_REQUEST, UNSUPPORTED (422)."""
    outputs = [Output(name) for name in dict.fromkeys(body.output)]
    fields = _fields(body.extract)
    if fields and Output.JSON not in outputs:
        outputs.append(Output.JSON)
    if Output.JSON in outputs and not fields:
        raise GatewayError(Code.BAD_REQUEST, "body: output: json wants extract, which says what is in it")
    return Asked(
        tenant,
        _url(body.url, "body: url"),
        outputs=tuple(outputs),
        rendered=body.render_js,
        session=None if body.session is None else body.session.id,
        actions=tuple(_action(action, index) for index, action in enumerate(body.actions)),
        fields=tuple(fields.items()),
        identity=identity,
        timeout=body.timeout_ms / 1000,
    )


def _url(url: str, field: str) -> str:
    checked_url(url, field)
    if not url.lower().startswith(("http://", "https://")):
        raise GatewayError(Code.BAD_REQUEST, f"{field}: an absolute http or https URL is wanted")
    return url


def _fields(body: ExtractBody | None) -> dict[str, extract.Field]:
    if body is None:
        return {}
    if body.mode != "selectors":
        raise GatewayError(
            Code.UNSUPPORTED,
            f"extract: mode {body.mode} wants a language model, and none is configured here: use mode selectors",
        )
    if body.wanted is not None or body.instruction is not None:
        raise GatewayError(Code.BAD_REQUEST, "body: extract: schema and instruction do not go with mode selectors")
    if not body.fields:
        raise GatewayError(Code.BAD_REQUEST, "body: extract.fields: mode selectors wants at least one")
    found = {}
    for name, one in body.fields.items():
        if (one.type == "attr") != (one.attribute is not None):
            words = "type attr wants attribute, and no other type does"
            raise GatewayError(Code.BAD_REQUEST, f"body: extract.fields.{name}: {words}")
        found[name] = extract.Field(one.selector, extract.Kind(one.type), one.attribute, one.all)
    return found


def _action(body: Any, index: int) -> Action:
    """Any of the actions' bodies; each has some of the fields."""
    url = getattr(body, "url", None)
    direction = getattr(body, "direction", None)
    return Action(
        Verb(body.type),
        url=None if url is None else _url(url, f"body: actions.{index}.url"),
        selector=getattr(body, "selector", None),
        value=getattr(body, "value", None),
        key=getattr(body, "key", None),
        direction=None if direction is None else Direction(direction),
        amount=getattr(body, "amount", None),
        seconds=getattr(body, "duration_ms", 0) / 1000,
    )


def told(answer: Answer, number: str) -> dict[str, Any]:
    """The fields of PageTold; `number` is the request's id."""
    session = None if answer.session is None else {"id": answer.session[0], "updated": answer.session[1]}
    return {
        "request_id": number,
        "status": "completed",
        "outputs": answer.outputs,
        "session": session,
        "diagnostics": answer.diagnostics,
    }
