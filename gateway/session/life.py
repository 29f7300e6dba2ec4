"""The nouns of a session's life: its states, what can happen to it, and what is then to be done. Frozen.

`machine.py` says which follows from which.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NewType

from gateway.errors import CloseCode, Code
from gateway.records import Status

SeatId = NewType("SeatId", int)


class Role(StrEnum):
    """A driver has the session to itself; observers (debugging clients) sit beside it."""

    DRIVER = "driver"
    OBSERVER = "observer"


class Cause(Enum):
    """Why a session ends, or its browser is put away, and what a client still connected is told."""

    STOPPED = ("stopped", CloseCode.STOPPED, "the session was stopped")
    EXPIRED = ("ttl", CloseCode.EXPIRED, "the session's time is up")
    UNUSED = ("keep_alive", CloseCode.EXPIRED, "no client came back in time")
    INACTIVE = ("inactivity", CloseCode.EXPIRED, "nobody used the session for its inactivityTimeout")
    CLIENT_LEFT = ("client_left", CloseCode.DONE, "the client left")
    CLOSED = ("browser_closed", CloseCode.DONE, "the client closed the browser")
    CRASHED = ("browser_crashed", CloseCode.CRASHED, "the browser crashed")
    LAUNCH_FAILED = ("launch_failed", CloseCode.FAULT, "the browser could not be started")
    SAVE_FAILED = ("save_failed", CloseCode.FAULT, "its context could not be saved")
    DRAINED = ("gateway_stopped", CloseCode.DRAINING, "the gateway is stopping")
    MOVED = ("node_lost", CloseCode.NODE_GONE, "another node has the session now: reconnect")
    FAULT = ("gateway_fault", CloseCode.FAULT, "a fault in the gateway ended the session")

    def __init__(self, word: str, close: CloseCode, words: str) -> None:
        self.word = word
        self.close = close
        self.words = words

    @property
    def final(self) -> bool:
        """Whether the session's life is over for it, whatever was saved."""
        return self in (Cause.EXPIRED, Cause.INACTIVE)

    @property
    def status(self) -> Status:
        """How a session that ended for this is listed."""
        match self:
            case Cause.EXPIRED | Cause.UNUSED | Cause.INACTIVE:
                return Status.EXPIRED
            case Cause.CRASHED | Cause.LAUNCH_FAILED | Cause.SAVE_FAILED | Cause.FAULT:
                return Status.FAILED
            case _:
                return Status.STOPPED


class Save(Enum):
    """What is kept of a browser that is put away."""

    NOTHING = "nothing"
    CONTEXT = "context"
    PROFILE = "profile"  # it crashed: what it had written to disk by then


@dataclass(frozen=True, slots=True)
class Terms:
    """The session's own rules. `keep` in seconds; `expires_at` an instant; `survives`: it outlives its browser.

    `saved`: there is a snapshot to come back from. `park`: seconds without a client until the browser is parked,
    None for never. `idle_at`: the instant at which it has been without use for too long, if it is not used until then.
    """

    keep: float
    expires_at: float
    survives: bool
    saved: bool = False
    park: float | None = None
    idle_at: float | None = None


# --- states ---


@dataclass(frozen=True, slots=True)
class Starting:
    """A browser is being launched; `waiting` are the seats to admit when it is ready, in order.

    `until`: it is one that runs already, from an earlier process of ours, and waits no longer than that.
    """

    waiting: tuple[tuple[SeatId, Role], ...] = ()
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """A driver is connected; `keep` seconds is how long the browser will wait once it has gone."""

    driver: SeatId
    observers: frozenset[SeatId]
    keep: float


@dataclass(frozen=True, slots=True)
class Detached:
    """The browser lives without a driver, `until` at the latest; it is `parked`, or will be at `park_at`."""

    observers: frozenset[SeatId]
    until: float
    park_at: float | None = None
    parked: bool = False


@dataclass(frozen=True, slots=True)
class Suspending:
    """The browser is being saved and put away; drivers that come meanwhile wait for the next one."""

    cause: Cause
    waiting: tuple[tuple[SeatId, Role], ...] = ()


@dataclass(frozen=True, slots=True)
class Suspended:
    """No browser, but a saved context: the next driver starts a new incarnation."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class Stopping:
    """The browser is being put away for good."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing follows."""

    cause: Cause


State = Starting | Attached | Detached | Suspending | Suspended | Stopping | Ended


# --- events ---


@dataclass(frozen=True, slots=True)
class Attach:
    """A client asks for a seat."""

    seat: SeatId
    role: Role = Role.DRIVER
    takeover: bool = False


@dataclass(frozen=True, slots=True)
class Detach:
    """A client has gone, by whatever road."""

    seat: SeatId


@dataclass(frozen=True, slots=True)
class Linger:
    """`reconnect`: keep the browser `keep` seconds after this driver has gone."""

    seat: SeatId
    keep: float


@dataclass(frozen=True, slots=True)
class CloseBrowser:
    """An explicit Browser.close by the client on `seat`."""

    seat: SeatId


@dataclass(frozen=True, slots=True)
class Stop:
    """End the session. Refused to `ticket` while a driver is connected, unless `force`."""

    ticket: SeatId
    force: bool = False


@dataclass(frozen=True, slots=True)
class Drain:
    """The gateway stops: save what survives, end the rest."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Another node of the fleet has the session: nothing of this browser counts any more."""


@dataclass(frozen=True, slots=True)
class BrowserReady:
    """The launched browser answers."""


@dataclass(frozen=True, slots=True)
class BrowserFailed:
    """The launch came to nothing and left nothing behind."""


@dataclass(frozen=True, slots=True)
class BrowserGone:
    """The browser's process ended by itself."""


@dataclass(frozen=True, slots=True)
class BrowserReleased:
    """The browser is put away; `saved` is False if what was to be saved could not be."""

    saved: bool = True


@dataclass(frozen=True, slots=True)
class Renew:
    """The terms have changed: a waiting browser waits anew."""


@dataclass(frozen=True, slots=True)
class Use:
    """Something other than a client on a socket needs the browser: a request for its context, or its targets."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The deadline may have come. Too early or too late makes no difference."""


Event = (
    Attach
    | Detach
    | Linger
    | CloseBrowser
    | Stop
    | Drain
    | Lost
    | BrowserReady
    | BrowserFailed
    | BrowserGone
    | BrowserReleased
    | Renew
    | Use
    | Tick
)


# --- effects ---


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a browser: the answer is BrowserReady or BrowserFailed."""


@dataclass(frozen=True, slots=True)
class Release:
    """Save and put away the browser, or give up its launch: the answer is BrowserReleased."""

    save: Save


@dataclass(frozen=True, slots=True)
class Admit:
    """The seat may use the browser."""

    seat: SeatId


@dataclass(frozen=True, slots=True)
class Refuse:
    """The seat or ticket is turned away; `cause` says why the session ended, where it did."""

    seat: SeatId
    code: Code
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Evict:
    """An admitted seat is put off its socket."""

    seat: SeatId
    close: CloseCode
    words: str


@dataclass(frozen=True, slots=True)
class Park:
    """Nobody is there: the browser is to use no processor time."""


@dataclass(frozen=True, slots=True)
class Wake:
    """Somebody is there again."""


Effect = Launch | Release | Admit | Refuse | Evict | Park | Wake
Step = tuple[State, tuple[Effect, ...]]
