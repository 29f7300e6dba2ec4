"""A short run of what `make fuzz` does for longer, and that it would notice."""

import gc
import time
from pathlib import Path

import pytest

from gateway.relay import frames as scanner
from gateway.relay.commands import CONCERNS
from gateway.relay.frames import ClientFrames
from tests.fakes.chromium import CONTINUATION, PING, TEXT, frame
from tests.fuzz import frames, handshakes, legs
from tests.fuzz.mutate import FRAMES, Mutator

SEED = 20  # the same each time; `make fuzz` takes another one


def test_streams_for_the_scanner() -> None:
    frames.run(SEED, 20_000)


async def test_visits_through_the_relay() -> None:
    await legs.run(SEED, 300)


async def test_handshakes(tmp_path: Path) -> None:
    statuses = await handshakes.run(SEED, 600, tmp_path)
    assert {400, 401, 404} <= set(statuses), statuses


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["byte by byte", "at once"])
@pytest.mark.parametrize(
    ("opening", "unit"),
    [
        (b"", frame(b"", PING, mask=True)),
        (b"", frame(b"", TEXT, mask=True)),
        (frame(b"", TEXT, fin=False, mask=True), frame(b"", CONTINUATION, fin=False, mask=True)),
    ],
    ids=["pings", "messages", "fragments"],
)
def test_what_it_costs_grows_no_faster_than_what_is_sent(opening: bytes, unit: bytes, size: int) -> None:
    """Eight times the frames may take twenty times the time on a busy machine; sixty-four times would be an attack."""

    def cost(count: int) -> float:
        data = opening + unit * count
        frames, began = ClientFrames(CONCERNS), time.process_time()
        for at in range(0, len(data), size):
            frames.feed(data[at : at + size])
        return time.process_time() - began

    gc.disable()  # it looks at all that other tests have left
    try:
        few = many = 1e9
        for _ in range(20):
            few, many = min(few, cost(2_000)), min(many, cost(16_000))
            if many < 20 * few:
                return
    finally:
        gc.enable()
    raise AssertionError(f"{few} s and {many} s")


def test_the_same_seed_makes_the_same_faults() -> None:
    one, other = Mutator(FRAMES, 7), Mutator(FRAMES, 7)
    assert [one.next() for _ in range(100)] == [other.next() for _ in range(100)]


@pytest.mark.parametrize(
    "broken",
    [
        {"MASKED": 0},  # frames without a mask pass
        {"CLOSE": 0xB},  # controls pass
    ],
)
def test_a_scanner_that_is_broken_is_noticed(monkeypatch: pytest.MonkeyPatch, broken: dict[str, int]) -> None:
    for name, value in broken.items():
        monkeypatch.setattr(scanner, name, value)
    with pytest.raises(AssertionError, match="seed 1, stream"):
        frames.run(1, 5000)
