"""What Steel's SDKs are answered, field by field as they validate it: steel-sdk's `Session` and its like. In ms."""

import time
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel

from browser_pool.spec import Mode
from gateway.records import Identity, SessionRecord, Status, Thrift
from gateway.session.commands import instant
from gateway.web.links import Links
from gateway.web.steel_shapes import DIMENSIONS, PROJECT

LIVE = (Status.STARTING, Status.CONNECTED, Status.DETACHED, Status.SUSPENDED)
# The statuses that may count as Steel's: a suspended session whose time is up is written down as ended a moment later.
AMONG = {"live": LIVE, "released": (Status.STOPPED, Status.EXPIRED, Status.SUSPENDED), "failed": (Status.FAILED,)}
REASONS = {
    "stopped": "user_requested",
    "ttl": "timeout",
    "inactivity": "inactivity_timeout",
    "keep_alive": "inactivity_timeout",
    "client_left": "browser_closed",
    "browser_closed": "browser_closed",
    "browser_crashed": "browser_crashed",
    "gateway_killed": "browser_crashed",
    "launch_failed": "startup_failed",
}
RRWEB_CUSTOM = 5  # rrweb's EventType.Custom: {"type", "timestamp" (ms), "data": {"tag", "payload"}}


class Answer(BaseModel):
    """camelCase outside."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Size(Answer):
    """CSS pixels."""

    width: int
    height: int


class Bandwidth(Answer):
    """What pages do not load."""

    block_images: bool
    block_media: bool
    block_stylesheets: bool
    block_hosts: list[str]
    block_url_patterns: list[str]


class Stealth(Answer):
    """How the browser looks to pages."""

    skip_fingerprint_injection: bool
    humanize_interactions: bool
    auto_captcha_solving: bool


class Debug(Answer):
    """The viewer."""

    interactive: bool
    system_cursor: bool


class Device(Answer):
    """What kind of device the browser is on."""

    device: Literal["desktop", "mobile"]


class Session(Answer):
    """A session as Steel's SDKs know it. `duration` and the timeouts in ms, `proxyBytesUsed` of its whole traffic."""

    id: str
    created_at: datetime
    status: Literal["live", "released", "failed"]
    release_reason: (
        Literal[
            "user_requested",
            "timeout",
            "inactivity_timeout",
            "creation_timeout",
            "startup_failed",
            "browser_closed",
            "browser_crashed",
        ]
        | None
    )
    duration: int
    event_count: int
    timeout: int
    inactivity_timeout: int | None = None
    credits_used: int
    proxy_bytes_used: int
    proxy_source: Literal["steel", "external"] | None = None
    websocket_url: str
    debug_url: str
    session_viewer_url: str
    dimensions: Size
    user_agent: str | None = None
    headless: bool
    fullscreen: bool | None = None
    is_selenium: bool
    solve_captcha: bool
    optimize_bandwidth: Bandwidth
    stealth_config: Stealth
    debug_config: Debug
    device_config: Device
    profile_id: str | None = None
    persist_profile: bool
    project_id: str | None = None


class Sessions(Answer):
    """A page of them, the newest first; `nextCursor` is the last one's id where more follow."""

    sessions: list[Session]
    next_cursor: str | None


class Released(Answer):
    """What became of a release."""

    message: str
    success: bool


class Page(Answer):
    """An open tab."""

    id: str
    title: str
    url: str
    favicon: str | None
    session_viewer_url: str
    session_viewer_fullscreen_url: str


class LiveDetails(Answer):
    """What a session shows now."""

    pages: list[Page]
    session_viewer_url: str
    session_viewer_fullscreen_url: str
    ws_url: str


class EventData(Answer):
    """What happened, and to which session."""

    tag: str
    payload: dict[str, Any]


class Event(Answer):
    """Something that happened to a session, as a custom event of rrweb's; `timestamp` in ms since the epoch."""

    type: int
    timestamp: int
    data: EventData


class Events(RootModel[list[Event]]):
    """Some of them, oldest first."""


class FileShape(Answer):
    """A file of a session; `path` is what DOM.setFileInputFiles takes."""

    path: str
    size: int
    last_modified: datetime


class FileList(Answer):
    """The files of a session."""

    data: list[FileShape]


class ContextShape(BaseModel):
    """A `sessionContext`. Its storage is keyed by origin."""

    model_config = ConfigDict(alias_generator=to_camel)

    cookies: list[dict[str, Any]]
    local_storage: dict[str, dict[str, str]]
    session_storage: dict[str, dict[str, str]]
    indexed_db: Annotated[dict[str, list[dict[str, Any]]], Field(alias="indexedDB")]


def session_shape(record: SessionRecord, links: Links, used: int, *, secret: bool) -> Session:
    """The reply. `used` bytes of the network; `secret`: whether its URLs may carry one with which it can be driven."""
    spec, now = record.spec, time.time()
    identity, thrift = spec.identity or Identity(), spec.thrift or Thrift()
    width, height = identity.viewport or spec.launch.viewport or DIMENSIONS
    labels = dict(spec.labels)
    status, reason = status_of(record)
    return Session(
        id=record.id,
        created_at=datetime.fromisoformat(instant(record.created_at)),
        status=status,
        release_reason=reason,
        duration=max(0, int(((record.ended_at or now) - record.created_at) * 1000)),
        event_count=len(events_of(record)),
        timeout=int(spec.ttl * 1000),
        inactivity_timeout=None if spec.idle is None else int(spec.idle * 1000),
        credits_used=0,
        proxy_bytes_used=used,
        proxy_source=None if spec.egress.upstream is None else "external",
        websocket_url=links.websocket(record, secret),
        debug_url=links.live(record),
        session_viewer_url=links.live(record),
        dimensions=Size(width=width, height=height),
        user_agent=identity.user_agent,
        headless=spec.launch.mode is not Mode.HEADED,
        is_selenium=False,
        solve_captcha=False,
        optimize_bandwidth=Bandwidth(
            block_images="image" in thrift.kinds,
            block_media="media" in thrift.kinds,
            block_stylesheets="stylesheet" in thrift.kinds,
            block_hosts=list(thrift.hosts),
            block_url_patterns=list(thrift.patterns),
        ),
        stealth_config=Stealth(
            skip_fingerprint_injection=not spec.launch.stealth, humanize_interactions=False, auto_captcha_solving=False
        ),
        debug_config=Debug(interactive=False, system_cursor=False),
        device_config=Device(device="desktop"),
        profile_id=spec.profile,
        persist_profile=spec.persist_profile,
        project_id=labels.get(PROJECT),
    )


def status_of(record: SessionRecord) -> tuple[Any, Any]:
    """Steel's word for a record's status, and for why it ended: None while it lives, or where Steel has no word."""
    if record.status in LIVE:
        return "live", None
    return ("failed" if record.status is Status.FAILED else "released"), REASONS.get(record.reason or "")


def events_of(record: SessionRecord) -> list[Event]:
    """What is remembered of a session, oldest first."""
    happened = [(record.created_at, "created"), *record.history]
    if record.ended_at is not None and not any(word == "released" for _, word in record.history):
        happened.append((record.ended_at, "released"))
    return [
        Event(
            type=RRWEB_CUSTOM,
            timestamp=int(at * 1000),
            data=EventData(tag=f"session.{word}", payload={"sessionId": record.id, **_more(word, record)}),
        )
        for at, word in happened
    ]


def _more(word: str, record: SessionRecord) -> dict[str, Any]:
    return {"reason": record.reason} if word in ("released", "suspended") and record.reason else {}


def dumped(answer: BaseModel) -> dict[str, Any]:
    """As JSON: what is not there is left out, but for the fields that are always told."""
    shown: dict[str, Any] = answer.model_dump(mode="json", by_alias=True)
    required = {to_camel(name) for name, field in type(answer).model_fields.items() if field.is_required()}
    return {name: value for name, value in shown.items() if value is not None or name in required}
