"""A server for the bench in a process of its own: `python -m bench.site` prints its port and serves until it is ended.

/big is BIG bytes, /page has RESOURCES small resources of its own, /article a few and some text. It does as
little as can be, so that what is measured is the way and not the server.
"""

import asyncio
import re

BIG = 200_000_000  # bytes
RESOURCES = 100
CHUNK = b"x" * (1 << 20)
SCRIPT = b"/* " + b"y" * 4000 + b" */"
PAGE = b'<!doctype html><title>page</title><link rel="icon" href="data:,">' + b"".join(
    b'<link rel="stylesheet" href="/r/%d.css">' % number if number % 2 else b'<script src="/r/%d.js"></script>' % number
    for number in range(RESOURCES)
)
ARTICLE = (
    PAGE[: PAGE.index(b"/r/10.")].rpartition(b"<")[0]
    + b"<style>body { font: 16px serif; columns: 2 }</style>"
    + b"<h1>An article</h1><p>It has some text, as pages do.</p>" * 40
)
BODIES = {b"page": PAGE, b"article": ARTICLE}
_LINE = re.compile(rb"GET /([^\s?]*)\S* HTTP/1\.1\r\n")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    try:
        while True:
            match = _LINE.match(await reader.readuntil(b"\r\n\r\n"))
            path = match[1] if match else b""
            if path == b"big":
                writer.write(_head(b"application/octet-stream", BIG))
                for _ in range(BIG // len(CHUNK)):
                    writer.write(CHUNK)
                    await writer.drain()
                writer.write(CHUNK[: BIG % len(CHUNK)])
            else:
                body = BODIES.get(path, SCRIPT)
                kind = b"text/html" if path in BODIES else b"text/css" if b".css" in path else b"text/javascript"
                writer.write(_head(kind, len(body)) + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the browser has gone
    finally:
        writer.close()


def _head(kind: bytes, length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\nCache-Control: no-store\r\n\r\n" % (
        kind,
        length,
    )


async def main() -> None:
    """Until it is ended."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
