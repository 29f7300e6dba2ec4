"""The scanner of what clients send, against its promises and against the `websockets` library's own parser."""

from dataclasses import dataclass, field

from websockets.frames import Frame as TheirFrame
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.errors import CloseCode
from gateway.relay.commands import CONCERNS, recognise
from gateway.relay.encoding import apply_mask
from gateway.relay.frames import LIMIT, ClientFrames, Command, Control, Segment, Violation
from tests.fakes.chromium import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.fuzz.mutate import FRAMES, Mutator

Event = tuple[int, bool, bytes]  # opcode, whether it is the last of its message, its payload unmasked
COMPARED = 8  # one in so many is also given to the other parser


@dataclass
class Outcome:
    """What became of a stream: whole frames in order, what was passed on, and how it ended."""

    events: list[Event] = field(default_factory=list)
    passed: bytearray = field(default_factory=bytearray)
    violation: Violation | None = None
    closed: bool = False


def scanned(pieces: list[bytes]) -> Outcome:
    """What our scanner makes of it, as `client_leg.py` uses it."""
    frames, outcome = ClientFrames(CONCERNS), Outcome()
    for piece in pieces:
        for segment in [piece] if frames.passes(piece) else frames.feed(piece):
            _take(segment, outcome)
    parsed, torn = forwarded(bytes(outcome.passed))
    assert not (torn and not frames.torn), "half a frame was passed on, and the scanner does not know"
    outcome.events = _merged(outcome.events, parsed)
    return outcome


def _take(segment: Segment, outcome: Outcome) -> None:
    assert outcome.violation is None, "something behind a violation"
    assert not outcome.closed, "something behind a Close"
    if isinstance(segment, Violation):
        outcome.violation = segment
    elif isinstance(segment, Control):
        assert segment.opcode >= CLOSE
        assert len(segment.payload) <= 125
        outcome.events.append((segment.opcode, True, segment.payload))
        outcome.closed = segment.opcode == CLOSE
    else:
        if isinstance(segment, Command):
            recognise(segment.payload)  # never raises, whatever it is
        data = segment.frame if isinstance(segment, Command) else segment
        outcome.events.append((-1, True, len(outcome.passed).to_bytes(8, "big")))  # here the stream goes on
        outcome.passed += data


def forwarded(data: bytes) -> tuple[list[tuple[int, Event]], bool]:
    """The frames that Chromium would get, with where each begins, read by the letter of RFC 6455 section 5.2.

    True: the last is not whole. Fails on a frame that a client must not send.
    """
    found: list[tuple[int, Event]] = []
    at, inside = 0, False
    while at < len(data):
        begin = at
        if len(data) - at < 2:
            return found, True
        first, second = data[at], data[at + 1]
        assert not first & 0x70, "reserved bits reached Chromium"
        assert second & 0x80, "an unmasked frame reached Chromium"
        opcode = first & 0x0F
        assert opcode in (CONTINUATION, TEXT), f"opcode {opcode} reached Chromium"
        assert (opcode == CONTINUATION) == inside, "fragments out of order reached Chromium"
        size = second & 0x7F
        extended = {126: 2, 127: 8}.get(size, 0)
        body = at + 2 + extended + 4
        if body > len(data):
            return found, True
        if extended:
            size = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
        assert size <= LIMIT, "a message reached Chromium at which it would drop the connection"
        at = body + size
        if at > len(data):
            return found, True
        inside = first < 0x80
        found.append((begin, (opcode, first > 0x7F, apply_mask(data[body:at], data[body - 4 : body]))))
    return found, False


def _merged(marks: list[Event], parsed: list[tuple[int, Event]]) -> list[Event]:
    """Controls and forwarded frames in the order in which they came."""
    merged: list[Event] = []
    limits = [int.from_bytes(mark[2], "big") for mark in marks if mark[0] == -1]
    rest = list(parsed)
    for index, mark in enumerate(marks):
        if mark[0] != -1:
            merged.append(mark)
            continue
        later = [int.from_bytes(other[2], "big") for other in marks[index + 1 :] if other[0] == -1]
        end = later[0] if later else None
        while rest and (end is None or rest[0][0] < end):
            merged.append(rest.pop(0)[1])
    assert len(limits) >= (1 if parsed else 0)
    return merged


def theirs(data: bytes) -> tuple[list[Event], bool]:
    """What the other parser makes of it, and whether it found fault."""
    protocol = ServerProtocol(state=State.OPEN, max_size=LIMIT)
    protocol.receive_data(data)
    events = [event for event in protocol.events_received() if isinstance(event, TheirFrame)]
    return [(event.opcode, event.fin, bytes(event.data)) for event in events], protocol.parser_exc is not None


def compare(data: bytes, outcome: Outcome) -> None:
    """Both see the same frames and the same faults, but for what each has for itself."""
    events, faulty = theirs(data)
    violation = outcome.violation
    if violation is not None and (violation.code is CloseCode.UNSUPPORTED_DATA or "125" in violation.reason):
        # We take no binary message, and no control frame whose length has a form that is longer than need be.
        assert events[: len(outcome.events)] == outcome.events
        beyond = events[len(outcome.events) :][:1]
        assert faulty or not beyond or beyond[0][0] in (BINARY, CLOSE, PING, PONG)
    elif outcome.closed and faulty:
        # They look into a Close, and into what stands behind it; we pass its code to nobody.
        assert outcome.events[: len(events)] == events
    else:
        assert outcome.events == events, (outcome.events, events)
        # Each judges some headers earlier than the other. A whole frame that they take and we do not is seen above.
        if faulty and violation is None:
            assert scanned([data + bytes(14)]).violation is not None


def run(seed: int, count: int) -> None:
    """Feed `count` streams; fails with the stream that breaks a promise."""
    mutator = Mutator(FRAMES, seed)
    for number in range(count):
        data = mutator.next()
        pieces = mutator.pieces(data)
        try:
            outcome = scanned(pieces)
            if number % COMPARED == 0:
                whole = scanned([data])
                assert whole.events == outcome.events, "how it is cut up makes a difference"
                assert whole.violation == outcome.violation
                compare(data, outcome)
        except Exception as error:
            raise AssertionError(f"seed {seed}, stream {number}: {pieces!r}") from error
