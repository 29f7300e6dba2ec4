"""frames.py against hand-made frames of every shape, and against websockets' own parser as the oracle."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.streams import StreamReader

from gateway.errors import CloseCode
from gateway.relay.encoding import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, encode, encode_close
from gateway.relay.frames import (
    HOLD,
    HOLD_SCRIPT,
    LIMIT,
    PEEK,
    SCRIPT,
    BrowserFrames,
    ClientFrames,
    Command,
    Control,
    Segment,
    Violation,
)

OURS = re.compile(rb"Gateway")
MASK = b"\x37\xfa\x21\x3d"


def frame(
    payload: bytes, opcode: int = TEXT, *, fin: bool = True, mask: bytes = b"", form: int = 0, rsv: int = 0
) -> bytes:
    """A frame made by the letter of RFC 6455 section 5.2; `form` 126 or 127 forces a longer length field."""
    size = len(payload)
    form = form or (size if size < 126 else 126 if size < 65536 else 127)
    extended = size.to_bytes(2, "big") if form == 126 else size.to_bytes(8, "big") if form == 127 else b""
    head = bytes((fin << 7 | rsv << 4 | opcode, bool(mask) << 7 | form))
    if mask:
        whole = (mask * (size // 4 + 1))[:size]
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")
    return head + extended + mask + payload


def masked(payload: bytes, opcode: int = TEXT, *, fin: bool = True, form: int = 0, rsv: int = 0) -> bytes:
    return frame(payload, opcode, fin=fin, mask=MASK, form=form, rsv=rsv)


@dataclass(frozen=True)
class Parsed:
    """A frame as the oracle saw it, and where in the stream it lay."""

    start: int
    end: int
    frame: Frame


def oracle(stream: bytes, *, mask: bool) -> list[Parsed]:
    """The whole stream through websockets' parser; it must end at a frame's end."""
    reader = StreamReader()
    reader.feed_data(stream)
    reader.feed_eof()
    parsed: list[Parsed] = []
    start = 0
    while reader.buffer:
        parser = Frame.parse(reader.read_exact, mask=mask)
        with pytest.raises(StopIteration) as done:
            next(parser)
        end = len(stream) - len(reader.buffer)
        parsed.append(Parsed(start, end, done.value.value))
        start = end
    return parsed


def messages(stream: bytes, *, mask: bool) -> list[tuple[int, bytes]]:
    """Messages and control frames in the order in which they end, fragments joined."""
    found: list[tuple[int, bytes]] = []
    pending = b""
    for item in oracle(stream, mask=mask):
        if item.frame.opcode >= CLOSE:
            found.append((item.frame.opcode, bytes(item.frame.data)))
            continue
        pending += item.frame.data
        if item.frame.fin:
            found.append((TEXT, pending))
            pending = b""
    assert not pending
    return found


def boundaries(stream: bytes) -> list[int]:
    """Every offset between two messages, up to a Close frame."""
    offsets, fragmented = [0], False
    for item in oracle(stream, mask=False):
        if item.frame.opcode == CLOSE:
            break
        if item.frame.opcode < CLOSE:
            fragmented = not item.frame.fin
        if not fragmented:
            offsets.append(item.end)
    return offsets


def chunks(stream: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(stream)}), len(stream)]
    for begin, end in pairwise(edges):
        yield stream[begin:end]


def follow(stream: bytes, cuts: Iterable[int]) -> BrowserFrames:
    """Feed in chunks and hold every answer and property against the oracle."""
    places = boundaries(stream)
    edges = {0, *(item.end for item in oracle(stream, mask=False))}
    frames, offset = BrowserFrames(), 0
    for chunk in chunks(stream, cuts):
        expected = min((at - offset for at in places if offset <= at <= offset + len(chunk)), default=-1)
        assert frames.feed(chunk) == expected
        offset += len(chunk)
        assert frames.idle == (offset in places and not frames.closed)
        if not frames.closed:
            assert frames.torn == (offset not in edges)
    return frames


def read(stream: bytes, cuts: Iterable[int] = (), *, limit: int = LIMIT) -> list[Segment]:
    """Feed in chunks; all segments, with bytes that touch joined. `passes` may save a `feed`, and changes nothing."""
    cuts = list(cuts)
    segments = _read(stream, cuts, limit, quick=False)
    assert _read(stream, cuts, limit, quick=True) == segments
    return segments


def _read(stream: bytes, cuts: Iterable[int], limit: int, *, quick: bool) -> list[Segment]:
    frames = ClientFrames(OURS, limit)
    joined: list[Segment] = []
    for chunk in chunks(stream, cuts):
        segments = [chunk] if quick and frames.passes(chunk) else frames.feed(chunk)
        for one, two in pairwise(segments):
            assert not (isinstance(one, bytes) and isinstance(two, bytes)), "one segment would do"
        for segment in segments:
            assert segment != b""
            if isinstance(segment, bytes) and joined and isinstance(joined[-1], bytes):
                joined[-1] += segment
            else:
                joined.append(segment)
    return joined


def expected_segments(stream: bytes) -> list[Segment]:
    """What the oracle would do with a valid client stream."""
    made: list[Segment] = []
    for item in oracle(stream, mask=True):
        raw, data = stream[item.start : item.end], bytes(item.frame.data)
        if item.frame.opcode >= CLOSE:
            made.append(Control(item.frame.opcode, data))
            if item.frame.opcode == CLOSE:
                break
        elif item.frame.opcode == TEXT and item.frame.fin and len(data) <= HOLD and OURS.search(data):
            made.append(Command(data, raw))
        elif made and isinstance(made[-1], bytes):
            made[-1] += raw
        else:
            made.append(raw)
    return made


# Every kind of length field, minimal and not, with the sizes at its edges.
SHAPES = [(0, 0), (1, 0), (125, 0), (126, 0), (127, 0), (65535, 0), (65536, 0), (65537, 0)]
SHAPES += [(0, 126), (5, 126), (0, 127), (5, 127), (300, 127)]


@pytest.mark.parametrize(("size", "form"), SHAPES)
def test_browser_frames_split_anywhere_in_and_around_a_header(size: int, form: int) -> None:
    one = frame(b"x" * size, form=form)
    stream = frame(b"before") + one + frame(b"after")
    begin = 8
    near = [*range(begin - 1, begin + 13), *range(begin + len(one) - 2, begin + len(one) + 4)]
    for first in near:
        for second in near:
            assert follow(stream, (first, second)).idle


@pytest.mark.parametrize(("size", "form"), SHAPES)
@pytest.mark.parametrize("word", [b"", b"Gateway"])
def test_client_frames_split_anywhere_in_and_around_a_header(size: int, form: int, word: bytes) -> None:
    one = masked(word + b"x" * (size - len(word)), form=form)
    stream = masked(b"before") + one + masked(b"after")
    begin = 12
    near = [*range(begin - 1, begin + 16), *range(begin + len(one) - 2, begin + len(one) + 8)]
    expected = expected_segments(stream)
    for first in near:
        for second in near if size < 1000 else (first, first + 1, begin + len(one) - 1):
            assert read(stream, (first, second)) == expected


def test_a_byte_at_a_time() -> None:
    says = [frame(b"a" * 300, fin=False), frame(b"p", PING), frame(b"b", 0), frame(b""), frame(b"c" * 70)]
    stream = b"".join(says)
    follow(stream, range(len(stream)))
    asks = [
        masked(b"Gateway" * 50),
        masked(b"a", fin=False),
        masked(b"p", PONG),
        masked(b"b", 0),
        masked(b""),
    ]
    stream = b"".join(asks)
    assert read(stream, range(len(stream))) == expected_segments(stream)


def test_a_fragmented_message_is_no_place_for_ours_whatever_control_frames_it_holds() -> None:
    frames = BrowserFrames()
    assert frames.feed(frame(b"a", fin=False)) == 0
    assert (frames.idle, frames.torn) == (False, False)
    assert frames.feed(frame(b"ping", PING)) == -1
    assert frames.feed(frame(b"b", CONTINUATION, fin=False)) == -1
    assert not frames.idle
    last = frame(b"c", CONTINUATION)
    assert frames.feed(last[:1]) == -1
    assert frames.torn
    assert frames.feed(last[1:] + frame(b"next")) == len(last) - 1
    assert frames.idle


def test_a_close_frame_is_noted_from_its_header_and_nothing_is_offered_behind_it() -> None:
    close = encode_close(1000, "bye")
    frames = BrowserFrames()
    assert frames.feed(frame(b"a") + close[:2]) == 0
    assert frames.closed
    assert frames.torn
    assert frames.feed(close[2:]) == -1
    assert (frames.idle, frames.torn) == (False, False)
    assert frames.feed(frame(b"stray")) == -1
    frames = BrowserFrames()
    frames.feed(frame(b"a", fin=False))
    assert frames.feed(close + frame(b"b", CONTINUATION)) == -1
    assert (frames.idle, frames.torn) == (False, False)
    for cut in range(1, len(close)):
        frames = BrowserFrames()
        frames.feed(close[:cut])
        assert frames.closed == (cut > 1)
        assert frames.feed(close[cut:]) == -1
        assert frames.closed


def test_a_big_browser_frame_is_only_counted() -> None:
    stream = frame(b"x" * 1_000_000)
    frames = BrowserFrames()
    assert frames.feed(stream[:1000]) == 0
    assert frames.feed(stream[1000:-1]) == -1
    assert frames.torn
    assert frames.feed(stream[-1:]) == 1
    assert frames.idle
    assert frames.feed(b"") == 0


def test_a_big_client_frame_streams_through_and_its_neighbours_are_still_seen() -> None:
    big = masked(b"Gateway" + b"x" * HOLD)
    before, after = masked(b"Gateway.before"), masked(b"Gateway.after")
    frames = ClientFrames(OURS)
    assert frames.feed(before + big[:100]) == [Command(b"Gateway.before", before)]  # too little to tell what it is
    assert frames.feed(big[100:300]) == [big[:300]]
    assert frames.torn
    assert frames.feed(big[300:] + after) == [big[300:], Command(b"Gateway.after", after)]
    assert not frames.torn


def test_a_big_init_script_is_held_whole() -> None:
    """As clients write it; in another place, or still bigger, it streams through like others."""
    concerns = re.compile(re.escape(SCRIPT))
    for size, seen in ((HOLD, True), (HOLD_SCRIPT - 200, True), (HOLD_SCRIPT, False)):
        payload = b'{"id":1,"method":' + SCRIPT + b',"params":{"source":"' + b"x" * size + b'"}}'
        raw = masked(payload)
        frames = ClientFrames(concerns)
        first = frames.feed(raw[:1000])
        assert (first == []) is seen
        rest = frames.feed(raw[1000:])
        assert (rest == [Command(payload, raw)]) is seen
    late = masked(b'{"params":"' + b"x" * HOLD + b'","method":' + SCRIPT + b"}")
    assert ClientFrames(concerns).feed(late[:1000]) == [late[:1000]]


def test_what_makes_a_whole_message_of_a_part() -> None:
    """Nothing, where there is none; and nothing that could be understood."""
    big = masked(b"x" * 100_000)
    for begun, done in ((masked(b"whole"), 11), (big[:1000], 0), (masked(b"part", fin=False), 0)):
        frames = ClientFrames(OURS)
        frames.feed(begun)
        completed = frames.completion()
        assert completed is not None
        assert (completed == b"") is (done > 0)
        parsed = oracle(begun + completed, mask=True)
        assert parsed[-1].end == len(begun + completed)
        assert parsed[-1].frame.fin
    frames.feed(masked(b"x" * 100_000, CONTINUATION, fin=False)[:1000])
    assert frames.completion(1000) is None
    assert oracle(
        masked(b"part", fin=False)
        + masked(b"x" * 100_000, CONTINUATION, fin=False)[:1000]
        + (frames.completion() or b""),
        mask=True,
    )[-1].frame.fin


def test_a_big_clients_chunk_is_handed_on_without_a_copy() -> None:
    frames = ClientFrames(OURS)
    stream = masked(b"x" * 1_000_000)
    chunk = stream[65536:131072]
    frames.feed(stream[:65536])
    [segment] = frames.feed(chunk)
    assert segment is chunk


@pytest.mark.parametrize("word", [b"Gateway", b"others."])
def test_frames_of_up_to_64_kib_are_never_half_forwarded(word: bytes) -> None:
    raw = masked(word + b"x" * (HOLD - 7))
    frames = ClientFrames(OURS)
    assert frames.feed(raw[:14]) == frames.feed(raw[14:-1]) == []
    assert not frames.torn
    [segment] = frames.feed(raw[-1:])
    assert segment == (Command(word + b"x" * (HOLD - 7), raw) if word == b"Gateway" else raw)


def test_small_fragments_are_held_whole_and_leave_the_stream_torn_until_the_last() -> None:
    start, ping, end = masked(b"Gateway", fin=False), masked(b"now", PING), masked(b".info", CONTINUATION)
    frames = ClientFrames(OURS)
    assert frames.feed(start[:-1]) == []
    assert frames.feed(start[-1:]) == [start]
    assert frames.feed(ping) == [Control(PING, b"now")]
    assert frames.torn
    assert frames.feed(end) == [end]
    assert not frames.torn


def test_several_frames_in_one_chunk_keep_their_order() -> None:
    plain, ours = masked(b"Page.enable"), masked(b"Gateway.info")
    segments = ClientFrames(OURS).feed(plain + plain + ours + ours + masked(b"", PING) + plain + plain[:3])
    command = Command(b"Gateway.info", ours)
    assert segments == [plain + plain, command, command, Control(PING, b""), plain]


def test_nothing_counts_behind_a_close() -> None:
    frames = ClientFrames(OURS)
    close = masked(encode_close(1000, "done")[2:], CLOSE)
    plain = masked(b"a")
    segments = frames.feed(plain + close + masked(b"Gateway.reconnect"))
    assert segments == [plain, Control(CLOSE, b"\x03\xe8done")]
    assert frames.feed(masked(b"b")) == []


BROKEN = {
    "unmasked": (frame(b"x"), CloseCode.PROTOCOL_ERROR, "mask"),
    "unmasked and empty": (frame(b"", PING), CloseCode.PROTOCOL_ERROR, "mask"),
    "rsv1": (masked(b"x", rsv=4), CloseCode.PROTOCOL_ERROR, "reserved bits"),
    "rsv2": (masked(b"x", rsv=2), CloseCode.PROTOCOL_ERROR, "reserved bits"),
    "rsv3 on a ping": (masked(b"x", PING, rsv=1), CloseCode.PROTOCOL_ERROR, "reserved bits"),
    **{f"opcode {op}": (masked(b"", op), CloseCode.PROTOCOL_ERROR, f"opcode {op}") for op in (3, 4, 5, 6, 7)},
    **{f"opcode {op}": (masked(b"", op), CloseCode.PROTOCOL_ERROR, f"opcode {op}") for op in range(11, 16)},
    "fragmented ping": (masked(b"", PING, fin=False), CloseCode.PROTOCOL_ERROR, "fragmented"),
    "fragmented close": (masked(b"", CLOSE, fin=False), CloseCode.PROTOCOL_ERROR, "fragmented"),
    "long pong": (masked(b"x" * 126, PONG), CloseCode.PROTOCOL_ERROR, "125"),
    "long form of a short ping": (masked(b"x", PING, form=126), CloseCode.PROTOCOL_ERROR, "125"),
    "continuation": (masked(b"x", CONTINUATION), CloseCode.PROTOCOL_ERROR, "beginning"),
    "top bit": (b"\x81\xff\x80" + bytes(7) + MASK, CloseCode.PROTOCOL_ERROR, "top bit"),
    "binary": (masked(b"x", BINARY), CloseCode.UNSUPPORTED_DATA, "binary"),
    "binary fragment": (masked(b"x", BINARY, fin=False), CloseCode.UNSUPPORTED_DATA, "binary"),
    "too big": (b"\x81\xff" + (LIMIT + 1).to_bytes(8, "big") + MASK, CloseCode.TOO_BIG, f"{LIMIT} bytes"),
}


@pytest.mark.parametrize(("bad", "code", "word"), BROKEN.values(), ids=BROKEN.keys())
def test_a_violation_ends_the_stream_after_what_came_before_it(bad: bytes, code: CloseCode, word: str) -> None:
    before = masked(b"Page.enable")
    stream = before + bad + masked(b"Gateway.after")
    for cut in range(len(before) + 20):
        *valid, last = read(stream, (cut,))
        assert isinstance(last, Violation)
        assert (last.code, valid) == (code, [before])
        assert word in last.reason
    frames = ClientFrames(OURS)
    frames.feed(stream)
    assert frames.feed(before) == []


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_new_message_inside_a_fragmented_one_is_a_violation(opcode: int) -> None:
    start, ping = masked(b"a", fin=False), masked(b"", PING)
    *valid, last = read(start + ping + masked(b"b", opcode))
    assert valid == [start, Control(PING, b"")]
    assert isinstance(last, Violation)
    assert last.code == CloseCode.PROTOCOL_ERROR


def test_the_limit_counts_the_fragments_of_a_message_and_starts_anew_with_the_next() -> None:
    part, end = masked(b"x" * 60, fin=False), masked(b"x" * 40, CONTINUATION)
    fits = part + masked(b"p", PING) + end
    assert read(fits + fits, limit=100) == [part, Control(PING, b"p"), end + part, Control(PING, b"p"), end]
    *valid, last = read(part + masked(b"x" * 41, CONTINUATION)[:6], limit=100)
    assert valid == [part]
    assert last == Violation(CloseCode.TOO_BIG, "a message holds at most 100 bytes")
    middle = masked(b"x" * 20, CONTINUATION, fin=False)
    assert read(part + middle + middle, limit=100) == [part + middle + middle]
    assert isinstance(read(part + middle + middle + middle, limit=100)[-1], Violation)
    assert read(masked(b"x" * 100), limit=100) == [masked(b"x" * 100)]


def test_the_limit_is_decided_before_any_payload_is_passed_on() -> None:
    header = masked(b"x" * 200_000)[:14]
    [violation] = ClientFrames(OURS, 199_999).feed(header)
    assert isinstance(violation, Violation)
    frames = ClientFrames(OURS, 200_000)
    assert frames.feed(header) == []
    [segment] = frames.feed(bytes(PEEK))
    assert isinstance(segment, bytes)
    assert len(segment) == 14 + PEEK


SIZES = st.one_of(st.integers(0, 20), st.sampled_from([125, 126, 300, HOLD, HOLD + 1]))


@st.composite
def streams(draw: st.DrawFn, mask: bytes) -> bytes:
    """Whole messages, some in fragments, with control frames between and inside, perhaps a Close at the end."""

    def piece(size: int, opcode: int, fin: bool) -> bytes:
        word = b"Gateway" if size >= 7 and draw(st.booleans()) else b""
        form = draw(st.sampled_from([0, 0, 126, 127])) if opcode < CLOSE and size < 126 else 0
        return frame(word + b"x" * (size - len(word)), opcode, fin=fin, mask=mask, form=form)

    parts: list[bytes] = []
    for _ in range(draw(st.integers(0, 6))):
        sizes = draw(st.lists(SIZES, min_size=1, max_size=3))
        for index, size in enumerate(sizes):
            if draw(st.integers(0, 3)) == 0:
                parts.append(piece(draw(st.integers(0, 125)), draw(st.sampled_from([PING, PONG])), True))
            parts.append(piece(size, CONTINUATION if index else TEXT, index == len(sizes) - 1))
    if draw(st.integers(0, 4)) == 0:
        parts.append(frame(b"\x03\xe8", CLOSE, mask=mask))
    return b"".join(parts)


@st.composite
def cuts_of(draw: st.DrawFn, stream: bytes) -> list[int]:
    """Cuts anywhere, and more of them where frames begin and end."""
    edges = [item.end for item in oracle(stream, mask=bool(stream[1:2] and stream[1] & 0x80))]
    near = [at + shift for at in edges for shift in range(-2, 12)] or [0]
    anywhere = st.integers(0, max(len(stream), 1))
    return draw(st.lists(st.one_of(anywhere, st.sampled_from(near)), max_size=12))


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_browser_boundaries_are_the_oracles(data: st.DataObject) -> None:
    stream = data.draw(streams(b""))
    follow(stream, data.draw(cuts_of(stream)))


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_a_frame_put_in_at_any_offered_place_leaves_the_other_messages_whole(data: st.DataObject) -> None:
    stream = data.draw(streams(b""))
    frames, ours = BrowserFrames(), b"ours, put in"
    out, offered = b"", 0
    for chunk in chunks(stream, data.draw(cuts_of(stream))):
        at = frames.feed(chunk)
        if at < 0:
            out += chunk
            continue
        offered += 1
        out += chunk[:at] + encode(ours) + chunk[at:]
    seen = messages(out, mask=False)
    assert [message for message in seen if message[1] != ours] == messages(stream, mask=False)
    assert sum(message == (TEXT, ours) for message in seen) == offered > 0


@pytest.mark.parametrize("size", [2, 125, 126, 300, 65535])
def test_one_whole_message_of_no_concern_passes(size: int) -> None:
    frames, message = ClientFrames(OURS), masked(b"x" * size)
    assert frames.passes(message)
    assert not frames.passes(message[:-1])
    assert not frames.passes(message + message[:1])
    assert frames.passes(message)  # asking changes nothing
    assert frames.feed(message[:3]) == []
    assert not frames.passes(message)  # behind the beginning of another
    assert frames.feed(message[3:]) == [message]
    assert frames.passes(message)


@pytest.mark.parametrize(
    "other",
    [
        masked(b"{Gateway}"),
        frame(b"unmasked"),
        masked(b"binary", BINARY),
        masked(b"pinging", PING),
        masked(b"\x03\xe8closing", CLOSE),
        masked(b"fragment", fin=False),
        masked(b"fragment", CONTINUATION),
        masked(b"reserved", rsv=4),
        masked(b"x" * 65536),
        masked(b"long form", form=127),
    ],
)
def test_nothing_else_passes(other: bytes) -> None:
    assert not ClientFrames(OURS).passes(other)


def test_nothing_passes_between_fragments_nor_behind_the_end_nor_above_the_limit() -> None:
    message = masked(b"x" * 20)
    for before in (masked(b"x", fin=False), masked(b"\x03\xe8", CLOSE), masked(b"x", BINARY)):
        frames = ClientFrames(OURS)
        frames.feed(before)
        assert not frames.passes(message)
    assert ClientFrames(OURS, 20).passes(message)
    assert not ClientFrames(OURS, 19).passes(message)


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_client_segments_are_the_oracles(data: st.DataObject) -> None:
    stream = data.draw(streams(MASK))
    assert read(stream, data.draw(cuts_of(stream))) == expected_segments(stream)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.binary(max_size=200))
def test_noise_never_fails_and_its_bytes_never_come_twice_or_changed(data: st.DataObject, noise: bytes) -> None:
    cuts = data.draw(st.lists(st.integers(0, 200), max_size=6))
    forwarded = b"".join(segment for segment in read(noise, cuts) if isinstance(segment, bytes))
    position = 0
    for byte in forwarded:  # a subsequence: what is left out was control, command or held
        position = noise.index(byte, position) + 1
    frames = BrowserFrames()
    for chunk in chunks(noise, cuts):
        assert -1 <= frames.feed(chunk) <= len(chunk)
