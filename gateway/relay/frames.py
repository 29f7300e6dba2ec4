"""Where the frames of a websocket stream begin and end (RFC 6455 section 5): scanners without I/O.

`BrowserFrames` follows what Chromium says, which goes to the client byte for byte, and tells where a frame
of ours fits in between. `ClientFrames` follows what the client says: it checks it, takes control frames out
and shows the few commands that may concern the gateway; what is in such a command is `commands.py`'s affair.
Neither knows extensions: the gateway negotiates none, on either side.
"""

import re
from dataclasses import dataclass

from gateway.errors import CloseCode
from gateway.relay.encoding import BINARY, CLOSE, CONTINUATION, FIN, MASKED, PONG, TEXT, apply_mask

HOLD = 64 * 1024  # client frames with a payload up to this are held until whole and never half forwarded
# Init scripts are held up to a size that libraries have. What a frame is, its first bytes say.
HOLD_SCRIPT = 4 << 20
SCRIPT = b'"Page.addScriptToEvaluateOnNewDocument"'
PEEK = 200
# What Chromium takes in one message: 100 MiB with the frame's header. Above it drops the connection without a word
# (net/server/http_connection.cc, ReadIOBuffer).
LIMIT = 100 * 1024 * 1024 - 14

_LAST_FRAGMENT = b"\x80\x81\0\0\0\0\0"  # a client's: a zero byte, masked with zeros
_WHOLE_TEXT = FIN | TEXT  # the first byte of nearly every frame that CDP makes


class BrowserFrames:
    """The unmasked stream from Chromium to the client, passed on verbatim."""

    __slots__ = ("_fragmented", "_left", "_partial", "closed")

    def __init__(self) -> None:
        self._left = 0  # bytes of the current frame still to come
        self._partial = b""  # the beginning of a frame header, passed on already
        self._fragmented = False  # the current message goes on after the current frame
        self.closed = False  # a Close frame's header went by: nothing may follow it

    def feed(self, data: bytes) -> int:
        """Follow `data`; the offset in it (0..len) of the first place for a message of ours, or -1.

        That is a boundary between messages: offset 0 when the stream stood on one before this chunk.
        Nothing is offered behind a Close frame.
        """
        size = len(data)
        if self._left > size:
            self._left -= size
            return -1
        if size > 3 and data[0] == _WHOLE_TEXT and self.idle:
            # Most chunks are one small message, an answer: no need to walk. With a long form it is walked.
            length = data[1]
            if size == (2 + length if length < 126 else 4 + (data[2] << 8 | data[3]) if length == 126 else 0):
                return 0
        at = self._finish_header(data) if self._partial else self._left  # where the next frame begins
        if at < 0 or self.closed:
            self._left = max(at - size, 0)
            return -1
        first = -1 if self._fragmented else at
        while at < size:
            room = size - at
            if room < 10 and (room < 2 or (code := data[at + 1]) == 127 or (code == 126 and room < 4)):
                self._partial = data[at:]
                at = size
                break
            head, length = data[at], data[at + 1]
            if length < 126:
                at += 2 + length
            elif length == 126:
                at += 4 + (data[at + 2] << 8 | data[at + 3])
            else:
                at += 10 + int.from_bytes(data[at + 2 : at + 10], "big")
            if head != _WHOLE_TEXT:
                self._note(head)
                if head & 0x0F == CLOSE:
                    break
                if first < 0 and not self._fragmented:
                    first = at
        self._left = max(at - size, 0)
        return first if first <= size else -1

    @property
    def idle(self) -> bool:
        """On a message boundary now: a text message of ours may be put in."""
        return not (self._left or self._partial or self._fragmented or self.closed)

    @property
    def torn(self) -> bool:
        """Inside a frame or its header: not even a control frame may be put in."""
        return bool(self._left or self._partial)

    @property
    def rest(self) -> tuple[int, bytes]:
        """Bytes to the end of the frame under way, and the part of its header that there is, if that is not whole."""
        return self._left, self._partial

    def _finish_header(self, data: bytes) -> int:
        """Complete the partial header; where in `data` its frame ends, or -1 when it is still partial."""
        head = self._partial + data[:10]
        need = 2 if len(head) < 2 else {126: 4, 127: 10}.get(head[1], 2)
        if len(head) < need:
            self._partial = head
            return -1
        known, self._partial = len(self._partial), b""
        self._note(head[0])
        length = head[1] if need == 2 else int.from_bytes(head[2:need], "big")
        return need + length - known

    def _note(self, head: int) -> None:
        """What a frame's first byte says of its message. Control frames may stand between fragments."""
        opcode = head & 0x0F
        if opcode < CLOSE:
            self._fragmented = head < FIN
        elif opcode == CLOSE:
            self.closed = True


@dataclass(frozen=True, slots=True)
class Command:
    """A whole text frame that may concern the gateway: unmasked `payload`, original masked `frame`."""

    payload: bytes
    frame: bytes


@dataclass(frozen=True, slots=True)
class Control:
    """A ping, pong or close with its unmasked payload. The gateway answers it; it is not passed on."""

    opcode: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Violation:
    """The client broke the protocol or a limit: close with this code and reason, read no more."""

    code: CloseCode
    reason: str


Segment = bytes | Command | Control | Violation


class ClientFrames:
    """The masked stream from the client to Chromium.

    `concerns` is searched in the payload of each whole text frame of at most HOLD bytes, and of init scripts up to
    HOLD_SCRIPT: what it does not find is passed on unseen. `limit` is the largest message in bytes, the sum of its
    fragments.
    """

    __slots__ = ("_concerns", "_fragmented", "_held", "_idle", "_left", "_limit", "_message", "_need", "_over")

    def __init__(self, concerns: re.Pattern[bytes], limit: int = LIMIT) -> None:
        self._concerns = concerns.search
        self._limit = limit
        self._held = bytearray()  # the beginning of a frame, not passed on yet
        self._need = 0  # how many bytes of it there must be before more can be said
        self._left = 0  # bytes of a streamed frame still to come
        self._fragmented = False  # inside a fragmented message
        self._message = 0  # its payload so far, in bytes
        self._over = False  # after a Close or a violation nothing counts (section 5.5.1)
        self._idle = True  # none of these: the next byte begins a message

    def passes(self, data: bytes) -> bool:
        """Whether `data` is one whole small text message that does not concern the gateway.

        Then it is done with, and to be passed on; else `feed` has to look at it. This is nearly all that a driver
        sends, told at a fraction of the cost.
        """
        if not self._idle or len(data) < 8 or data[0] != _WHOLE_TEXT or data[1] < MASKED:
            return False
        length, body = data[1] & 0x7F, 6
        if length == 126:
            length, body = data[2] << 8 | data[3], 8
        if length == 127 or len(data) != body + length or length > self._limit:
            return False
        return self._concerns(apply_mask(data[body:], data[body - 4 : body])) is None

    def feed(self, data: bytes) -> list[Segment]:
        """Follow `data`; what is to be done with it, in order. Bytes are to be passed on verbatim.

        A Violation or a Control with opcode CLOSE is the last segment ever.
        """
        segments = self._walk(data)
        self._idle = not (self._left or self._held or self._fragmented or self._over)
        return segments

    def _walk(self, data: bytes) -> list[Segment]:
        if self._over:
            return []
        size = len(data)
        if self._left > size:
            self._left -= size
            return [data] if size else []
        at, self._left = self._left, 0  # where the next frame begins
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return []
            data = bytes(self._held)
            size = len(data)
            self._held.clear()
        segments: list[Segment] = []
        start = 0  # data[start:at] was looked at and is to be passed on
        need = 2
        while size - at >= need:
            head, length = data[at], data[at + 1]
            if head != _WHOLE_TEXT or length < MASKED or self._fragmented:
                violation = self._judge(head, length)
                if violation is not None:
                    return self._end(segments, data[start:at], violation)
            length &= 0x7F
            body = at + (6 if length < 126 else 8 if length == 126 else 14)
            if body > size:
                need = body - at
                break
            if length > 125:
                length = int.from_bytes(data[at + 2 : body - 4], "big")
            if self._message + length > self._limit:
                return self._end(segments, data[start:at], self._too_big(length))
            end = body + length
            held = length <= HOLD
            if not held and length <= HOLD_SCRIPT and head == _WHOLE_TEXT:
                if size - body < PEEK:
                    need = body - at + PEEK
                    break
                held = SCRIPT in apply_mask(data[body : body + PEEK], data[body - 4 : body])
            if end > size and held:
                need = end - at
                break
            if head == _WHOLE_TEXT:
                if held:
                    payload = apply_mask(data[body:end], data[body - 4 : body])
                    if self._concerns(payload):
                        if at > start:
                            segments.append(data[start:at])
                        segments.append(Command(payload, data[at:end]))
                        start = end
            elif head & 0x0F >= CLOSE:
                control = Control(head & 0x0F, apply_mask(data[body:end], data[body - 4 : body]))
                if control.opcode == CLOSE:
                    return self._end(segments, data[start:at], control)
                if at > start:
                    segments.append(data[start:at])
                segments.append(control)
                start = end
            else:
                self._fragmented = head < FIN
                self._message = self._message + length if self._fragmented else 0
            at = end
        if at > size:
            self._left, at = at - size, size
        elif at < size:
            self._held += data[at:]
            self._need = need
        if at > start:
            segments.append(data[start:at])
        return segments

    @property
    def torn(self) -> bool:
        """Chromium has got a part of a message: on its socket nothing but the rest may follow."""
        return self._left > 0 or self._fragmented

    def completion(self, most: int = 1 << 20) -> bytes | None:
        """What makes a whole message of the part that Chromium has got, none that it could understand.

        Empty if there is no such part; None for more than `most` bytes.
        """
        if self._left > most:
            return None
        return bytes(self._left) + (_LAST_FRAGMENT if self._fragmented else b"")

    def _judge(self, head: int, second: int) -> Violation | None:
        """What a frame's first two bytes have against it (RFC 6455 sections 5.1, 5.2, 5.4, 5.5)."""
        opcode = head & 0x0F
        if head & 0x70:
            return _broken("reserved bits are set: no extension was negotiated")
        if second < MASKED:
            return _broken("a client must mask its frames")
        if opcode >= CLOSE:
            if opcode > PONG:
                return _broken(f"opcode {opcode} is reserved")
            if head < FIN:
                return _broken("a control frame must not be fragmented")
            if second & 0x7F > 125:
                return _broken("a control frame holds at most 125 bytes")
            return None
        if opcode > BINARY:
            return _broken(f"opcode {opcode} is reserved")
        if opcode == CONTINUATION:
            return None if self._fragmented else _broken("a continuation frame without a beginning")
        if self._fragmented:
            return _broken("a new message began inside a fragmented one")
        if opcode == BINARY:
            return Violation(CloseCode.UNSUPPORTED_DATA, "CDP is text: binary messages are not taken")
        return None

    def _too_big(self, length: int) -> Violation:
        if length >> 63:
            return _broken("a frame's length has its top bit set")
        return Violation(CloseCode.TOO_BIG, f"a message holds at most {self._limit} bytes")

    def _end(self, segments: list[Segment], before: bytes, last: Control | Violation) -> list[Segment]:
        self._over = True
        if before:
            segments.append(before)
        segments.append(last)
        return segments


def _broken(reason: str) -> Violation:
    return Violation(CloseCode.PROTOCOL_ERROR, reason)
