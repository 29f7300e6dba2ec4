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
from gateway.egress.usage import Usage

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


class Role(StrEnum):
    """What a principal may do: everything, its own sessions, or look on."""

    ADMIN = "admin"
    USER = "user"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer of the gateway, and the most that it may have; None is what the gateway itself allows.

    `max_sessions` are browsers at once, `queue_length` requests that wait for one, `ttl_max` is in seconds,
    `snapshot_bytes` what all its snapshots may take on disk. `args` are the flags that its clients may set: `--name`
    with any value, `--name=value` with that one. `egress_allow` and `egress_deny` are patterns of destinations.
    """

    name: str
    role: Role = Role.USER
    max_sessions: int | None = None
    queue_length: int | None = None
    creates_per_minute: int | None = None
    ttl_max: float | None = None
    snapshot_bytes: int | None = None
    egress_allow: tuple[str, ...] = ()
    egress_deny: tuple[str, ...] = ()
    args: tuple[str, ...] | None = None


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
class Rules:
    """Destinations that may and may not be reached, as patterns (`gateway/egress/pattern.py`)."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Upstream:
    """A proxy that a session's requests go through. `scheme` is http, https or socks5.

    `bypass` are patterns of destinations that are reached without it. The password is no part of its text.
    """

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    bypass: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Egress:
    """What a session's browser may reach and how: its own part, beside what node and tenant say.

    `opens`: whoever made it may open addresses that are not public. `rate` is in requests a second to one domain,
    `connections` how many to one domain at once; None is as many as it likes. `breaker`: stay away for a while from
    a domain that refuses time and again.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    opens: bool = False
    rate: float | None = None
    connections: int | None = None
    breaker: bool = True
    upstream: Upstream | None = None


@dataclass(frozen=True, slots=True)
class Thrift:
    """What pages do not load, to save bandwidth: `kinds` of things by Adblock Plus's names, hosts with all under
    them, and parts of URLs, in which `*` stands for anything."""

    kinds: frozenset[str] = frozenset()
    hosts: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


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
    idle: float | None = None  # seconds without any use until it ends; None: until its ttl
    dialogs: str = "dismiss"  # or accept: what a page is answered when nobody is there
    identity: Identity | None = None
    egress: Egress = Egress()
    block_ads: bool = False  # advertisements and trackers, by filter lists
    thrift: Thrift | None = None
    profile: str | None = None  # the profile that it began with, or is to become
    persist_profile: bool = False  # what it saves is the profile's from then on


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
    `failures` counts browsers that crashed, hung or could not be started. `generation` counts the sets of URLs that
    were handed out, of which the last is good; 0 is that of a session from before there were any.
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
    used: Usage = field(default_factory=Usage)  # of the network, by its browsers that are gone
    generation: int = 0
    history: tuple[tuple[float, str], ...] = ()  # instants, and what happened: the last hundred
    node: str | None = None  # of a fleet: which has its browser, or had it last

    def amended(
        self,
        now: float,
        *,
        ttl: float | None,
        keep: float | None,
        labels: tuple[tuple[str, str], ...] | None,
        idle: float | None = None,
    ) -> "SessionRecord":
        """With new terms: `ttl`, `keep` and `idle` in seconds, `ttl` from `now`; None leaves as it is."""
        spec = replace(
            self.spec,
            ttl=self.spec.ttl if ttl is None else ttl,
            keep=self.spec.keep if keep is None else keep,
            labels=self.spec.labels if labels is None else labels,
            idle=self.spec.idle if idle is None else idle,
        )
        return replace(self, spec=spec, expires_at=self.expires_at if ttl is None else now + ttl)

    def settled(self, now: float) -> "SessionRecord":
        """The same as it counts at `now`: a suspended session whose life is over is expired."""
        if self.status is Status.SUSPENDED and now >= self.ends_at:
            reason = "ttl" if self.ends_at == self.expires_at else "inactivity"
            return replace(self, status=Status.EXPIRED, reason=reason, ended_at=self.ends_at)
        return self

    @property
    def ends_at(self) -> float:
        """The instant at which it ends at the latest, if nobody uses it until then."""
        if self.spec.idle is None:
            return self.expires_at
        return min(self.expires_at, (self.last_used_at or self.created_at) + self.spec.idle)
