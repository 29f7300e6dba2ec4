"""TLS that we speak ourselves: the certificate in two PEM files, checked at the start and followed as they change."""

import asyncio
import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from gateway.config import Config, ConfigError

log = structlog.get_logger()
LOOK = 5.0  # seconds between two looks at the files
SOON = datetime.timedelta(days=14)  # before its end a certificate is spoken of
Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is in force: a context for handshakes, and until when its leaf is good."""

    context: ssl.SSLContext
    ends: datetime.datetime

    def words(self, now: datetime.datetime) -> tuple[bool, str]:
        """Whether it is good and for longer, and how long; for doctor and the log."""
        left, day = self.ends - now, f"{self.ends:%Y-%m-%d %H:%M} UTC"
        if left < datetime.timedelta():
            return False, f"expired on {day}"
        return left > SOON, f"good until {day}, {left.days} days"


def read(cert: Path, key: Path) -> Certificate:
    """The pair; raises ConfigError naming the file and what is wrong with it."""
    chain = _certificates(cert)
    its = chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if _public_key(key) != its:
        raise ConfigError(f"tls_key: {key} is not the key of the first certificate in {cert}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:  # a key too short for OpenSSL, or the files changed meanwhile
        raise ConfigError(f"tls_cert: {cert} with {key}: {error.strerror or error}") from None
    return Certificate(context, chain[0].not_valid_after_utc)


def configured(config: Config) -> Certificate | None:
    """What the settings name, or None without TLS; raises ConfigError."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    return read(config.tls_cert, config.tls_key)


def trusting(authorities: Path | None) -> ssl.SSLContext | None:
    """How certificates of other nodes are judged; None: by the authorities of this machine. Raises ConfigError."""
    if authorities is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # a certificate for the name that was asked for is wanted
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError:
        raise ConfigError(f"cluster_ca: {authorities} holds no certificate in PEM form") from None
    except OSError as error:
        raise ConfigError(f"cluster_ca: {authorities} cannot be read: {error.strerror}") from None
    return context


class Served:
    """The certificate that handshakes get; `follow` keeps it that of the files."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Raises ConfigError."""
        self._files = (cert, key)
        self._seen = self._signature()
        self.certificate = read(cert, key)
        # Servers keep the context that they were made with: each handshake is led to the one of now.
        self.context = read(cert, key).context
        self.context.sni_callback = self._lead
        self._tell("tls_certificate")

    async def follow(self, period: float = LOOK) -> None:
        """Read the files again whenever they have changed. What cannot be used leaves the one before in force."""
        while True:
            await asyncio.sleep(period)
            await self.look()

    async def look(self) -> None:
        """Once."""
        signature = await asyncio.to_thread(self._signature)
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self.certificate = await asyncio.to_thread(read, *self._files)
        except ConfigError as error:
            log.error("tls_certificate_not_reloaded", why=str(error), advice="the one before stays in force")
        else:
            self._tell("tls_certificate_reloaded")

    def _lead(self, handshake: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        handshake.context = self.certificate.context

    def _tell(self, event: str) -> None:
        good, words = self.certificate.words(datetime.datetime.now(datetime.UTC))
        (log.info if good else log.warning)(event, certificate=words)

    def _signature(self) -> Signature:
        """What changes when a file does, also one that is a link; zeros for one that is not there."""
        found = []
        for file in self._files:
            try:
                seen = file.stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((seen.st_ino, seen.st_mtime_ns, seen.st_size))
        return tuple(found)


def _certificates(file: Path) -> list[x509.Certificate]:
    pem = _bytes("tls_cert", file)
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigError(f"tls_cert: {file} holds no certificate in PEM form") from None


def _public_key(file: Path) -> bytes:
    """The public half of the private key in `file`, as DER."""
    pem = _bytes("tls_key", file)
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ConfigError(f"tls_key: {file} wants a passphrase: give a key without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"tls_key: {file} holds no private key in PEM form") from None
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _bytes(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{setting}: {file} cannot be read: {error.strerror}") from None
