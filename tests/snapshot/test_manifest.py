"""Manifests: read as written, and nothing of them believed that was not."""

import json
from dataclasses import replace

import pytest

from gateway.errors import GatewayError
from gateway.snapshot.archive import File, Folder, Tree
from gateway.snapshot.manifest import (
    Header,
    Part,
    Parts,
    SnapshotInfo,
    pieces_of,
    read_header,
    read_manifest,
    write_manifest,
)
from gateway.snapshot.packs import Damaged, Piece
from gateway.snapshot.seal import Sealer

SEALED = Sealer((b"k" * 32,))
PIECES = [
    Piece(bytes([number]) * 32, number + 10, f"pack-{number % 2}", number, number * 100, 90) for number in range(5)
]
PARTS = Parts(
    Part("rest", (PIECES[0],)),
    Part("cookies", ()),
    (Part("https://secret.test", (PIECES[1], PIECES[2])), Part("https://other.test", (PIECES[1],))),
    (Part("", (PIECES[0],)), Part("", (PIECES[3],))),
)
TREE = Tree(
    (Folder("Default", 12), Folder("Default/https_secret.test_0", 13)),
    (File("Default/a", 1_700_000_000_123_456_789, 25, (PIECES[1], PIECES[4])), File("odd \udcff", 3, 0, ())),
)
INFO = SnapshotInfo(
    "s", 7, "2026-01-02T03:04:05.678Z", 450, "stopped", "chromium", True, True, 90, checkpoint=False, fence=3
)
HEADER = Header(INFO, {"pack-0": "", "pack-1": "ab"})
WHOLE = write_manifest(HEADER, PARTS, TREE, SEALED, "s/7")


@pytest.mark.parametrize("sealer", [Sealer(), SEALED], ids=["plain", "sealed"])
def test_a_manifest_is_read_as_it_was_written(sealer: Sealer) -> None:
    read = read_manifest(write_manifest(HEADER, PARTS, TREE, sealer, "s/7"), "s", 7, sealer, "s/7")
    assert (read.header, read.document, read.profile()) == (HEADER, PARTS, TREE)
    assert sorted(read.pieces, key=lambda piece: piece.number) == PIECES
    assert set(pieces_of(PARTS, TREE)) == set(PIECES)
    without = read_manifest(write_manifest(HEADER, PARTS, None, sealer, "s/7"), "s", 7, sealer, "s/7")
    assert without.profile() is None
    assert set(without.pieces) == set(PIECES[:4])


def test_the_first_line_says_what_a_list_shows_and_no_secrets() -> None:
    line = WHOLE.partition(b"\n")[0]
    assert json.loads(line) == {"format": 2, **INFO.to_json(), "packs": {"pack-0": "", "pack-1": "ab"}}
    assert read_header(line, "s", 7) == HEADER
    assert INFO.to_json() == {
        "version": 7,
        "createdAt": "2026-01-02T03:04:05.678Z",
        "bytes": 450,
        "added": 90,
        "reason": "stopped",
        "browser": "chromium",
        "profile": True,
        "checkpoint": False,
        "sealed": True,
        "fence": 3,
    }
    assert b"secret" not in WHOLE


def test_what_is_damaged_or_moved_is_not_read() -> None:
    plain = write_manifest(HEADER, PARTS, TREE, Sealer(), "s/7")
    for sealer, whole in ((SEALED, WHOLE), (Sealer(), plain)):
        start = whole.index(b"\n") + 1
        for place in (3, start // 2, start + 20, (start + len(whole)) // 2, len(whole) - 1):
            damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
            with pytest.raises((Damaged, GatewayError), match="damaged"):
                read_manifest(damaged, "s", 7, sealer, "s/7")
        for length in (0, start // 2, start, start + 50, len(whole) - 1):
            with pytest.raises((Damaged, GatewayError)):
                read_manifest(whole[:length], "s", 7, sealer, "s/7")
    with pytest.raises(GatewayError, match="damaged"):
        read_manifest(WHOLE, "s", 7, SEALED, "other/7")
    with pytest.raises(Damaged, match="another version"):
        read_manifest(WHOLE, "s", 8, SEALED, "s/8")
    with pytest.raises(GatewayError, match="key"):
        read_manifest(WHOLE, "s", 7, Sealer((b"z" * 32,)), "s/7")


def test_a_changed_first_line_is_noticed() -> None:
    line, _, rest = WHOLE.partition(b"\n")
    other = line.replace(b'"stopped"', b'"started"')
    assert read_header(other, "s", 7) == replace(HEADER, info=replace(INFO, reason="started"))
    with pytest.raises(Damaged, match="damaged"):
        read_manifest(other + b"\n" + rest, "s", 7, SEALED, "s/7")


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b"null", b"\xff", b'{"format": 2}', b'{"format": 3, "version": 7}']
)
def test_lines_of_another_shape_are_refused(line: bytes) -> None:
    with pytest.raises(Damaged, match="its manifest is"):
        read_header(line, "s", 7)
