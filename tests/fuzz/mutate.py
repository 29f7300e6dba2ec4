"""What is fed in: a corpus of good input, and a mutator that is the same for the same seed.

Our own, since it makes half a million streams a second on one core, where hypothesis makes some hundred examples and
atheris needs Chromium's toolchain for its instrumented interpreter.
"""

from random import Random

from tests.fakes.chromium import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, header

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
COMMANDS = (
    b"{}",
    b'{"id":1,"method":"Browser.getVersion"}',
    b'{"id":2,"method":"Browser.close"}',
    b'{"id":3,"method":"Gateway.reconnect","params":{"timeout":1000,"detach":true}}',
    b'{"id":4,"method":"Target.createBrowserContext","params":{"disposeOnDetach":true}}',
    b'{"id":5,"method":"Browser.setDownloadBehavior","params":{"behavior":"allow","downloadPath":"/etc"}}',
    b'{"id":6,"method":"Emulation.setUserAgentOverride","params":{"userAgent":"x"},"sessionId":"A"}',
    b'{"id":7,"method":"Page.addScriptToEvaluateOnNewDocument","params":{"source":"1"}}',
    b'{"id":8,"method":"Runtime.evaluate","params":{"expression":"' + b"x" * 300 + b'"}}',
)
FRAMES = (
    *(frame(command, mask=True) for command in COMMANDS),
    frame(b"", mask=True),
    frame(b"a" * 125, mask=True),
    frame(b"a" * 126, mask=True),
    frame(b"part", TEXT, fin=False, mask=True),
    frame(b"more", CONTINUATION, fin=False, mask=True),
    frame(b"end", CONTINUATION, mask=True),
    frame(b"ping", PING, mask=True),
    frame(b"p" * 125, PONG, mask=True),
    frame(b"\x03\xe8bye", CLOSE, mask=True),
    frame(b"", CLOSE, mask=True),
    frame(b"\0\1", BINARY, mask=True),
    frame(b"unmasked"),
    header(70_000, mask=True) + b"b" * 40,
    header(1 << 27, mask=True),
    header(1 << 62, mask=True),
)
INTERESTING = (0, 1, 0x7D, 0x7E, 0x7F, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A, 0xC1, 0xFD, 0xFE, 0xFF)


def _head(*lines: str) -> bytes:
    return "\r\n".join((*lines, "", "")).encode()


UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
NOBODY = "00000000-0000-4000-8000-000000000000"
# None of them leads to a browser: they are without a credential, or to a session that is not there.
HANDSHAKES = (
    _head("GET / HTTP/1.1", "Host: 127.0.0.1", *UPGRADE),
    _head("GET /?launch=%7B%22headless%22%3Atrue%7D&timeout=1000&--lang=de HTTP/1.1", "Host: localhost", *UPGRADE),
    _head(f"GET /session/connect/{NOBODY}?token=TOKEN&takeover=true HTTP/1.1", "Host: localhost", *UPGRADE),
    _head(f"GET /reconnect/{NOBODY}.s1-ffffffff-{'A' * 24} HTTP/1.1", "Host: localhost", *UPGRADE),
    _head(f"GET /session/{NOBODY}/devtools/page/ABC HTTP/1.1", "Host: [::1]:3000", "X-Api-Key: TOKEN", *UPGRADE),
    _head("GET /devtools/browser/ABC HTTP/1.1", "Host: localhost", "Authorization: Bearer TOKEN", *UPGRADE),
    _head("GET /session HTTP/1.1", "Host: localhost", "Origin: https://evil.example"),
    _head(f"POST /session/{NOBODY}/fork HTTP/1.1", "Host: localhost", "X-Api-Key: TOKEN", "Content-Length: 12")
    + b'{"ttl": "x"}',
    _head("POST /session HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
    _head("GET /healthz HTTP/1.1", "Host: localhost") * 3,
)


class Mutator:
    """Variants of a corpus, one after the other."""

    def __init__(self, corpus: tuple[bytes, ...], seed: int) -> None:
        self.rng = Random(seed)
        self._corpus = corpus

    def next(self) -> bytes:
        """One to four pieces of the corpus, with up to four faults."""
        rng = self.rng
        data = bytearray(b"".join(rng.choices(self._corpus, k=rng.randrange(1, 5))))
        for _ in range(rng.randrange(5)):
            if data:
                self._spoil(data)
        return bytes(data)

    def _spoil(self, data: bytearray) -> None:
        rng = self.rng
        # Faults are near the beginning more often than not: there are the headers.
        at = rng.randrange(min(len(data), 16)) if rng.random() < 0.4 else rng.randrange(len(data))
        match rng.randrange(7):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.choice(INTERESTING)
            case 2:
                del data[at : at + rng.randrange(1, 9)]
            case 3:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 4:
                del data[at:]
            case 5:
                data[at:at] = data[at : at + rng.randrange(1, 40)]
            case 6:
                other = rng.choice(self._corpus)
                data[at:at] = other[rng.randrange(len(other)) :]

    def pieces(self, data: bytes) -> list[bytes]:
        """`data` as it may come off a socket: whole, or cut up anywhere."""
        rng = self.rng
        cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 3))))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
