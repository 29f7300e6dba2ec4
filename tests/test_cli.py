import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import __version__
from gateway.cli import main
from gateway.records import new_session_id
from tests.journeys.running import STOP_SECONDS
from tests.web.certificates import make

Output = pytest.CaptureFixture[str]
COMMAND = (sys.executable, "-m", "gateway.cli")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's: no settings in the environment, no file in the directory."""
    for name in os.environ:
        if name.startswith("GATEWAY_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refused(capsys: Output, *argv: str) -> str:
    """What is said about arguments that stop the start."""
    try:
        code: object = main(list(argv))
    except SystemExit as end:  # argparse's way
        code = end.code
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return printed.err


@contextmanager
def serving(*argv: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A gateway and its first line; ended by SIGTERM, with exit code 0."""
    words = [*COMMAND, "serve", "--port", "0", *argv]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield process, line
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=STOP_SECONDS)
            assert (process.returncode, rest) == (0, ""), "one line on stdout, and a clean end"
        finally:
            process.kill()


def once(*argv: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *argv], capture_output=True, text=True, check=False, timeout=60)


def port_of(line: str) -> str:
    match = re.match(r"listening on http://127\.0\.0\.1:(\d+)", line)
    assert match is not None, line
    return match[1]


# --- what stops the start ---


def test_an_unknown_flag(capsys: Output) -> None:
    assert "--colour" in refused(capsys, "serve", "--colour", "red")
    assert "--por" in refused(capsys, "serve", "--por", "1")  # no abbreviations: a later setting could mean another
    assert "sing" in refused(capsys, "sing")
    assert "COMMAND" in refused(capsys)


def test_a_bad_value_in_a_flag(capsys: Output) -> None:
    assert refused(capsys, "serve", "--port", "high").startswith("cdp-gateway: --port: ")
    assert refused(capsys, "serve", "--queue-timeout", "soon").startswith("cdp-gateway: --queue-timeout: ")
    assert refused(capsys, "doctor", "--max-sessions", "many").startswith("cdp-gateway: --max-sessions: ")


def test_an_unknown_or_bad_variable(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "high")
    assert "GATEWAY_PORT: " in refused(capsys, "serve")
    monkeypatch.setenv("GATEWAY_PORT", "0")
    monkeypatch.setenv("GATEWAY_COLOUR", "red")
    assert "GATEWAY_COLOUR: there is no such setting" in refused(capsys, "serve")


@pytest.mark.parametrize("by", ["flag", "environment"])
def test_an_unknown_key_in_the_file(capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('colour = "red"\n')
    if by == "environment":
        monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    argv = ("serve", "--config", str(file)) if by == "flag" else ("serve",)
    assert f"colour in {file}" in refused(capsys, *argv)


def test_a_file_that_is_not_there(capsys: Output) -> None:
    assert "/no/such/file.toml" in refused(capsys, "serve", "--config", "/no/such/file.toml")


def test_no_auth_beyond_loopback(capsys: Output) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.1"):
        assert "no_auth: only on a loopback address" in refused(capsys, "serve", "--no-auth", "--host", host)


def test_a_data_directory_that_cannot_be_made(capsys: Output, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"data_dir: {tmp_path}/file/data" in refused(capsys, "serve", "--data-dir", str(tmp_path / "file" / "data"))


def test_a_session_that_is_not_named(capsys: Output) -> None:
    assert "sessions stop: which one?" in refused(capsys, "sessions", "stop")
    assert "--url" in refused(capsys, "sessions", "list", "--url", "gateway:3000")


# --- what only says something ---


def test_the_version(capsys: Output) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"cdp-gateway {__version__}\n"


def test_the_help_has_every_setting_with_its_variable(capsys: Output) -> None:
    with pytest.raises(SystemExit) as end:
        main(["serve", "--help"])
    assert end.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    for name in ("host", "max-sessions", "no-auth", "encryption-key", "redis-url"):
        assert f"--{name} " in printed
        assert f"(GATEWAY_{name.upper().replace('-', '_')})" in printed


# --- serve ---


def test_one_line_and_a_token_that_is_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving("--data-dir", str(data)) as (_, line):
        token = (data / "token").read_text().strip()
        assert (data / "token").stat().st_mode & 0o777 == 0o600
        port = port_of(line)
        assert line == f"listening on http://127.0.0.1:{port} - connect to ws://127.0.0.1:{port}?token={token}\n"
        # The small client finds the token in the data directory.
        listed = once("sessions", "--url", f"http://127.0.0.1:{port}", "--data-dir", str(data), "list")
        assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", "")
        shown = once("sessions", "--url", f"http://127.0.0.1:{port}", "--token", "wrong", "show", new_session_id())
        assert (shown.returncode, shown.stdout) == (1, "")
        assert "unauthorized" in shown.stderr
    with serving("--data-dir", str(data)) as (_, line):
        assert line.endswith(f"?token={token}\n")


def test_a_given_token_is_neither_printed_nor_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "a-given-token")
    with serving("--data-dir", str(tmp_path / "data")) as (process, line):
        assert line == f"listening on http://127.0.0.1:{port_of(line)}\n"
        assert not (tmp_path / "data" / "token").exists()
        listed = once("sessions", "--url", f"http://127.0.0.1:{port_of(line)}", "list")
        assert listed.returncode == 0, listed.stderr
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=STOP_SECONDS)
        assert "a-given-token" not in log
        assert "serving" in log


def test_with_a_certificate_it_is_https(tmp_path: Path) -> None:
    crt, key = make(tmp_path)
    pair = ("--tls-cert", str(crt), "--tls-key", str(key))
    with serving("--data-dir", str(tmp_path / "data"), *pair) as (_, line):
        assert re.match(r"listening on https://127\.0\.0\.1:\d+ - connect to wss://127\.0\.0\.1:\d+\?token=", line)


def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path, capsys: Output) -> None:
    crt, key = make(tmp_path)
    data = ("serve", "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert "tls_key: tls_cert and tls_key are wanted both" in refused(capsys, *data, "--tls-cert", str(crt))
    twice = ("--tls-cert", str(crt), "--tls-key", str(crt))
    assert f"tls_key: {crt} holds no private key" in refused(capsys, *data, *twice)
    gone = str(tmp_path / "gone")
    assert f"tls_cert: {gone} cannot be read" in refused(capsys, *data, "--tls-cert", gone, "--tls-key", str(key))


def test_no_auth_on_loopback(tmp_path: Path) -> None:
    with serving("--no-auth", "--data-dir", str(tmp_path / "data")) as (_, line):
        assert line == f"listening on http://127.0.0.1:{port_of(line)}\n"
        assert once("sessions", "--url", f"http://127.0.0.1:{port_of(line)}", "list").returncode == 0


def test_what_is_in_the_way_is_told_in_words(tmp_path: Path) -> None:
    with serving("--data-dir", str(tmp_path / "one")) as (_, line):
        second = once("serve", "--port", "0", "--data-dir", str(tmp_path / "one"))
        assert (second.returncode, second.stdout) == (1, "")
        said = second.stderr.splitlines()[-1]
        assert said == f"cdp-gateway: another gateway runs on {tmp_path}/one: give this one its own --data-dir"
        port = port_of(line)
        second = once("serve", "--port", port, "--data-dir", str(tmp_path / "two"))
        assert (second.returncode, second.stdout) == (1, "")
        said = second.stderr.splitlines()[-1]
        assert said.startswith(f"cdp-gateway: cannot listen on 127.0.0.1:{port}: ")
        assert "address already in use" in said
        assert "Traceback" not in second.stderr


def test_a_fleet_without_its_redis_is_told_in_words(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        fleet = ("--redis-url", f"redis://:p4ssw0rd@127.0.0.1:{port}", "--cluster-key", "k", "--token", "t")
        store = ("--snapshot-store", f"file:{tmp_path}/shared", "--port", "3999")
        done = once("serve", *fleet, *store, "--data-dir", str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "cdp-gateway: Redis cannot be used: " in done.stderr
    assert "p4ssw0rd" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unusable_record_file_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "gateway.sqlite").write_bytes(b"this is no database" * 100)
    done = once("serve", "--port", "0", "--data-dir", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "gateway.sqlite cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
