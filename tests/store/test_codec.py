"""What is secret in a record is sealed where it is kept, and nothing else changes."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from browser_pool.spec import LaunchSpec
from gateway.records import Egress, Identity, Kind, SessionRecord, SessionSpec, Status, Upstream, new_session_id
from gateway.snapshot.seal import Sealer
from gateway.store.codec import MARK, Codec, locked
from gateway.store.profiles import Profile, Stage
from gateway.store.sqlite import open_store
from tests.inside import inside

KEY, OTHER = bytes(range(32)), bytes(32)
PASSWORD, VALUE = "hunter2-and-more", "a-value-like-a-token"
UPSTREAM = Upstream("http", "proxy.example", 3128, "user", PASSWORD, ("*.local",))
IDENTITY = Identity(user_agent="agent", extra_headers=(("X-Key", VALUE), ("X-Empty", "")))
SPEC = SessionSpec("t", Kind.API, LaunchSpec(), 60, 30, identity=IDENTITY, egress=Egress(upstream=UPSTREAM))
RECORD = SessionRecord(new_session_id(), SPEC, Status.STOPPED, 1.0, 61.0)
PROFILE = Profile("one", "t", Stage.READY, 1.0, 1.0, 1.0, upstream=UPSTREAM)


def sealed(*keys: bytes) -> Codec:
    return Codec(Sealer(keys))


KINDS: dict[str, tuple[Callable[[Codec], bytes], Callable[[Codec, bytes], Any], Any]] = {
    "record": (lambda codec: codec.record(RECORD), lambda codec, text: codec.read_record(text), RECORD),
    "identity": (
        lambda codec: codec.identity(IDENTITY, "t", "n"),
        lambda codec, text: codec.read_identity(text, "t", "n"),
        IDENTITY,
    ),
    "profile": (lambda codec: codec.profile(PROFILE), lambda codec, text: codec.read_profile(text), PROFILE),
}


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind: str) -> None:
    write, read, whole = KINDS[kind]
    plain = write(Codec())
    assert write(sealed()) == plain, "without a key nothing changes"
    assert (PASSWORD in plain.decode(), VALUE in plain.decode()) == (kind != "identity", kind != "profile")
    text = write(sealed(KEY))
    assert PASSWORD not in text.decode()
    assert VALUE not in text.decode()
    assert read(sealed(KEY), text) == whole
    assert read(sealed(OTHER, KEY), text) == whole, "a new key before the old one"
    assert read(sealed(KEY), plain) == whole, "what was written before there was a key"
    assert write(sealed(KEY)) != text, "never the same twice"


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_key_all_the_rest_is_there(kind: str) -> None:
    write, read, whole = KINDS[kind]
    text = write(sealed(KEY))
    for codec in (sealed(OTHER), sealed(), Codec()):
        found = read(codec, text)
        assert found != whole
        assert json.loads(_written(codec, kind, found)) == json.loads(text), "writing it again loses nothing"


def _written(codec: Codec, kind: str, found: Any) -> bytes:
    if kind == "identity":
        return codec.identity(found, "t", "n")
    return codec.record(found) if kind == "record" else codec.profile(found)


def test_what_is_locked() -> None:
    text = sealed(KEY).record(RECORD)
    assert locked(sealed(OTHER).read_record(text).spec)
    assert not locked(sealed(KEY).read_record(text).spec)
    assert not locked(replace(SPEC, egress=Egress(), identity=None))
    assert not locked(replace(SPEC, egress=Egress(upstream=replace(UPSTREAM, password=None))))
    for spec in (replace(SPEC, egress=Egress()), replace(SPEC, identity=None)):
        assert locked(sealed(OTHER).read_record(sealed(KEY).record(replace(RECORD, spec=spec))).spec)


@pytest.mark.parametrize("text", [MARK, f"{MARK}?", f"{MARK}AAAA", f"{MARK}\u00e9"])
def test_what_is_no_sealed_secret_stays_what_it_is(text: str) -> None:
    record = replace(RECORD, spec=replace(SPEC, egress=Egress(upstream=replace(UPSTREAM, password=text))))
    found = sealed(KEY).read_record(sealed(KEY).record(record))
    assert found.spec.egress.upstream == replace(UPSTREAM, password=text)
    assert locked(found.spec)


def test_one_is_of_no_use_in_anothers_place() -> None:
    mine = json.loads(sealed(KEY).record(RECORD))
    mine["id"] = new_session_id()
    assert locked(sealed(KEY).read_record(json.dumps(mine)).spec)


async def test_a_gateway_whose_key_was_changed(tmp_path: Path) -> None:
    """Its identities are listed, and not used: the browser would send what is no header of theirs."""
    first, second = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    identity = {"userAgent": "agent", "extraHeaders": {"X-Key": VALUE}}
    async with inside(tmp_path, encryption_key=first) as gateway:
        assert (await gateway.call("PUT", "/identities/shop", json=identity))[0] in (200, 201)
    files = _bytes(tmp_path)
    assert any(b"agent" in data for data in files)
    assert not any(VALUE.encode() in data for data in files)
    async with inside(tmp_path, encryption_key=second) as gateway:
        status, listed = await gateway.call("GET", "/identities")
        assert (status, VALUE in str(listed), "agent" in str(listed)) == (200, False, True)
        status, refused = await gateway.call("POST", "/session", json={"identity": "shop"})
        assert refused["error"]["code"] == "snapshot_unreadable"
        assert "encryption_key" in refused["error"]["message"]
        assert (await gateway.call("GET", "/pressure"))[1]["pressure"]["running"] == 0
    async with inside(tmp_path, encryption_key=f"{second},{first}") as gateway:
        status, made = await gateway.call("POST", "/session", json={"identity": "shop"})
        assert (status, made["status"]) == (201, "detached")
        assert (await gateway.call("DELETE", f"/session/{made['id']}?purge=true"))[0] == 200


async def test_a_file_of_records(tmp_path: Path) -> None:
    file, now = tmp_path / "gateway.sqlite", time.time()
    record = replace(RECORD, id=new_session_id(), created_at=now)
    async with open_store(file, sealed(KEY)) as store:
        await store.insert(record)
        await store.add_identity("t", "n", IDENTITY)
        await store.profiles.add(PROFILE)
        assert (await store.get(record.id), await store.identity("t", "n")) == (record, IDENTITY)
        assert await store.profiles.get("one") == PROFILE
    written = b"".join(_bytes(tmp_path))
    assert b"proxy.example" in written
    assert PASSWORD.encode() not in written
    assert VALUE.encode() not in written


def _bytes(directory: Path) -> list[bytes]:
    return [file.read_bytes() for file in directory.rglob("*") if file.is_file()]
