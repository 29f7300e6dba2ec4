"""The certificate: what is refused at the start, what handshakes get, and that it follows its files."""

import asyncio
import datetime
import json
import os
import ssl
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import structlog
from cryptography import x509
from websockets.asyncio.client import connect

from gateway.config import ConfigError, load
from gateway.node import prepare
from gateway.web.tls import Certificate, Served, read, trusting
from tests.inside import TOKEN, ask, inside
from tests.web.certificates import make


def test_a_good_pair(tmp_path: Path) -> None:
    certificate = read(*make(tmp_path))
    assert certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2
    good, words = certificate.words(datetime.datetime.now(datetime.UTC))
    assert good
    assert "29 days" in words


@pytest.mark.parametrize(("days", "says"), [(-1, "expired on "), (3, "2 days")])
def test_one_that_has_expired_or_will_soon_is_spoken_of(tmp_path: Path, days: float, says: str) -> None:
    with structlog.testing.capture_logs() as logs:
        Served(*make(tmp_path, days=days))
    assert [line["log_level"] for line in logs] == ["warning"]
    assert says in logs[0]["certificate"]


def test_what_is_wrong_is_said_by_name(tmp_path: Path) -> None:
    crt, key = make(tmp_path)
    _, other = make(tmp_path, "other")
    _, sealed = make(tmp_path, "sealed", password=b"sesame")
    empty, absent = tmp_path / "empty", tmp_path / "absent"
    empty.touch()
    for pair, words in (
        ((absent, key), f"tls_cert: {absent} cannot be read: No such file"),
        ((crt, absent), f"tls_key: {absent} cannot be read: No such file"),
        ((tmp_path, key), f"tls_cert: {tmp_path} cannot be read: Is a directory"),
        ((empty, key), f"tls_cert: {empty} holds no certificate"),
        ((key, key), f"tls_cert: {key} holds no certificate"),
        ((crt, crt), f"tls_key: {crt} holds no private key"),
        ((crt, other), f"tls_key: {other} is not the key of the first certificate in {crt}"),
        ((crt, sealed), f"tls_key: {sealed} wants a passphrase"),
    ):
        with pytest.raises(ConfigError) as refused:
            read(*pair)
        assert str(refused.value).startswith(words)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file that we may not read is made unreadable by who we become")
def test_one_that_may_not_be_read(tmp_path: Path) -> None:
    crt, key = make(tmp_path)
    key.chmod(0)
    for each in (tmp_path, *tmp_path.parents):
        if each.stat().st_uid == 0 and str(each).startswith("/tmp/"):
            each.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigError, match=f"tls_key: {key} cannot be read: Permission denied"):
            read(crt, key)
    finally:
        os.seteuid(0)


async def presented(port: int, hostname: str | None = None) -> str:
    """The common name of the certificate that a handshake gets; `hostname` is asked for (SNI)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=hostname or "")
    shown = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    writer.close()
    with suppress(ConnectionError, ssl.SSLError):  # the server hangs up as well: whoever is first
        await writer.wait_closed()
    return str(shown.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


async def test_new_handshakes_get_the_new_certificate_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    crt, key = make(tmp_path, "first")
    served = Served(crt, key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=served.context)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert await presented(port) == "first"
        await served.look()
        assert await presented(port) == "first"
        new_crt, new_key = make(tmp_path, "second")
        with structlog.testing.capture_logs() as logs:
            new_key.replace(key)  # one file of two: they do not belong together
            await served.look()
            assert await presented(port) == "first"
            await served.look()  # nothing has changed since: it is said once
            new_crt.replace(crt)
            await served.look()
        assert [await presented(port), await presented(port, "localhost")] == ["second", "second"]
        assert [line["event"] for line in logs] == ["tls_certificate_not_reloaded", "tls_certificate_reloaded"]
        crt.unlink()
        await served.look()
        assert await presented(port) == "second"


async def test_old_versions_are_refused(tmp_path: Path) -> None:
    served = Served(*make(tmp_path))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=served.context)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=old, server_hostname="localhost")


async def test_all_that_is_handed_out_is_wss_and_works(tmp_path: Path) -> None:
    crt, key = make(tmp_path)
    trust = ssl.create_default_context(cafile=str(crt))
    async with inside(tmp_path / "data", tls_cert=str(crt), tls_key=str(key)) as gateway:
        base = gateway.base.replace("http://", "https://")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(base, headers=headers, connector=aiohttp.TCPConnector(ssl=trust)) as http:
            async with http.post("/session", json={}) as answer:
                session = await answer.json()
            assert session["connect"].startswith(base.replace("https", "wss"))
            assert session["stop"].startswith(f"{base}/session/")
            assert session["devtools"].startswith(f"{base}/session/")
            async with connect(session["connect"], ssl=trust, max_size=None, compression=None) as socket:
                large = "x" * 1_000_000
                params = {"expression": json.dumps(large)}
                targets = await ask(socket, "Target.getTargets")
                page = next(one for one in targets["result"]["targetInfos"] if one["type"] == "page")
                attached = await ask(socket, "Target.attachToTarget", {"targetId": page["targetId"], "flatten": True})
                one = await ask(socket, "Runtime.evaluate", params, sessionId=attached["result"]["sessionId"])
                assert one["result"]["result"]["value"] == large
            async with http.delete(f"/session/{session['id']}?purge=true") as answer:
                assert answer.status == 200


def test_whom_nodes_trust(tmp_path: Path) -> None:
    assert trusting(None) is None
    crt, key = make(tmp_path)
    context = trusting(crt)
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert [one["subject"] for one in context.get_ca_certs()] == [((("commonName", "server"),),)]
    for file, words in ((key, "holds no certificate"), (tmp_path / "none", "cannot be read: No such file")):
        with pytest.raises(ConfigError, match=f"^cluster_ca: .*{words}"):
            trusting(file)
        config = load({"data_dir": str(tmp_path / "data"), "cluster_ca": str(file)}, {}, None)
        with pytest.raises(ConfigError, match="cluster_ca: "):
            prepare(config)
    assert not (tmp_path / "data").exists()


def test_a_gateway_does_not_start_with_one_that_cannot_be_used(tmp_path: Path) -> None:
    crt, _ = make(tmp_path)
    config = load({"data_dir": str(tmp_path / "data"), "tls_cert": str(crt), "tls_key": str(crt)}, {}, None)
    with pytest.raises(ConfigError, match="tls_key: "):
        prepare(config)
    assert not (tmp_path / "data").exists()


def test_words() -> None:
    end = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)
    certificate = Certificate(ssl.create_default_context(), end)
    assert certificate.words(end - datetime.timedelta(days=14, hours=1)) == (
        True,
        "good until 2026-05-01 12:00 UTC, 14 days",
    )
    assert certificate.words(end + datetime.timedelta(seconds=1)) == (False, "expired on 2026-05-01 12:00 UTC")
