"""One node of all goes through what is stored; what nothing needs any more goes after a day."""

import os
import time
from io import BytesIO
from pathlib import Path

from gateway.snapshot.blobs import LEFT, DirectoryBlobs
from gateway.snapshot.rounds import ROUND, ROUNDS, Rounds
from tests.snapshot.test_cards import OTHER, SESSION

MANIFEST = "1.{}.0123456789abcdef.manifest"
CARD = "card-1.1.1.0123456789abcdef"


def names(blobs: DirectoryBlobs) -> list[str]:
    return [blob.name for blob in blobs.list("") if blob.name != ROUNDS]


def test_one_node_of_all_does_it_at_a_time(tmp_path: Path) -> None:
    blobs, asked = DirectoryBlobs(tmp_path), []

    def expired(session: str, since: str) -> int:
        asked.append((session, since))
        return 2

    one, other = Rounds(blobs, expired), Rounds(blobs, expired)
    for name in (MANIFEST.format(1), MANIFEST.format(2), "pack-ab.cd"):
        blobs.put(f"{SESSION}/{name}", BytesIO())
    blobs.put(f"{OTHER}/{MANIFEST.format(1)}", BytesIO())
    blobs.put("no session!/x", BytesIO())
    assert one.sessions() == ()
    assert one.expire("9999") == 2
    assert asked == [(SESSION, "9999")], "of the other one there is but the newest"
    assert one.sessions() == (SESSION, OTHER)
    assert other.expire("9999") == 0
    assert (other.sessions(), len(asked)) == ((), 1)
    os.utime(tmp_path / ROUNDS, (time.time() - ROUND - 1,) * 2)
    assert other.expire("9999") == 2
    assert one.expire("9999") == 0
    assert (one.sessions(), other.sessions()) == ((), (SESSION, OTHER))


def test_what_is_left_of_no_version_goes_after_a_day(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    for session in (SESSION, OTHER):
        for name in ("pack-ab.cd", CARD, "not ours"):
            blobs.put(f"{session}/{name}", BytesIO(b"x"))
    for path in (tmp_path / SESSION).iterdir():
        os.utime(path, (time.time() - LEFT - 60,) * 2)
    Rounds(blobs, lambda session, since: 0).expire("")
    young = [f"{OTHER}/{CARD}", f"{OTHER}/not ours", f"{OTHER}/pack-ab.cd"]
    assert names(blobs) == [f"{SESSION}/not ours", *young]
