"""Questions of ours in a client's stream to Chromium, and their answers taken out of the way back. Pure.

Only a client's own connection knows its sessions. The ids of our commands are numbers that no client uses.
"""

import itertools
import json
from typing import Any

from gateway.relay.frames import BrowserFrames

FIRST_ID = -1_070_000_000  # CDP's ids are 32 bits with a sign, and clients count from 1; 70 million are left
MARK = b'{"id":-10'  # how Chromium begins an answer to one of ours
WHOLE_TEXT = 0x81  # the first byte of a text frame that is no fragment

_ids = itertools.count(FIRST_ID)


def question(method: str, params: dict[str, Any], session: str | None) -> tuple[int, bytes]:
    """A command under an id of ours: that id, and the message."""
    number = next(_ids)
    message: dict[str, Any] = {"id": number, "method": method, "params": params}
    if session is not None:
        message["sessionId"] = session
    return number, json.dumps(message, separators=(",", ":")).encode()


class Replies:
    """The stream from Chromium while answers are waited for. `frames` has followed it until now."""

    def __init__(self, frames: BrowserFrames) -> None:
        self._skip, self._begun = frames.rest  # the frame under way is none of ours
        self._kept = b""  # the beginning of a frame that may be an answer

    def feed(self, data: bytes) -> tuple[bytes, list[dict[str, Any]]]:
        """Follow `data`: what is to be passed on now, and the answers that were in it."""
        if self._begun:
            header = self._begun + data[:10]
            _, size = _measured(header)
            if not size:
                self._begun = header
                return data, []
            self._skip, self._begun = size - len(self._begun), b""
        data, self._kept = self._kept + data, b""
        passed: list[bytes] = []
        found: list[dict[str, Any]] = []
        at = 0
        while at < len(data):
            if not self._skip:
                body, size = _measured(data[at : at + 10])
                beginning = data[at + body : at + min(size, body + len(MARK))]
                ours = data[at] == WHOLE_TEXT and MARK.startswith(beginning)
                if not size or (ours and at + size > len(data)):
                    self._kept = data[at:]
                    break
                if ours and beginning == MARK:
                    found.append(json.loads(data[at + body : at + size]))
                    at += size
                    continue
                self._skip = size
            passed.append(data[at : at + self._skip])
            self._skip -= len(passed[-1])
            at += len(passed[-1])
        return b"".join(passed), found

    def rest(self) -> bytes:
        """What was kept: to be passed on when no answer is waited for any more."""
        kept, self._kept = self._kept, b""
        return kept


def _measured(header: bytes) -> tuple[int, int]:
    """Where an unmasked frame's payload begins, and its size with the header; (…, 0) for a part of a header."""
    if len(header) < 2:
        return 2, 0
    body = {126: 4, 127: 10}.get(header[1], 2)
    if len(header) < body:
        return body, 0
    return body, body + (header[1] if body == 2 else int.from_bytes(header[2:body], "big"))
