"""The header between two nodes: what it says, and that nobody else can say it."""

import asyncio
import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cluster import hop as hops
from gateway.cluster.fleet import Lease
from gateway.cluster.hop import LIFE, Asked, BadHop, Hop, Hops, current, digest, granted, take_grant, within
from gateway.records import SessionId, new_session_id

A, B, C = "http://10.0.0.1:3000", "http://10.0.0.2:3000", "http://10.0.0.3:3000"
KEY = b"the fleet's key, which is long enough"
GET = Asked("GET", "/session/connect/abc?token=x")
HOP = Hop(A, "192.0.2.7", "https", "gate.example:8443", "0011223344556677")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def lease() -> Lease:
    return Lease(new_session_id(), B, "a-nonce")


def test_the_other_node_learns_what_the_first_one_knew() -> None:
    granting = Hop(A, "2001:db8::1", "http", "[::1]:3000", "n", lease(), "acme")
    for hop in (HOP, granting, Hop(A, "", "http", "", only=new_session_id())):
        assert Hops(KEY, B).read(Hops(KEY, A).signed(hop, B, GET), GET) == hop


@given(st.text(), st.text(), st.text(), st.none() | st.text())
def test_it_says_any_text(client: str, host: str, number: str, tenant: str | None) -> None:
    hop = Hop(A, client, "http", host, number, None, tenant)
    assert Hops(KEY, B).read(Hops(KEY, A).signed(hop, B, GET), GET) == hop


def test_it_fits_into_a_header() -> None:
    header = Hops(KEY, A).signed(Hop(A, "2001:db8::1", "https", "g" * 253, "0" * 16, lease(), "t" * 64), B, GET)
    assert header.isascii()
    assert header.isprintable()
    assert " " not in header
    assert len(header) < 1024


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(Asked("POST", GET.path), id="another method"),
        pytest.param(Asked("GET", "/session/connect/abd?token=x"), id="another path"),
        pytest.param(Asked("GET", "/session/connect/abc?token=y"), id="another query"),
    ],
)
def test_it_is_for_one_request(asked: Asked) -> None:
    header = Hops(KEY, A).signed(HOP, B, GET)
    with pytest.raises(BadHop, match="not signed"):
        Hops(KEY, B).read(header, asked)


def test_a_body_of_the_nodes_own_is_named() -> None:
    hop = Hop(A, "", "http", "", tenant="acme", body=digest(b"one"))
    read = Hops(KEY, B).read(Hops(KEY, A).signed(hop, B, GET), GET)
    assert read.body == digest(b"one") != digest(b"two")


def test_it_is_for_one_node_of_one_fleet() -> None:
    header = Hops(KEY, A).signed(HOP, B, GET)
    with pytest.raises(BadHop, match="not signed"):
        Hops(KEY, C).read(header, GET)
    with pytest.raises(BadHop, match="not signed"):
        Hops(b"another key", B).read(header, GET)


def test_the_key_itself_signs_nothing() -> None:
    """What is derived from it for another purpose cannot be used for this one."""
    header = Hops(KEY, A).signed(HOP, B, GET)
    assert Hops(KEY, A)._key not in (KEY, Hops(b"x", A)._key)
    assert KEY not in header.encode()


def forged() -> list[object]:
    good = Hops(KEY, A).signed(HOP, B, GET)
    text, _, mac = good.partition(".")
    other = base64.urlsafe_b64encode(json.dumps({"node": A, "client": "10.9.9.9"}).encode()).rstrip(b"=").decode()
    return [
        pytest.param("", id="empty"),
        pytest.param(".", id="a dot"),
        pytest.param(text, id="no signature"),
        pytest.param(f"{text}.", id="an empty signature"),
        pytest.param(f"{other}.{mac}", id="other claims"),
        pytest.param(f"{text}.{mac[:-2]}", id="a cut signature"),
        pytest.param(f"{text}.{mac}AA", id="a longer signature"),
        pytest.param(f"{text}.ä", id="no ASCII"),
        pytest.param(f"{text}.{mac}.{mac}", id="two signatures"),
        pytest.param("A" * 100_000 + "." + mac, id="long"),
    ]


@pytest.mark.parametrize("header", forged())
def test_a_forged_one_is_none(header: str) -> None:
    with pytest.raises(BadHop, match="not signed"):
        Hops(KEY, B).read(header, GET)


@pytest.mark.parametrize("seconds", [LIFE + 1, -LIFE - 1, 86400.0])
def test_it_ages(seconds: float) -> None:
    clock = Clock()
    header = Hops(KEY, A, clock).signed(HOP, B, GET)
    clock.now += seconds
    with pytest.raises(BadHop, match="do the clocks agree"):
        Hops(KEY, B, clock).read(header, GET)


@pytest.mark.parametrize("seconds", [LIFE - 1, -LIFE + 1])
def test_clocks_may_differ(seconds: float) -> None:
    clock = Clock()
    header = Hops(KEY, A, clock).signed(HOP, B, GET)
    clock.now += seconds
    assert Hops(KEY, B, clock).read(header, GET) == HOP


def test_it_is_good_once() -> None:
    here = Hops(KEY, B)
    header = Hops(KEY, A).signed(HOP, B, GET)
    assert here.read(header, GET) == HOP
    with pytest.raises(BadHop, match="used before"):
        here.read(header, GET)
    assert here.read(Hops(KEY, A).signed(HOP, B, GET), GET) == HOP, "the same request again has a header of its own"


def test_those_that_were_used_are_remembered_for_as_long_as_they_are_good_and_no_longer() -> None:
    clock = Clock()
    here, there = Hops(KEY, B, clock), Hops(KEY, A, clock)
    clock.now += LIFE - 1  # signed ahead of our clock
    header = there.signed(HOP, B, GET)
    clock.now -= LIFE - 1
    assert here.read(header, GET) == HOP
    for _ in range(20):
        clock.now += (2 * LIFE - 2) / 20
        with pytest.raises(BadHop, match="used before"):
            here.read(header, GET)
    for _ in range(100):
        clock.now += LIFE
        here.read(there.signed(HOP, B, GET), GET)
    assert len(here._seen) == len(here._order) <= 3


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({}, id="nothing"),
        pytest.param([], id="a list"),
        pytest.param({"at": "x", "node": A, "client": "", "scheme": "", "host": "", "number": ""}, id="no time"),
        pytest.param(
            {"at": 1_000_000, "node": A, "client": "", "scheme": "", "host": "", "number": "", "grant": ["x", B, "y"]},
            id="a place for no session",
        ),
        pytest.param(
            {"at": 1_000_000, "node": A, "client": "", "scheme": "", "host": "", "number": "", "grant": 5},
            id="a place that is a number",
        ),
    ],
)
def test_what_another_version_of_us_signs_is_refused_in_words(claims: object) -> None:
    signer = Hops(KEY, A, Clock())
    text = hops._encoded(json.dumps(claims).encode())
    with pytest.raises(BadHop, match="do all nodes run this version"):
        Hops(KEY, B, Clock()).read(f"{text}.{hops._encoded(signer._mac(text, B, GET))}", GET)


def test_a_granted_place_is_taken_once() -> None:
    place = lease()
    hop = Hop(A, "", "http", "", grant=place)
    assert [current(), granted(), take_grant()] == [None, None, None]
    with within(hop):
        assert current() is hop
        assert granted() == granted() == place, "looking at it takes nothing"
        assert take_grant(new_session_id()) is None, "it is for one session"
        assert [hop.left, take_grant(place.session)] == [place, place]
        assert [granted(), hop.left, take_grant()] == [None, None, None]
    assert hop.grant == place
    assert [current()] == [None]


async def test_it_is_the_current_one_in_tasks_of_the_request() -> None:
    place = lease()
    hop = Hop(A, "", "http", "", grant=place)

    async def work(session: SessionId) -> Lease | None:
        await asyncio.sleep(0)
        return take_grant(session)

    with within(hop):
        made = asyncio.create_task(work(place.session))
    assert current() is None
    assert await made == place
    assert hop.left is None
