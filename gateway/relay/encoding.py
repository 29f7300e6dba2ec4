"""Frames of our own as bytes, and a Close's body read (RFC 6455 sections 5.2 and 5.5). Pure."""

import os

from gateway.errors import CloseCode

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this platform: the same in Python
    from websockets.utils import apply_mask

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "FIN",
    "MASKED",
    "NO_CODE",
    "PING",
    "PONG",
    "TEXT",
    "apply_mask",
    "encode",
    "encode_close",
    "encode_masked",
    "parse_close",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN = MASKED = 0x80
NO_CODE = 1005  # stands for a Close without a body; never on the wire (RFC 6455 section 7.4.1)


def encode(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole frame from a server, unmasked."""
    return _header(opcode, len(payload), 0) + payload


def encode_masked(payload: bytes) -> bytes:
    """A whole text frame from a client, for a command that the gateway has changed."""
    mask = os.urandom(4)
    return _header(TEXT, len(payload), MASKED) + mask + apply_mask(payload, mask)


def encode_close(code: int, reason: str) -> bytes:
    """A Close frame from a server. The reason is cut to the 123 bytes of UTF-8 that fit; 1005 has no body."""
    if code == NO_CODE:
        return encode(b"", CLOSE)
    text = reason.encode(errors="replace")[:123].decode(errors="ignore").encode()
    return encode(code.to_bytes(2, "big") + text, CLOSE)


def parse_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a Close frame's payload; 1005 for an empty one, 1002 for half a code."""
    if len(payload) < 2:
        return (CloseCode.PROTOCOL_ERROR if payload else NO_CODE), ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode(errors="replace")


def _header(opcode: int, length: int, masked: int) -> bytes:
    if length < 126:
        return bytes((FIN | opcode, masked | length))
    if length < 65536:
        return bytes((FIN | opcode, masked | 126)) + length.to_bytes(2, "big")
    return bytes((FIN | opcode, masked | 127)) + length.to_bytes(8, "big")
