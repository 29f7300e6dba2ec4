"""Proxies of the kind that people rent: HTTP and HTTPS with Basic, SOCKS5 with user name and password.

They resolve names themselves, from `names`, and write down what they were asked for.
"""

import asyncio
import base64
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from browser_pool.tasks import crew

USER, PASSWORD = "customer-7", "s3cret:word"


@dataclass
class Upstream:
    """A running one; `asked` has the destinations in the form in which they were given."""

    port: int = 0
    names: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refused: int = 0

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Absolute form and CONNECT; one request a connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.strip().split("\r\n")
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if f"proxy-authorization: basic {wanted}".lower() not in [one.lower() for one in fields]:
            self.refused += 1
            writer.write(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
            return
        method, target, _ = line.split(" ")
        self.asked.append(f"{method} {target}")
        if method == "CONNECT":
            there, back = await self._to(target)
            writer.write(b"HTTP/1.1 200 Fine\r\nX-Proxy: 1\r\n\r\n")
        else:
            place, _, path = target.removeprefix("http://").partition("/")
            there, back = await self._to(place)
            rest = [one for one in fields if not one.lower().startswith(("proxy-", "connection"))]
            back.write(
                "\r\n".join((f"{method} /{path} HTTP/1.1", *rest, "Connection: close", "", "")).encode("latin-1")
            )
        await both(reader, writer, there, back)

    async def socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """RFC 1928 and 1929."""
        _, count = await reader.readexactly(2)
        if 2 not in await reader.readexactly(count):
            self.refused += 1
            writer.write(b"\x05\xff")
            return
        writer.write(b"\x05\x02")
        _, length = await reader.readexactly(2)
        user = (await reader.readexactly(length)).decode()
        password = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        good = (user, password) == (USER, PASSWORD)
        writer.write(b"\x01\x00" if good else b"\x01\x01")
        if not good:
            self.refused += 1
            return
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = ".".join(str(byte) for byte in await reader.readexactly(4))
        place = f"{host}:{int.from_bytes(await reader.readexactly(2), 'big')}"
        self.asked.append(f"{'name' if kind == 3 else 'address'} {place}")
        there, back = await self._to(place)
        writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01")
        await both(reader, writer, there, back)

    async def _to(self, place: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = place.partition(":")
        return await asyncio.open_connection(self.names.get(host, host), int(port or 80))


async def both(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: asyncio.StreamReader, back: asyncio.StreamWriter
) -> None:
    """Copy either way until both sides have ended."""

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass  # as good as an end
        finally:
            sink.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(copy(reader, back))
        group.create_task(copy(there, writer))


@asynccontextmanager
async def upstream(kind: str, certificate: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    """One of `kind` http or socks on a free port; with a certificate it speaks TLS."""
    running = Upstream()
    serve = running.http if kind == "http" else running.socks
    async with crew(patience=0.1) as start:

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # whoever asked has gone
            finally:
                writer.close()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            start(served(reader, writer), "upstream")

        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=certificate)
        running.port = server.sockets[0].getsockname()[1]
        try:
            yield running
        finally:
            server.close()


def certificates(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for 127.0.0.1 and localhost, and one that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "proxy")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "proxy.pem"
    plain = serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))
