"""The one hop of a request from the node that got it to the node that answers it: signed, and known while it lasts.

The header `X-Gateway-Hop` is `CLAIMS.MAC` in base64url: JSON, and an HMAC-SHA256 with a key made of the `cluster_key`
(RFC 2104) over these claims, the node that it is for, the method and the path with its query. It is good for LIFE
seconds and once (`Hops.read`). What the other node is told so is who asks and under what address, as the first node saw
it, and the place there that the fleet granted.
"""

import base64
import binascii
import contextvars
import hashlib
import hmac
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.cluster.fleet import Lease
from gateway.records import SessionId, is_session_id

HEADER = "X-Gateway-Hop"
REFUSED = "refused"  # the same header in an answer: the hop was none, which is no affair of the client's
OWNER = "X-Gateway-Owner"  # with 421: which node has the session instead; empty: that is for the first node to find out
LIFE = 30.0  # seconds, either way: the nodes' clocks may differ by as much
LONGEST = 8192  # characters of the header
_PURPOSE = b"cdp-gateway hop 1"


class BadHop(ValueError):
    """The header is none of ours, or too old, or was used; the message says which and has nothing of it."""


@dataclass(slots=True)
class _Place:
    """A granted place, until it is taken."""

    lease: Lease | None


@dataclass(frozen=True, slots=True)
class Hop:
    """A request that came from another node. `tenant`: in whose name the nodes themselves ask, of internal routes.

    `node` is who forwarded it; `client` its client's address, `scheme` and `host` what that client used; `number` the
    request's id in the logs. `grant` is the place here that the fleet gave the session that it makes. `body` is the
    SHA-256 of the body where that is the nodes' own; a client's is passed on as it comes. `only` is a session that a
    hint led here for: unless it runs here, the request is for another node.
    """

    node: str
    client: str
    scheme: str
    host: str
    number: str = ""
    grant: Lease | None = None
    tenant: str | None = None
    body: str | None = None
    only: SessionId | None = None
    _place: _Place = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_place", _Place(self.grant))

    @property
    def left(self) -> Lease | None:
        """The place that was granted, as long as nobody has taken it."""
        return self._place.lease

    def take(self) -> Lease | None:
        """The place that was granted, for whoever asks first: it is theirs to release."""
        lease, self._place.lease = self._place.lease, None
        return lease


_CURRENT: contextvars.ContextVar[Hop | None] = contextvars.ContextVar("hop", default=None)


def current() -> Hop | None:
    """The hop of the request that is being answered here; None for a client's own."""
    return _CURRENT.get()


def granted() -> Lease | None:
    """The place that this request brought and that nobody has taken yet."""
    hop = current()
    return None if hop is None else hop.left


def take_grant(session: SessionId | None = None) -> Lease | None:
    """The same, taken; with `session` only if it is for that one."""
    hop = current()
    if hop is None or hop.left is None or (session is not None and hop.left.session != session):
        return None
    return hop.take()


@contextmanager
def within(hop: Hop | None) -> Iterator[None]:
    """Let `hop` be the current one in this block and in tasks that are begun in it."""
    token = _CURRENT.set(hop)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that a header is for. `path` with its query, as it stands in the request line."""

    method: str
    path: str


class Hops:
    """Headers made and read with one `cluster_key`, at the node of that name. `now` in seconds, as time.time."""

    def __init__(self, key: bytes, name: str, now: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest(key, _PURPOSE, hashlib.sha256)
        self._name = name
        self._now = now
        self._seen: set[bytes] = set()
        self._order: deque[tuple[float, bytes]] = deque()

    def signed(self, hop: Hop, to: str, asked: Asked) -> str:
        """The header's value for one request to the node `to`."""
        claims: dict[str, Any] = {
            "at": round(self._now(), 3),
            "once": secrets.token_hex(8),
            "node": hop.node,
            "client": hop.client,
            "scheme": hop.scheme,
            "host": hop.host,
            "number": hop.number,
        }
        if hop.grant is not None:
            claims["grant"] = [hop.grant.session, hop.grant.node, hop.grant.token]
        if hop.tenant is not None:
            claims["tenant"] = hop.tenant
        if hop.body is not None:
            claims["body"] = hop.body
        if hop.only is not None:
            claims["only"] = hop.only
        text = _encoded(json.dumps(claims, separators=(",", ":")).encode())
        return f"{text}.{_encoded(self._mac(text, to, asked))}"

    def read(self, header: str, asked: Asked) -> Hop:
        """The hop that `header` tells of, of this request to this node. Raises BadHop."""
        text, _, mac = header.partition(".")
        if len(header) > LONGEST or not hmac.compare_digest(
            _decoded(mac), self._mac(text, self._name, asked)
        ):  # an empty one is as long as no MAC
            raise BadHop("it is not signed with this fleet's cluster_key for this request")
        hop, at = _hop(_decoded(text))
        now = self._now()
        if abs(now - at) > LIFE:
            raise BadHop(f"it was signed {abs(now - at):.0f} s {'ago' if now > at else 'ahead'}: do the clocks agree?")
        self._use(_decoded(mac), now)
        return hop

    def _use(self, mac: bytes, now: float) -> None:
        """Note that it was here. Raises BadHop if it was before."""
        while self._order and self._order[0][0] < now:
            self._seen.discard(self._order.popleft()[1])
        if mac in self._seen:
            raise BadHop("it was used before")
        self._seen.add(mac)
        self._order.append((now + 2 * LIFE, mac))  # one that is dated ahead is good for as long

    def _mac(self, claims: str, to: str, asked: Asked) -> bytes:
        # None of them has a line break in it: HTTP does not let one in.
        said = "\n".join((claims, to, asked.method, asked.path))
        return hmac.digest(self._key, said.encode(errors="surrogatepass"), hashlib.sha256)


def _hop(claims: bytes) -> tuple[Hop, float]:
    """What well-signed claims say, and when they were signed. Raises BadHop for those of another version of us."""
    try:
        said = json.loads(claims)
        grant = said.get("grant")
        lease = None
        if grant is not None:
            session, node, token = (str(part) for part in grant)
            if not is_session_id(session):
                raise ValueError
            lease = Lease(SessionId(session), node, token)
        tenant, body, only = (said.get(name) for name in ("tenant", "body", "only"))
        hop = Hop(
            str(said["node"]),
            str(said["client"]),
            str(said["scheme"]),
            str(said["host"]),
            str(said["number"]),
            lease,
            None if tenant is None else str(tenant),
            None if body is None else str(body),
            None if only is None else SessionId(str(only)),
        )
        return hop, float(said["at"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BadHop("it cannot be read: do all nodes run this version?") from None


def digest(body: bytes) -> str:
    """See Hop.body."""
    return hashlib.sha256(body).hexdigest()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """Empty where it is no base64url."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
