"""Credentials that fail: counted for each address, answered late, and after too many of them not looked at.

What was said with our own key is no guess: a URL of ours that is too old, or rotated, is 401 and costs nothing; and a
good one passes even while the address that it comes from is refused everything else.
"""

import asyncio
import time

from aiohttp import web

from gateway.errors import Code, GatewayError
from gateway.tenancy.throttle import Throttle
from gateway.web.door import Door, credential

FAILED = web.RequestKey("failed", bool)  # its credential was looked at, and is none
UNSEEN = web.RequestKey("unseen", bool)  # it was not even looked at


class Guessing:
    """Around the checks of `door`."""

    def __init__(self, door: Door, throttle: Throttle) -> None:
        self._capabilities = door.access.capabilities
        self._throttle = throttle

    def admit(self, request: web.Request) -> None:
        """Refuse a credential unseen (429) where too many bad ones are being answered."""
        wait = self._throttle.refuses(request.remote or "", time.monotonic())
        if wait is not None and self._guess(request) is not None:
            request[UNSEEN] = True
            raise _too_many(wait)

    async def failed(self, request: web.Request, error: GatewayError) -> GatewayError:
        """What to answer to a request that was refused with `error`; if it was a guess too many, after a moment."""
        if error.code is not Code.UNAUTHORIZED or self._guess(request) is None:
            return error
        request[FAILED] = True
        sentence = self._throttle.failed(request.remote or "", time.monotonic())
        if sentence is None:
            return error
        await asyncio.sleep(sentence.delay)
        return _too_many(sentence.retry_after)

    def _guess(self, request: web.Request) -> str | None:
        """The credential that may be one; None if there is none, or it was made with our key."""
        now = time.time()
        key = request.match_info.get("key", "")
        for given in (credential(request), key if "." in key else None):
            if given is not None and self._capabilities.read(given, now) is None:
                return given
        return None


def _too_many(wait: int) -> GatewayError:
    words = "too many bad credentials from your address: a good one is still taken"
    return GatewayError(Code.TOO_MANY_FAILURES, words, retry_after=wait)
