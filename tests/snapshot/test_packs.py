"""Pieces: written once, found again, and every damage told."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.snapshot.packs import MAX_PACKS, SPLIT, Damaged, PackWriter, Piece, reading, reusable
from gateway.snapshot.seal import BOX_HEADER, Sealer

SESSION = "s"
SEALERS = pytest.mark.parametrize("sealer", [Sealer(), Sealer((b"k" * 32,))], ids=["plain", "sealed"])


def written(folder: Path, sealer: Sealer, *contents: bytes) -> list[Piece]:
    """The contents in one pack."""
    writer = PackWriter(folder, SESSION, sealer, {})
    pieces = [writer.put(content) for content in contents]
    writer.finish()
    return pieces


@SEALERS
def test_contents_come_back_and_are_written_once(tmp_path: Path, sealer: Sealer) -> None:
    writer = PackWriter(tmp_path, SESSION, sealer, {})
    large = os.urandom(2 * SPLIT) + b"end"
    parts = writer.put_all(large)
    assert [piece.size for piece in parts] == [SPLIT, SPLIT, 3]
    assert writer.put_all(b"") == ()
    assert writer.put(b"end") == parts[2]
    text = writer.put(b"text " * 10_000)
    assert text.stored < 1000
    writer.finish()
    (pack,) = tmp_path.iterdir()
    assert pack.stat().st_size == writer.added
    assert pack.stat().st_mode & 0o777 == 0o600
    assert (b"text " in pack.read_bytes()) is (not sealer.seals)
    with reading(tmp_path, SESSION, sealer, [writer.pack]) as reader:
        assert reader.get_all(parts) == large
        assert reader.get(text) == b"text " * 10_000


def test_what_is_known_is_not_written_and_nothing_leaves_no_file(tmp_path: Path) -> None:
    (piece,) = written(tmp_path, Sealer(), b"known")
    writer = PackWriter(tmp_path, SESSION, Sealer(), {piece.digest: piece})
    assert writer.put(b"known") == piece
    writer.finish()
    assert writer.added == 0
    assert [path.name for path in tmp_path.iterdir()] == [piece.pack]
    other = PackWriter(tmp_path, SESSION, Sealer(), {})
    other.put(b"given up")
    other.discard()
    assert [path.name for path in tmp_path.iterdir()] == [piece.pack]


@SEALERS
def test_many_threads_write_and_read_at_once(tmp_path: Path, sealer: Sealer) -> None:
    contents = [os.urandom(1 + number * 37) for number in range(300)]
    writer = PackWriter(tmp_path, SESSION, sealer, {})
    with ThreadPoolExecutor(8) as pool:
        pieces = list(pool.map(writer.put, contents))
        writer.finish()
        with reading(tmp_path, SESSION, sealer, [writer.pack]) as reader:
            assert list(pool.map(reader.get, pieces)) == contents
    assert len({piece.number for piece in pieces}) == len(contents)


@SEALERS
def test_damage_to_a_piece_is_told_and_harms_no_other(tmp_path: Path, sealer: Sealer) -> None:
    first, second, third = written(tmp_path, sealer, b"first" * 50, os.urandom(500), b"third" * 50)
    file = tmp_path / second.pack
    whole = file.read_bytes()
    for place in (second.offset, second.offset + second.stored // 2, second.offset + second.stored - 1):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with reading(tmp_path, SESSION, sealer, [second.pack]) as reader:
            with pytest.raises(Damaged, match="it is damaged"):
                reader.get(second)
            assert reader.get_all((first, third)) == b"first" * 50 + b"third" * 50
    file.write_bytes(whole[: second.offset + 10])
    with reading(tmp_path, SESSION, sealer, [second.pack]) as reader, pytest.raises(Damaged, match="it is damaged"):
        reader.get(second)


def test_a_pack_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    sealer = Sealer((b"k" * 32,))
    (piece,) = written(tmp_path, sealer, b"x")
    with pytest.raises(Damaged, match="does not have"), reading(tmp_path, SESSION, Sealer(), [piece.pack]):
        pass
    other = reading(tmp_path, "other", sealer, [piece.pack])
    with other as reader, pytest.raises(Damaged, match="it is damaged"):
        reader.get(piece)
    (tmp_path / piece.pack).write_bytes(b"rubbish")
    with pytest.raises(Damaged, match="not the header"), reading(tmp_path, SESSION, sealer, [piece.pack]):
        pass
    (tmp_path / piece.pack).unlink()
    with pytest.raises(Damaged, match="a part of it is missing"), reading(tmp_path, SESSION, sealer, [piece.pack]):
        pass


def test_what_is_removed_meanwhile_can_still_be_read(tmp_path: Path) -> None:
    (piece,) = written(tmp_path, Sealer(), b"x")
    with reading(tmp_path, SESSION, Sealer(), [piece.pack]) as reader:
        (tmp_path / piece.pack).unlink()
        assert reader.get(piece) == b"x"


def piece(pack: str, number: int, *, stored: int = 100) -> Piece:
    return Piece(f"{pack}/{number}".encode(), 200, pack, number, BOX_HEADER + number * stored, stored)


def test_pieces_are_taken_over_from_packs_that_are_whole_in_use_and_of_the_newest_key() -> None:
    size = BOX_HEADER + 400
    half = [piece("half", 0), piece("half", 1), piece("half", 1)]
    few = [piece("few", 3)]
    cut = [piece("cut", 0), piece("cut", 1), piece("cut", 3)]
    old = [piece("old", number) for number in range(4)]
    gone = [piece("gone", number) for number in range(4)]
    sizes = {"half": size, "few": size, "cut": size - 1, "old": size}
    labels = {"half": "new", "few": "new", "cut": "new", "old": "old", "gone": "new"}
    found = reusable([*half, *few, *cut, *old, *gone], sizes, labels, "new")
    assert found == {one.digest: one for one in (*half, *cut[:2])}


def test_of_many_packs_the_smallest_are_written_together_again() -> None:
    packs = {f"p{number}": number for number in range(1, MAX_PACKS + 4)}
    pieces = [piece(pack, number) for pack, count in packs.items() for number in range(count)]
    sizes = {pack: BOX_HEADER + 100 * count for pack, count in packs.items()}
    found = reusable(pieces, sizes, dict.fromkeys(packs, ""), "")
    assert {one.pack for one in found.values()} == {f"p{number}" for number in range(4, MAX_PACKS + 4)}
