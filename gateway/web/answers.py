"""What the native routes answer, as models: the API's document is made of them, and the tests hold every reply to them.

Handlers send plain dictionaries; a field that is not here fails the tests. Times in ms, instants ISO 8601 UTC.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel

Count = Annotated[int, Field(ge=0)]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Bytes = Annotated[int, Field(ge=0, description="bytes")]


class Answer(BaseModel):
    """camelCase outside, and no field beyond those that are here."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


# --- refusals ---


class Fault(Answer):
    """`code` is stable and for programs, `message` for people."""

    code: str
    message: str
    details: dict[str, Any] = Field(default={}, description="What else a program can use, by the code.")


class Refusal(Answer):
    """Why a request was refused. `requestId` finds it in the log."""

    error: Fault
    request_id: str


class SteelRefusal(Answer):
    """The same, with the message where Steel's SDKs look for it."""

    message: str
    error: Fault
    request_id: str


class ScrapioFault(Answer):
    """`code` and `message`, and beside them what the code brings along, such as the index of the `action`."""

    model_config = ConfigDict(alias_generator=to_camel, extra="allow", frozen=True)
    code: str
    message: str


class ScrapioRefusal(BaseModel):
    """Why a request was refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    request_id: str
    error: ScrapioFault
    diagnostics: dict[str, Any]


# --- sessions ---


class DomainUsage(Answer):
    """What went to and from one domain; `circuit` is whether the breaker lets requests pass."""

    domain: str
    requests: Count
    bytes_in: Bytes
    bytes_out: Bytes
    failures: Count
    circuit: str


class RefusedUsage(Answer):
    """Requests of pages that a rule refused."""

    rule: str
    domain: str
    count: Count


class UsageAnswer(Answer):
    """What a session has used of the network."""

    bytes_in: Bytes
    bytes_out: Bytes
    requests: Count
    domains: list[DomainUsage]
    refused: list[RefusedUsage]


class ProxyAnswer(Answer):
    """A session's proxy, without user and password."""

    server: str
    bypass: list[str]


class LastSnapshot(Answer):
    """What was saved last."""

    version: int
    created_at: Instant


class RestoredFrom(Answer):
    """What a session began with."""

    session: str
    snapshot: int


class SessionAnswer(Answer):
    """A session. URLs carry a capability for it; they are null for role viewer, and where they would lead nowhere."""

    id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    kind: Literal["standard", "api"]
    status: Literal["starting", "connected", "detached", "suspended", "stopped", "expired", "failed"]
    reason: Annotated[str | None, Field(description="Why it has that status.")]
    name: str | None
    connect: Annotated[str | None, Field(description="The websocket URL for a driver.")]
    stop: Annotated[str | None, Field(description="The URL to DELETE.")]
    devtools: Annotated[str | None, Field(description="The URL of a DevTools window.")]
    live: Annotated[str | None, Field(description="The URL of a page that shows what the browser shows.")]
    ttl: Annotated[Count, Field(description="ms; the session's whole life")]
    process_keep_alive: Annotated[Count, Field(description="ms that the browser waits for a client")]
    inactivity_timeout: Annotated[Count | None, Field(description="ms without a client or a command until it ends")]
    persist: bool
    headless: bool | Literal["shell"]
    stealth: bool
    block_ads: bool
    labels: dict[str, str]
    proxy: ProxyAnswer | None
    egress: UsageAnswer
    created_at: Instant
    expires_at: Instant
    last_used_at: Instant | None
    ended_at: Instant | None
    connections: Annotated[Count, Field(description="How often a driver has connected.")]
    failures: Annotated[Count, Field(description="Browsers of it that crashed, hung or could not be started.")]
    parked: bool
    snapshot: LastSnapshot | None
    restored_from: RestoredFrom | None


class SessionPage(Answer):
    """Sessions, newest first. `nextCursor` is null on the last page."""

    sessions: list[SessionAnswer]
    next_cursor: str | None


class Forked(Answer):
    """The copies."""

    sessions: list[SessionAnswer]


class SnapshotAnswer(Answer):
    """One saved version, and what it needs of the disk."""

    version: int
    created_at: Instant
    bytes: Bytes
    reason: str


class SnapshotsAnswer(Answer):
    """The saved versions."""

    snapshots: list[SnapshotAnswer]


class ContextAnswer(BaseModel):
    """A context document in the format that was asked for: the native one has all of these, the others some."""

    model_config = ConfigDict(alias_generator=to_camel, extra="allow", frozen=True)
    cookies: list[dict[str, Any]]
    version: int = 1
    origins: list[dict[str, Any]] = []
    tabs: list[dict[str, Any]] = []
    permissions: list[dict[str, Any]] = []
    missing: Annotated[list[str], Field(description="In words, what could not be read.")] = []


class FileAnswer(Answer):
    """A file of a session. `path` is what to give to DOM.setFileInputFiles."""

    name: str
    kind: Literal["download", "upload"]
    size: Bytes
    modified_at: Instant
    complete: bool
    path: str


class FilesAnswer(Answer):
    """A session's files."""

    files: list[FileAnswer]


# --- identities ---


class SizeAnswer(Answer):
    """CSS pixels."""

    width: int
    height: int


class PlaceAnswer(Answer):
    """Degrees, and metres."""

    latitude: float
    longitude: float
    accuracy: float


class IdentityAnswer(Answer):
    """A stored identity: only what was set."""

    name: str
    user_agent: str = ""
    locale: str = ""
    timezone: str = ""
    viewport: SizeAnswer = SizeAnswer(width=0, height=0)
    device_scale_factor: float = 1.0
    geolocation: PlaceAnswer = PlaceAnswer(latitude=0, longitude=0, accuracy=0)
    extra_headers: dict[str, str] = {}


class IdentitiesAnswer(Answer):
    """All of a tenant's, by name."""

    identities: list[IdentityAnswer]


# --- the gateway ---


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"]


class Ready(Answer):
    """New sessions can be had. `confinement`: which measures hold this machine's browsers, and its roads' process."""

    status: Literal["ready"]
    confinement: dict[str, bool]


class Load(Answer):
    """Of one tenant: how many browsers run, wait, and may; `positions` are places in the queue, from 1."""

    running: Count
    queued: Count
    positions: list[int]
    max_concurrent: Count
    max_queued: Count
    snapshot_bytes: Bytes = 0
    max_snapshot_bytes: Bytes | None = None


class Pressure(Load):
    """`reason` is empty, `full`, `memory` or `draining`; what is of all tenants or the machine is for role admin."""

    is_available: Annotated[bool, Field(description="Whether a session can be had at once.")]
    reason: Literal["", "full", "memory", "draining"]
    message: str
    date: Annotated[int, Field(ge=0, description="ms since the epoch")]
    cpu: Annotated[int | None, Field(ge=0, le=100, description="percent")]
    memory: Annotated[int | None, Field(ge=0, le=100, description="percent")]
    recently_rejected: Annotated[int, Field(ge=0, description="with 429, in the last five minutes")] = 0
    warm: Count = 0
    tenants: dict[str, Load] = {}


class PressureAnswer(Answer):
    """How much the gateway has to do."""

    pressure: Pressure


# --- what Chromium says; its next version may say more ---


class Target(BaseModel):
    """As Chromium's /json/list has it, its URLs leading through the gateway. `sessionId` is whose it is."""

    model_config = ConfigDict(extra="allow", frozen=True)
    id: str
    type: str
    title: str
    url: str
    description: str
    sessionId: str  # Chromium's spelling of the others
    devtoolsFrontendUrl: str
    webSocketDebuggerUrl: str


class Targets(RootModel[list[Target]]):
    """All targets."""


class VersionAnswer(BaseModel):
    """As Chromium's /json/version has it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    Browser: str
    webSocketDebuggerUrl: str


class Protocol(BaseModel):
    """CDP's own description."""

    model_config = ConfigDict(extra="allow", frozen=True)
    version: dict[str, str]
    domains: list[dict[str, Any]]
