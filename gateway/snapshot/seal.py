"""Encryption at rest with AES-256-GCM: streams in chunks, and boxes of pieces that can be read one by one.

    MAGIC (8 bytes) | key id (8: the first of SHA-256 of the key) | salt (32) | chunks

Each file has a key of its own (HKDF-SHA256, RFC 5869, over the salt). In a stream a chunk is CHUNK bytes, the last one
fewer, and 16 of tag; nonce and associated data bind it to its place, to being the last or not, and to the name of the
snapshot: nothing can be cut off, swapped, or moved to another session. (The STREAM construction, Hoang et al. 2015.)
A piece in a box is bound to its number and to the box's name. Blocking: use a thread.
"""

import hashlib
import io
import os
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import Code, GatewayError

MAGIC = b"CDPSEAL\x01"
BOX_MAGIC = b"CDPSEAL\x02"
PLAIN_MAGIC = b"CDPPLAIN"  # of a box that is not sealed
CHUNK = 256 << 10
TAG = 16
KEY = 32
SALT = 32
ID = 8
BOX_HEADER = len(BOX_MAGIC) + ID + SALT


class Sealer:
    """Seals with the first of `keys` (32 bytes each), opens with any; without keys it writes plain.

    Files that were written plain can be read with keys too, so that a key can be set later.
    """

    def __init__(self, keys: tuple[bytes, ...] = ()) -> None:
        if any(len(key) != KEY for key in keys):
            raise ValueError(f"an encryption key must have {KEY} bytes")
        self._keys = {_id(key): key for key in keys}
        self._newest = keys[0] if keys else None

    @property
    def seals(self) -> bool:
        return self._newest is not None

    def writing(self, target: IO[bytes], name: str) -> io.RawIOBase:
        """A stream to write to; closing it completes the file and leaves `target` open. `name`: the snapshot's."""
        if self._newest is None:
            return _Plain(target)
        return _Writer(target, self._newest, name)

    def reading(self, source: IO[bytes], name: str) -> IO[bytes]:
        """A stream of what was written under `name`; `source` must be seekable, closing the stream closes it.

        Here and from its reads GatewayError(SNAPSHOT_UNREADABLE): no such key, damage.
        """
        start = source.tell()
        if source.read(len(MAGIC)) != MAGIC:
            source.seek(start)
            return source
        header = source.read(ID + SALT)
        if len(header) != ID + SALT:
            raise unreadable(name, "its end is missing")
        key = self._keys.get(header[:ID])
        if key is None:
            raise unreadable(name, "it is encrypted with a key that the gateway does not have")
        return io.BufferedReader(_Reader(source, key, header[ID:], name), CHUNK)

    @property
    def label(self) -> str:
        """Which key seals now, as `Box.label` of what it sealed; empty without one."""
        return "" if self._newest is None else _id(self._newest).hex()

    def box(self, name: str) -> "Box":
        """A new box; its header must be kept with what it seals."""
        if self._newest is None:
            return Box(PLAIN_MAGIC, None, name)
        salt = os.urandom(SALT)
        return Box(BOX_MAGIC + _id(self._newest) + salt, _cipher(self._newest, salt), name)

    def enclosed(self, data: bytes, name: str) -> bytes:
        """Something small in a box of its own. `name` is what it is bound to."""
        box = self.box(name)
        return box.header + box.seal(0, data)

    def disclosed(self, data: bytes, name: str) -> bytes:
        """What was `enclosed` under that name. Raises ValueError: no key of ours, or it is damaged."""
        try:
            box = self.opened(data, name)
        except NoKey:
            raise ValueError("it is sealed with a key that the gateway does not have") from None
        return box.open(0, data[len(box.header) :])

    def opened(self, header: bytes, name: str) -> "Box":
        """The box whose header begins `header`; `name` as it was made with.

        Raises NoKey when it is not sealed with a key of ours, ValueError when this is no header.
        """
        if header.startswith(PLAIN_MAGIC):
            return Box(PLAIN_MAGIC, None, name)
        header = header[:BOX_HEADER]
        if len(header) < BOX_HEADER or not header.startswith(BOX_MAGIC):
            raise ValueError("not the header of a box")
        key = self._keys.get(header[len(BOX_MAGIC) :][:ID])
        if key is None:
            raise NoKey
        return Box(header, _cipher(key, header[-SALT:]), name)


class NoKey(Exception):
    """Sealed with a key that we do not have."""


class Box:
    """Seals pieces, each under a number that must never be used twice; any thread."""

    def __init__(self, header: bytes, cipher: AESGCM | None, name: str) -> None:
        self.header = header
        self._cipher = cipher
        self._name = name.encode()

    @property
    def label(self) -> str:
        """Of the key; empty if nothing is sealed."""
        return self.header[len(BOX_MAGIC) :][:ID].hex()

    def seal(self, number: int, data: bytes) -> bytes:
        """The piece as it is to be stored."""
        return data if self._cipher is None else self._cipher.encrypt(_place(number, False), data, self._name)

    def open(self, number: int, data: bytes) -> bytes:
        """The piece of that number; ValueError when it is not what was sealed. Without a cipher nothing is checked."""
        if self._cipher is None:
            return data
        try:
            return self._cipher.decrypt(_place(number, False), data, self._name)
        except InvalidTag as error:
            raise ValueError("a piece is damaged") from error


def unreadable(name: str, why: str) -> GatewayError:
    return GatewayError(Code.SNAPSHOT_UNREADABLE, f"snapshot {name} cannot be read: {why}")


def _id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:ID]


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY, salt, b"cdp-gateway snapshot").derive(key))


def _place(index: int, last: bool) -> bytes:
    """12 bytes; never the same twice under one file's key."""
    return index.to_bytes(11, "big") + bytes([last])


class _Plain(io.RawIOBase):
    """Passes on what is written, and leaves the target open."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._target.write(data)


class _Writer(io.RawIOBase):
    def __init__(self, target: IO[bytes], key: bytes, name: str) -> None:
        salt = os.urandom(SALT)
        self._target = target
        self._cipher = _cipher(key, salt)
        self._name = name.encode()
        self._index = 0
        self._held = bytearray()
        target.write(MAGIC + _id(key) + salt)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._held += data
        # One chunk is held back: only `close` knows which one is the last.
        while len(self._held) > CHUNK:
            self._seal(bytes(self._held[:CHUNK]), last=False)
            del self._held[:CHUNK]
        return size

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        place = _place(self._index, last)
        self._target.write(self._cipher.encrypt(place, chunk, self._name))
        self._index += 1

    def close(self) -> None:
        if not self.closed:
            try:
                self._seal(bytes(self._held), last=True)
            finally:
                super().close()


class _Reader(io.RawIOBase):
    def __init__(self, source: IO[bytes], key: bytes, salt: bytes, name: str) -> None:
        self._source = source
        self._cipher = _cipher(key, salt)
        self._name = name
        self._index = 0
        self._ahead = source.read(CHUNK + TAG)
        self._left = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._source.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        while not self._left and not self._ended:
            self._left = memoryview(self._open())
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _open(self) -> bytes:
        chunk, self._ahead = self._ahead, self._source.read(CHUNK + TAG)
        self._ended = not self._ahead
        try:
            plain = self._cipher.decrypt(_place(self._index, self._ended), chunk, self._name.encode())
        except (InvalidTag, ValueError) as error:  # ValueError: too short for a tag
            raise unreadable(self._name, "it is damaged or not complete") from error
        self._index += 1
        return plain
