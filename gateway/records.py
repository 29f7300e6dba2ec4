"""The nouns that every part shares: sessions as they are asked for and as they are remembered. Frozen.

Instants are seconds since the epoch (UTC), durations seconds; the web layer makes ISO 8601 and
milliseconds of them.
"""

import os
import re
import uuid
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NewType

from browser_pool.spec import LaunchSpec

SessionId = NewType("SessionId", str)

_SESSION_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def new_session_id() -> SessionId:
    """128 random bits in the shape of a UUID, which Steel's clients expect."""
    return SessionId(str(uuid.UUID(bytes=os.urandom(16))))


def is_session_id(text: str) -> bool:
    """Whether `text` has the shape of a session id."""
    return _SESSION_ID.match(text) is not None


class Kind(StrEnum):
    """A standard session is one websocket's; an API session was created over REST and outlives its browser."""

    STANDARD = "standard"
    API = "api"


class Status(StrEnum):
    """What `GET /session/ID` says."""

    STARTING = "starting"
    CONNECTED = "connected"
    DETACHED = "detached"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    EXPIRED = "expired"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """It cannot be connected to any more."""
        return self in (Status.STOPPED, Status.EXPIRED, Status.FAILED)

    @property
    def running(self) -> bool:
        """It holds a browser, or is about to."""
        return self in (Status.STARTING, Status.CONNECTED, Status.DETACHED)


@dataclass(frozen=True, slots=True)
class Source:
    """A saved context: a session's id and the version of its snapshot."""

    session: SessionId
    version: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a browser says it is, to every page and for every client; None is as the browser is by itself.

    `viewport` is in CSS pixels, `geolocation` latitude and longitude in degrees and the accuracy in metres.
    `extra_headers` may hold secrets, so they are no part of its text.
    """

    user_agent: str | None = None
    locale: str | None = None
    timezone: str | None = None
    viewport: tuple[int, int] | None = None
    device_scale_factor: float | None = None
    geolocation: tuple[float, float, float] | None = None
    extra_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """What was asked for. `keep` is how long the browser waits for a client, `ttl` the session's whole life."""

    tenant: str
    kind: Kind
    launch: LaunchSpec
    ttl: float
    keep: float
    persist: bool = False
    name: str | None = None
    url: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    source: Source | None = None
    park: float | None = None  # seconds without a client until its browser is parked; None: never
    checkpoint: float | None = None  # seconds between two savings while it runs, at least; None: none
    dialogs: str = "dismiss"  # or accept: what a page is answered when nobody is there
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a caller gets who does not say, and the most that anyone gets. In seconds."""

    ttl_max: float
    keep: float
    reconnect: float
    reconnect_max: float
    ttl: float = 300.0
    park: float = 5.0
    checkpoint: float = 10.0
    checkpoint_least: float = 1.0


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What is remembered of a session, running or not. `incarnation` counts its browsers and fences writes.

    While a driver is connected `keeps` is how many seconds the browser will wait once it has gone; while none is,
    `until` is the instant at which the wait is over. `secret` is the SHA-256 of what `reconnect` was given as auth.
    `failures` counts browsers that crashed, hung or could not be started.
    """

    id: SessionId
    spec: SessionSpec
    status: Status
    created_at: float
    expires_at: float
    incarnation: int = 0
    reason: str | None = None
    last_used_at: float | None = None
    ended_at: float | None = None
    connections: int = 0
    snapshot: int | None = None
    snapshot_at: str | None = None  # ISO 8601
    keeps: float | None = None
    until: float | None = None
    parked: bool = False
    secret: str | None = None
    failures: int = 0

    def amended(
        self, now: float, *, ttl: float | None, keep: float | None, labels: tuple[tuple[str, str], ...] | None
    ) -> "SessionRecord":
        """With new terms: `ttl` and `keep` in seconds, `ttl` from `now`; None leaves as it is."""
        spec = replace(
            self.spec,
            ttl=self.spec.ttl if ttl is None else ttl,
            keep=self.spec.keep if keep is None else keep,
            labels=self.spec.labels if labels is None else labels,
        )
        return replace(self, spec=spec, expires_at=self.expires_at if ttl is None else now + ttl)

    def settled(self, now: float) -> "SessionRecord":
        """The same as it counts at `now`: a suspended session whose life is over is expired."""
        if self.status is Status.SUSPENDED and now >= self.expires_at:
            return replace(self, status=Status.EXPIRED, reason="ttl", ended_at=self.expires_at)
        return self
