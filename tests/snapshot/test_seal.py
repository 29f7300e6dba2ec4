"""Encryption at rest: every way of tampering is found."""

import io
import os

import pytest

from gateway.errors import Code, GatewayError
from gateway.snapshot.seal import BOX_HEADER, CHUNK, ID, MAGIC, SALT, TAG, NoKey, Sealer

OLD, NEW = b"o" * 32, b"n" * 32
HEADER = len(MAGIC) + ID + SALT


def sealed(data: bytes, sealer: Sealer, name: str = "s/1/context") -> bytes:
    target = io.BytesIO()
    with sealer.writing(target, name) as stream:
        for start in range(0, len(data), 70_000):
            stream.write(data[start : start + 70_000])
    return target.getvalue()


def opened(data: bytes, sealer: Sealer, name: str = "s/1/context") -> bytes:
    with sealer.reading(io.BytesIO(data), name) as stream:
        return stream.read()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])
def test_round_trip(size: int) -> None:
    data = os.urandom(size)
    closed = sealed(data, Sealer((NEW,)))
    assert opened(closed, Sealer((NEW,))) == data
    assert len(closed) == HEADER + size + TAG * max(1, -(-size // CHUNK))
    assert data[:16] not in closed or size < 16


def test_the_newest_key_writes_and_any_reads() -> None:
    before = sealed(b"before", Sealer((OLD,)))
    assert opened(before, Sealer((NEW, OLD))) == b"before"
    after = sealed(b"after", Sealer((NEW, OLD)))
    assert opened(after, Sealer((NEW,))) == b"after"
    with pytest.raises(GatewayError) as refused:
        opened(after, Sealer((OLD,)))
    assert refused.value.code is Code.SNAPSHOT_UNREADABLE
    assert "s/1/context" in refused.value.message
    assert "key" in refused.value.message


def test_without_keys_nothing_is_sealed_and_a_sealed_file_is_refused() -> None:
    assert sealed(b"plain", Sealer()) == b"plain"
    assert not Sealer().seals
    assert opened(b"plain", Sealer((NEW,))) == b"plain"
    with pytest.raises(GatewayError, match="does not have"):
        opened(sealed(b"x", Sealer((NEW,))), Sealer())


def test_the_same_content_never_looks_the_same() -> None:
    assert sealed(b"x" * 100, Sealer((NEW,)))[HEADER:] != sealed(b"x" * 100, Sealer((NEW,)))[HEADER:]


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer((b"short",))


WHOLE = CHUNK + TAG
DATA = os.urandom(3 * CHUNK + 100)
CLOSED = sealed(DATA, Sealer((NEW,)))
BODY = CLOSED[HEADER:]


@pytest.mark.parametrize(
    "damaged",
    {
        "a bit": CLOSED[: HEADER + 10] + bytes([CLOSED[HEADER + 10] ^ 1]) + CLOSED[HEADER + 11 :],
        "a bit of the salt": CLOSED[: HEADER - 1] + bytes([CLOSED[HEADER - 1] ^ 1]) + BODY,
        "a bit of the last tag": CLOSED[:-1] + bytes([CLOSED[-1] ^ 1]),
        "cut in a chunk": CLOSED[:-50],
        "cut at a chunk": CLOSED[: HEADER + 3 * WHOLE],
        "cut to one chunk": CLOSED[: HEADER + WHOLE],
        "cut in the header": CLOSED[: HEADER - 5],
        "only the header": CLOSED[:HEADER],
        "swapped": CLOSED[:HEADER] + BODY[WHOLE : 2 * WHOLE] + BODY[:WHOLE] + BODY[2 * WHOLE :],
        "repeated": CLOSED[:HEADER] + BODY[:WHOLE] + BODY,
        "first left out": CLOSED[:HEADER] + BODY[WHOLE:],
        "more after the end": CLOSED + b"x",
        "joined": CLOSED + CLOSED[HEADER:],
    }.items(),
    ids=lambda pair: pair[0],
)
def test_tampering_is_found(damaged: tuple[str, bytes]) -> None:
    with pytest.raises(GatewayError) as refused:
        opened(damaged[1], Sealer((NEW,)))
    assert refused.value.code is Code.SNAPSHOT_UNREADABLE
    assert "s/1/context" in refused.value.message


def test_a_file_of_another_snapshot_is_refused() -> None:
    with pytest.raises(GatewayError):
        opened(CLOSED, Sealer((NEW,)), "other/1/context")


def test_a_box_opens_what_it_sealed_in_any_order() -> None:
    box = Sealer((NEW,)).box("s/pack")
    pieces = [box.seal(number, f"piece {number}".encode()) for number in range(3)]
    assert b"piece" not in b"".join(pieces)
    again = Sealer((OLD, NEW)).opened(box.header + b"what follows", "s/pack")
    assert [again.open(number, pieces[number]) for number in (2, 0, 1)] == [b"piece 2", b"piece 0", b"piece 1"]
    assert box.label == again.label == Sealer((NEW,)).label != Sealer((OLD, NEW)).label
    assert pieces[0] != Sealer((NEW,)).box("s/pack").seal(0, b"piece 0")


def test_a_piece_is_bound_to_its_number_its_box_and_its_name() -> None:
    sealer = Sealer((NEW,))
    box = sealer.box("s/pack")
    piece = box.seal(0, b"piece")
    wrong = [
        (box, 1, piece),
        (box, 0, piece[:-1]),
        (box, 0, bytes([piece[0] ^ 1]) + piece[1:]),
        (box, 0, b""),
        (sealer.opened(box.header, "other/pack"), 0, piece),
        (sealer.box("s/pack"), 0, piece),
    ]
    for other, number, data in wrong:
        with pytest.raises(ValueError, match="damaged"):
            other.open(number, data)


def test_a_box_without_a_key_is_open_and_stays_readable_with_one() -> None:
    box = Sealer().box("s/pack")
    assert (box.label, Sealer().label) == ("", "")
    again = Sealer((NEW,)).opened(box.header + b"piece", "s/pack")
    assert again.open(0, box.seal(0, b"piece")) == b"piece"
    assert again.label == ""


def test_a_box_of_another_key_or_no_box_is_told_apart() -> None:
    header = Sealer((NEW,)).box("s/pack").header
    assert len(header) == BOX_HEADER
    with pytest.raises(NoKey):
        Sealer((OLD,)).opened(header, "s/pack")
    for rubbish in (b"", header[:-1], MAGIC + header[len(MAGIC) :]):
        with pytest.raises(ValueError, match="header"):
            Sealer((NEW,)).opened(rubbish, "s/pack")
