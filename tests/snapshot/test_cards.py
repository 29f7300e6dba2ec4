"""What a session was, beside what it saved: sealed, whole or not there, the greatest of several counts."""

from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from gateway.egress.usage import Usage
from gateway.errors import Code, GatewayError
from gateway.records import Egress, Identity, Kind, SessionId, SessionRecord, SessionSpec, Source, Status, Upstream
from gateway.snapshot.blobs import Blobs, BlobsAway, DirectoryBlobs
from gateway.snapshot.cards import (
    CARD,
    SharedCards,
    card_here,
    is_card,
    newest_shared,
    put_here,
    read_card,
    telling,
    write_card,
)
from gateway.snapshot.folder import SessionFolder
from gateway.snapshot.packs import Damaged
from gateway.snapshot.seal import Sealer
from gateway.store.profiles import Profile, Stage
from tests.snapshot.stepping import Stepping

SESSION, OTHER = SessionId("3f0e6c1e-0000-4000-8000-000000000001"), SessionId("3f0e6c1e-0000-4000-8000-000000000002")
PLAIN, SEALED = Sealer(), Sealer((b"k" * 32,))
SPEC = SessionSpec(
    tenant="t",
    kind=Kind.API,
    launch=LaunchSpec(),
    ttl=60,
    keep=10,
    persist=True,
    name="näme",
    labels=(("a", "b"),),
    source=Source(OTHER, 3),
    identity=Identity(user_agent="me", extra_headers=(("x-key", "hush"),)),
    egress=Egress(allow=("a.test",), upstream=Upstream("http", "p.test", 8080, "user", "hush")),
)
RECORD = SessionRecord(
    SESSION, SPEC, Status.SUSPENDED, 1000.5, 2000.0, incarnation=3, snapshot=2, generation=4, node="http://n:1"
)


@pytest.mark.parametrize("sealer", [PLAIN, SEALED], ids=["plain", "sealed"])
def test_it_says_all_that_the_record_did(sealer: Sealer) -> None:
    data = write_card(RECORD, sealer)
    assert read_card(data, SESSION, sealer) == RECORD
    assert (b"hush" in data) is False
    assert len(data) < 1000


def test_it_says_what_a_profile_was() -> None:
    profile = Profile(SESSION, "t", Stage.READY, 1.0, 2.0, 3.0, 4, upstream=Upstream("http", "p", 1, "u", "hush"))
    data = write_card(profile, SEALED)
    assert read_card(data, SESSION, SEALED) == profile
    with pytest.raises(GatewayError):
        read_card(data, OTHER, SEALED)


@pytest.mark.parametrize(
    ("changes", "another"),
    [
        ({"connections": 5, "last_used_at": 7.0, "history": ((1.0, "x"),), "snapshot": 9, "failures": 1}, False),
        ({"keeps": 1.0, "until": 2.0, "parked": True, "secret": "s", "used": Usage(), "snapshot_at": "now"}, False),
        ({"generation": 5}, True),
        ({"incarnation": 4}, True),
        ({"expires_at": 3000.0}, True),
        ({"status": Status.STOPPED, "ended_at": 5.0}, True),
        ({"spec": replace(SPEC, labels=())}, True),
    ],
    ids=["uses", "waits", "rotated", "woken", "amended", "stopped", "labelled"],
)
def test_what_makes_another_card(changes: dict[str, object], another: bool) -> None:
    assert (telling(replace(RECORD, **changes)) != telling(RECORD)) is another  # type: ignore[arg-type]


def test_who_is_connected_makes_no_other_card() -> None:
    ran = [replace(RECORD, status=status, reason=status.value) for status in Status if status.running]
    assert len(ran) > 1
    assert all(telling(one) == telling(ran[0]) for one in ran)


@pytest.mark.parametrize("sealer", [PLAIN, SEALED], ids=["plain", "sealed"])
def test_damage_is_told(sealer: Sealer) -> None:
    data = write_card(RECORD, sealer)
    for place in range(0, len(data), 7):
        broken = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises((Damaged, GatewayError)):
            read_card(broken, SESSION, sealer)
    with pytest.raises((Damaged, GatewayError)):
        read_card(data[:-1], SESSION, sealer)
    with pytest.raises((Damaged, GatewayError)):
        read_card(data, OTHER, sealer)  # moved to another session


def test_without_the_key_it_is_told() -> None:
    with pytest.raises(GatewayError, match="a key that the gateway does not have") as refused:
        read_card(write_card(RECORD, SEALED), SESSION, PLAIN)
    assert refused.value.code is Code.SNAPSHOT_UNREADABLE


def test_on_a_disk_it_replaces_the_one_before(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / SESSION)
    put_here(folder, b"a")
    assert not folder.path.exists(), "nothing is saved of it, or it was erased"
    assert card_here(folder) is None
    folder.path.mkdir()
    for data in (b"a", b"b"):
        put_here(folder, data)
        assert card_here(folder) == data
    assert sorted(path.name for path in folder.path.iterdir()) == [CARD, "lock"]


def names(blobs: Blobs) -> list[str]:
    return [blob.name.partition("/")[2] for blob in blobs.list(f"{SESSION}/")]


def test_where_nodes_share_the_greatest_counts(blobs: Blobs) -> None:
    one, two = SharedCards(blobs, SEALED), SharedCards(blobs, SEALED)
    assert newest_shared(blobs, SESSION, SEALED) is None
    for cards, record in (
        (one, RECORD),
        (one, replace(RECORD, expires_at=3000.0)),
        (two, replace(RECORD, incarnation=4)),
        (two, replace(RECORD, incarnation=4, generation=5)),
    ):
        cards.keep(record)
        cards.put(SESSION)
        assert newest_shared(blobs, SESSION, SEALED) == record
        assert [is_card(name) for name in names(blobs)] == [True]
    # A node that was taken over, and one that has not heard of a rotation: both come too late.
    for late in (RECORD, replace(RECORD, incarnation=9)):
        one.keep(late)
        one.put(SESSION)
        assert newest_shared(blobs, SESSION, SEALED) == record
    two.keep(replace(RECORD, incarnation=10, generation=5))
    two.put(SESSION)
    assert len(names(blobs)) == 1, "what came late goes with the next one"
    assert not one.left + two.left


def test_what_the_storage_does_not_take_is_put_later(tmp_path: Path) -> None:
    blobs = Stepping(DirectoryBlobs(tmp_path / "blobs"))
    cards = SharedCards(blobs, SEALED)
    blobs.away = True
    for record in (RECORD, replace(RECORD, generation=5)):
        cards.keep(record)
        with pytest.raises(BlobsAway):
            cards.put(SESSION)
    assert list(cards.left) == [SESSION]
    blobs.away = False
    cards.put(SESSION)
    assert list(cards.left) == []
    assert newest_shared(blobs, SESSION, SEALED) == record
    cards.keep(RECORD)
    cards.forget(SESSION)
    cards.put(SESSION)
    assert newest_shared(blobs, SESSION, SEALED) == record


def test_a_damaged_card_gives_way_to_the_one_before_but_rotated_urls_stay_so(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    older, newer = SharedCards(blobs, SEALED), SharedCards(blobs, SEALED)
    newer.keep(replace(RECORD, generation=5))
    newer.put(SESSION)
    older.keep(RECORD)
    older.put(SESSION)
    first, second = sorted((tmp_path / SESSION).iterdir())
    second.write_bytes(b"nonsense" * 20)
    assert newest_shared(blobs, SESSION, SEALED) == replace(RECORD, generation=5)
    first.write_bytes(b"nonsense" * 20)
    with pytest.raises(Damaged, match="its card"):
        newest_shared(blobs, SESSION, SEALED)


def test_other_names_are_none() -> None:
    assert not any(map(is_card, ("card", "card-", "card-1.2.3", "1.2.0123456789abcdef.manifest", "pack-ab.cd")))
