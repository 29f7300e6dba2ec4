import base64
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, is_loopback, load

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(32)).decode()


def test_the_defaults() -> None:
    config = load({}, {}, None)
    assert config == Config()
    assert (config.host, config.port) == ("127.0.0.1", 3000)
    assert (config.queue_length, config.queue_timeout) == (10, 30)
    assert (config.reconnect_default, config.reconnect_max) == (60, 3600)
    assert (config.process_keep_alive, config.drain_timeout) == (30, 20)
    assert (config.ttl_max, config.max_body) == (90 * 86400, 10 << 20)
    assert config.data_dir.is_absolute()


# Every setting with a text that it takes and what that means.
TAKEN: dict[str, tuple[str, object]] = {
    "host": ("::1", "::1"),
    "port": ("0", 0),
    "data_dir": ("/a/b", Path("/a/b")),
    "token": ("a-token", "a-token"),
    "no_auth": ("true", True),
    "tenants_file": ("/a/tenants.toml", Path("/a/tenants.toml")),
    "browser": ("/a/chromium", Path("/a/chromium")),
    "extensions": ("/a/extensions", Path("/a/extensions")),
    "max_sessions": ("3", 3),
    "queue_length": ("0", 0),
    "queue_timeout": ("1500", 1.5),
    "warm": ("2", 2),
    "ttl_max": ("2h", 7200.0),
    "reconnect_default": ("90s", 90.0),
    "reconnect_max": ("1d", 86400.0),
    "process_keep_alive": ("0", 0.0),
    "checkpoint_interval": ("1m", 60.0),
    "park_after": ("250ms", 0.25),
    "adopt_timeout": ("0", 0.0),
    "snapshot_versions": ("3", 3),
    "retention": ("1.5h", 5400.0),
    "encryption_key": (f"{KEY}, {OTHER_KEY}", (bytes(range(32)), bytes(32))),
    "confinement": ("off", "off"),
    "browser_memory": ("1GiB", 1 << 30),
    "browser_processes": ("64", 64),
    "browser_disk": ("512MiB", 512 << 20),
    "egress_allow": ("*.example, 10.0.0.0/8,host:443", ("*.example", "10.0.0.0/8", "host:443")),
    "egress_deny": ("", ()),
    "filter_lists": ("/a.txt, /b.txt", (Path("/a.txt"), Path("/b.txt"))),
    "allowed_origins": ("https://a.example", ("https://a.example",)),
    "external_url": ("https://gate.example/", "https://gate.example"),
    "redis_url": ("redis://r", "redis://r"),
    "node_address": ("n:1", "http://n:1"),
    "cluster_key": ("k", "k"),
    "cluster_ca": ("/a/ca.pem", Path("/a/ca.pem")),
    "node_timeout": ("1s", 1.0),
    "drain_timeout": ("1s", 1.0),
    "snapshot_store": ("file:/s", "file:/s"),
    "max_body": ("1MiB", 1 << 20),
    "files_max": ("2GiB", 2 << 30),
    "max_line": ("2KiB", 2048),
    "max_head": ("8KiB", 8192),
    "max_connections": ("100", 100),
    "max_connections_per_address": ("10", 10),
    "head_timeout": ("5s", 5.0),
    "idle_timeout": ("1m", 60.0),
    "stall_timeout": ("5s", 5.0),
    "socket_stall_timeout": ("1m", 60.0),
    "auth_failures": ("0", 0),
    "trusted_proxies": ("10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
    "tls_cert": ("/a/cert.pem", Path("/a/cert.pem")),
    "tls_key": ("/a/key.pem", Path("/a/key.pem")),
    "audit_log": ("-", "-"),
    "audit_log_size": ("1MiB", 1 << 20),
    "log_format": ("json", "json"),
    "log_level": ("debug", "debug"),
}


def test_every_setting_is_looked_at_here() -> None:
    assert set(TAKEN) == {item.name for item in fields(Config)}


@pytest.mark.parametrize("name", TAKEN)
def test_each_setting_from_each_source(name: str, tmp_path: Path) -> None:
    text, meant = TAKEN[name]
    file = tmp_path / "config.toml"
    file.write_text(f'{name} = "{text}"')
    others = {"tls_cert": {"tls_key": "/k"}, "tls_key": {"tls_cert": "/c"}, "redis_url": FLEET}  # that it goes with
    beside = {other: value for other, value in others.get(name, {}).items() if other != name}
    for config in (
        load({name: text, **beside}, {}, None),
        load(beside, {f"GATEWAY_{name.upper()}": text}, None),
        load(beside, {}, file),
    ):
        assert getattr(config, name) == meant


# And texts that it does not take.
REFUSED = [
    ("port", "65536"),
    ("port", "-1"),
    ("port", "http"),
    ("token", ""),
    ("token", "with space"),
    ("token", "ü"),
    ("token", "x" * 513),
    ("no_auth", "perhaps"),
    ("max_sessions", "0"),
    ("snapshot_versions", "0"),
    ("checkpoint_interval", "100ms"),
    ("max_sessions", "many"),
    ("queue_timeout", "soon"),
    ("queue_timeout", "-5s"),
    ("ttl_max", "5 weeks"),
    ("encryption_key", "c2hvcnQ="),
    ("encryption_key", "!"),
    ("confinement", "perhaps"),
    ("browser_memory", "1MiB"),
    ("browser_processes", "3"),
    ("browser_disk", "1MiB"),
    ("external_url", "gate.example"),
    ("external_url", "ftp://gate.example"),
    ("external_url", "https://gate.example/path"),
    ("external_url", "https://gate.example?query"),
    ("external_url", "https://gate.example#part"),
    ("external_url", "https://[::1"),
    ("max_body", "10MB"),
    ("max_line", "100"),
    ("max_head", "100"),
    ("max_connections", "0"),
    ("max_connections_per_address", "0"),
    ("head_timeout", "0"),
    ("idle_timeout", "0"),
    ("stall_timeout", "0"),
    ("socket_stall_timeout", "0"),
    ("redis_url", "localhost:6379"),
    ("redis_url", "http://localhost"),
    ("redis_url", "redis:///0"),
    ("redis_url", "unix://"),
    ("redis_url", "redis+sentinel://a:1,b"),
    ("redis_url", "redis+sentinel:///main"),
    ("node_address", "http://n/path"),
    ("node_address", "ftp://n"),
    ("node_address", ""),
    ("snapshot_store", "/shared"),
    ("snapshot_store", "file:shared"),
    ("snapshot_store", "s3:///prefix"),
    ("trusted_proxies", "10.0.0.1/8"),
    ("trusted_proxies", "proxy.example"),
    ("log_format", "xml"),
    ("log_level", "loud"),
]


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_a_bad_value_is_refused_by_name_and_place(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"(--{name.replace('_', '-')}|{name}): "):
        load({name: text}, {}, None)
    with pytest.raises(ConfigError, match=f"(GATEWAY_{name.upper()}|{name}): "):
        load({}, {f"GATEWAY_{name.upper()}": text}, None)


def test_a_bad_secret_is_not_repeated() -> None:
    for name, text in (("token", "sesame open"), ("cluster_key", "sesame open"), ("encryption_key", "sesame")):
        with pytest.raises(ConfigError) as refused:
            load({name: text}, {}, None)
        assert "sesame" not in str(refused.value)


def test_flags_win_over_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("port = 1\nwarm = 1\nqueue_length = 1\n")
    config = load({"port": "3"}, {"GATEWAY_PORT": "2", "GATEWAY_WARM": "2"}, file)
    assert (config.port, config.warm, config.queue_length) == (3, 2, 1)


def test_toml_values_of_every_type(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('no_auth = true\nport = 8080\nttl_max = 1500.0\nallowed_origins = ["https://a", "https://b"]\n')
    config = load({}, {}, file)
    assert (config.no_auth, config.port, config.ttl_max) == (True, 8080, 1.5)
    assert config.allowed_origins == ("https://a", "https://b")


def test_unknown_settings_are_named_with_where_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('colour = "red"\n')
    with pytest.raises(ConfigError, match=f"colour in {file}: there is no such setting"):
        load({}, {}, file)
    with pytest.raises(ConfigError, match="GATEWAY_COLOUR: there is no such setting"):
        load({}, {"GATEWAY_COLOUR": "red", "PATH": "/bin", "COLOUR": "red"}, None)
    file.write_text("[serve]\nport = 1\n")
    with pytest.raises(ConfigError, match="serve in "):
        load({}, {}, file)


def test_the_name_of_the_file_itself_is_no_setting() -> None:
    assert load({}, {"GATEWAY_CONFIG": "/a/file", "HOME": "/"}, None) == Config()


@pytest.mark.parametrize("content", [None, b"port = ", b"\xff\xfe"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "config.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"config: {file} "):
        load({}, {}, file)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]"])
def test_without_credentials_on_a_loopback_address(host: str) -> None:
    assert is_loopback(host)
    assert load({"no_auth": "true", "host": host}, {}, None).no_auth


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "gate.example", "", "localhost.example"])
def test_without_credentials_nowhere_else(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="no_auth"):
        load({"no_auth": "true", "host": host}, {}, None)


def test_a_directory_of_extensions_with_a_comma_is_refused() -> None:
    with pytest.raises(ConfigError, match="extensions: a path without a comma"):
        load({"extensions": "/a,b"}, {}, None)


@pytest.mark.parametrize(("given", "missing"), [("tls_cert", "tls_key"), ("tls_key", "tls_cert")])
def test_a_certificate_without_its_key_is_refused(given: str, missing: str) -> None:
    with pytest.raises(ConfigError, match=f"^{missing}: .* both, or neither"):
        load({given: "/a"}, {}, None)


FLEET = {"redis_url": "redis://r", "cluster_key": "k", "token": "t", "snapshot_store": "file:/s"}


def test_what_a_fleet_needs() -> None:
    config = load(FLEET, {}, None)
    assert config.node == "http://127.0.0.1:3000"
    assert load({**FLEET, "host": "::1"}, {}, None).node == "http://[::1]:3000"
    assert load({**FLEET, "tls_cert": "/c", "tls_key": "/k"}, {}, None).node == "https://127.0.0.1:3000"
    assert load({**FLEET, "host": "0.0.0.0", "node_address": "https://n:1"}, {}, None).node == "https://n:1"
    assert load({**FLEET, "token": "t", "tenants_file": "/t.toml"}, {}, None).tenants_file == Path("/t.toml")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"cluster_key": ""}, "cluster_key"),
        ({"token": ""}, "token"),
        ({"snapshot_store": ""}, "snapshot_store"),
        ({"host": "0.0.0.0"}, "node_address"),
        ({"host": "::"}, "node_address"),
        ({"port": "0"}, "node_address"),
        ({"node_timeout": "500ms"}, "node_timeout"),
    ],
)
def test_what_a_fleet_lacks_is_named(changed: dict[str, str], named: str) -> None:
    given = {name: text for name, text in {**FLEET, **changed}.items() if text}
    with pytest.raises(ConfigError, match=f"^{named}: "):
        load(given, {}, None)
