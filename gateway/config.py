"""Every setting once: name, default, how it is read. Flags win over environment, environment over file.

`key` in the TOML file, `GATEWAY_KEY` in the environment, `--key` on the command line. Durations are kept
in seconds, sizes in bytes.
"""

import ipaddress
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from browser_pool.confinement import Confinement, Limits, Wish
from gateway.values import (
    count,
    destinations,
    duration,
    keys,
    networks,
    node,
    one_of,
    path,
    paths,
    port,
    redis,
    secret,
    size,
    snapshots,
    switch,
    url,
    words,
)


class ConfigError(ValueError):
    """A setting that is unknown or has a bad value; the message names it."""


def setting(read: Callable[[str], Any], default: Any, text: str) -> Any:
    """A field of Config."""
    return field(default=default, metadata={"read": read, "help": text})


@dataclass(frozen=True)
class Config:
    """All settings, read and checked. Each part of the gateway is given only what it needs of them."""

    host: str = setting(str, "127.0.0.1", "address to listen on")
    port: int = setting(port, 3000, "port to listen on; 0 takes a free one")
    data_dir: Path = setting(path, Path("data").absolute(), "where records, snapshots and running browsers live")
    token: str | None = setting(secret, None, "the single tenant's token; made on first start if not set")
    no_auth: bool = setting(switch, False, "ask for no credentials; on a loopback address only")
    tenants_file: Path | None = setting(path, None, "TOML file of tenants: their tokens and limits")
    browser: Path | None = setting(path, None, "Chromium to run; found if not set")
    extensions: Path | None = setting(path, None, "directory of extensions that clients may ask for by name")
    max_sessions: int | None = setting(count, None, "browsers at once; from the machine's memory if not set")
    queue_length: int = setting(count, 10, "creates that may wait for a free browser")
    queue_timeout: float = setting(duration, 30.0, "how long a create waits before 429")
    warm: int = setting(count, 1, "the most browsers that are launched ahead of their clients; 0 launches none")
    ttl_max: float = setting(duration, 90 * 86400.0, "the longest life of a session")
    reconnect_default: float = setting(duration, 60.0, "how long `reconnect` keeps a browser if it does not say")
    reconnect_max: float = setting(duration, 3600.0, "the longest that `reconnect` can ask for")
    process_keep_alive: float = setting(duration, 30.0, "how long an API session's browser waits for a client")
    checkpoint_interval: float = setting(duration, 10.0, "how often a session that changes is saved while it runs")
    park_after: float = setting(duration, 5.0, "when a browser without a client is parked")
    adopt_timeout: float = setting(
        duration, 300.0, "how long browsers wait for the next gateway when this one is killed; 0: they end with it"
    )
    snapshot_versions: int = setting(count, 10, "how many snapshots of a session are kept")
    retention: float = setting(duration, 90 * 86400.0, "how long records and snapshots of ended sessions are kept")
    encryption_key: tuple[bytes, ...] = setting(keys, (), "keys that seal snapshots at rest, newest first")
    confinement: str = setting(
        one_of("auto", "required", "off"), "auto", "what holds browsers: all that there is, all or no start, nothing"
    )
    browser_memory: int = setting(size, 4 << 30, "most bytes of memory that a browser may have")
    browser_processes: int = setting(count, 200, "most processes that a browser may have")
    browser_disk: int = setting(size, 2 << 30, "most bytes on disk that a running browser may have")
    egress_allow: tuple[str, ...] = setting(
        destinations, (), "what browsers may reach though it is not public: 10.0.0.0/8, intranet.example"
    )
    egress_deny: tuple[str, ...] = setting(
        destinations, (), "what browsers may not reach: *.ads.example; with * all but what egress_allow has"
    )
    filter_lists: tuple[Path, ...] = setting(
        paths, (), "what blockAds filters by, files in Adblock Plus's syntax; the system's EasyList if not set"
    )
    allowed_origins: tuple[str, ...] = setting(words, (), "web origins that may connect, beside the gateway's own")
    external_url: str | None = setting(url, None, "how clients reach the gateway, for the URLs that it hands out")
    redis_url: str | None = setting(redis, None, "Redis that makes a fleet of the gateways that share it")
    node_address: str | None = setting(
        node, None, "how other nodes of the fleet reach this one: http://HOST:PORT; from host and port if not set"
    )
    cluster_key: str | None = setting(secret, None, "what nodes of the fleet know each other by: the same on all")
    cluster_ca: Path | None = setting(
        path, None, "PEM file of who signs the nodes' certificates; those that this machine trusts if not set"
    )
    node_timeout: float = setting(duration, 10.0, "when a silent node counts as dead")
    drain_timeout: float = setting(duration, 20.0, "how long a stop may take to save sessions")
    snapshot_store: str | None = setting(
        snapshots, None, "where nodes share what they save: file:DIR or s3://BUCKET[/PREFIX][?endpoint=URL&region=R]"
    )
    max_body: int = setting(size, 10 << 20, "largest request body")
    files_max: int = setting(size, 1 << 30, "most bytes of files that a session may have: downloads and uploads")
    max_line: int = setting(size, 16 << 10, "longest request line, with its query, or header")
    max_head: int = setting(size, 64 << 10, "largest request line and headers together")
    max_connections: int | None = setting(count, None, "open connections; from the limit of open files if not set")
    max_connections_per_address: int | None = setting(
        count, None, "those of one address, or IPv6 network of 64 bits; half of all if not set"
    )
    head_timeout: float = setting(duration, 10.0, "how long a TLS handshake and a request's head may take to arrive")
    idle_timeout: float = setting(duration, 75.0, "how long a connection may wait for its next request")
    stall_timeout: float = setting(
        duration, 30.0, "a request's body or a reply that moves more slowly than 1 KiB/s for so long is cut off"
    )
    socket_stall_timeout: float = setting(
        duration, 300.0, "a websocket's client that takes nothing for so long, though there is something, is cut off"
    )
    auth_failures: int = setting(
        count, 30, "bad credentials a minute from one address before it has to wait; 0: any number"
    )
    trusted_proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = setting(
        networks, (), "networks of proxies whose X-Forwarded-For, -Proto and -Host are believed"
    )
    tls_cert: Path | None = setting(path, None, "PEM file of the certificate and its chain; with tls_key: serve TLS")
    tls_key: Path | None = setting(path, None, "PEM file of the certificate's key")
    audit_log: str = setting(str, "", "file of the audit log, DATA_DIR/audit.log if not set; -: stderr, none: no log")
    audit_log_size: int = setting(size, 10 << 20, "when the audit log is rotated; five older ones are kept")
    log_format: str | None = setting(one_of("human", "json"), None, "human on a terminal, json otherwise, if not set")
    log_level: str = setting(one_of("debug", "info", "warning", "error"), "info", "least level that is logged")

    @property
    def confining(self) -> Confinement:
        """What shall hold each browser."""
        limits = Limits(self.browser_memory, self.browser_processes, self.browser_disk)
        return Confinement(Wish(self.confinement), limits)

    @property
    def node(self) -> str:
        """How other nodes reach this one: its name in the fleet."""
        if self.node_address is not None:
            return self.node_address
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls_cert else ''}://{host}:{self.port}"


def load(flags: Mapping[str, str], environment: Mapping[str, str], file: Path | None) -> Config:
    """The Config from the three sources; raises ConfigError naming what is wrong and where it was said."""
    known = {item.name: item for item in fields(Config)}
    given: dict[str, tuple[str, str]] = {}
    if file is not None:
        for key, value in _read_file(file).items():
            given[key] = (_as_text(value), f"{key} in {file}")
    for name, text in environment.items():
        if name.startswith("GATEWAY_") and name != "GATEWAY_CONFIG":
            given[name.removeprefix("GATEWAY_").lower()] = (text, name)
    for key, text in flags.items():
        given[key] = (text, f"--{key.replace('_', '-')}")
    values: dict[str, Any] = {}
    for key, (text, where) in given.items():
        if key not in known:
            raise ConfigError(f"{where}: there is no such setting; `cdp-gateway serve --help` lists them")
        try:
            values[key] = known[key].metadata["read"](text)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from None
    config = Config(**values)
    _check(config)
    return config


def _check(config: Config) -> None:
    if config.no_auth and config.tenants_file is not None:
        raise ConfigError("no_auth: asks for no credentials, while tenants_file has them; set one of the two")
    if config.no_auth and not is_loopback(config.host):
        raise ConfigError("no_auth: only on a loopback address; set a token or --host 127.0.0.1")
    for name, least in (("browser_memory", 256 << 20), ("browser_processes", 16), ("browser_disk", 64 << 20)):
        if getattr(config, name) < least:
            raise ConfigError(f"{name}: at least {least} is wanted, below no browser gets to its first page")
    if config.extensions is not None and "," in str(config.extensions):
        raise ConfigError("extensions: a path without a comma is wanted, which Chromium takes for the next one")
    if config.snapshot_versions == 0:
        raise ConfigError("snapshot_versions: at least 1 is wanted")
    if config.checkpoint_interval < 1:
        raise ConfigError("checkpoint_interval: at least 1s is wanted")
    if (config.tls_cert is None) != (config.tls_key is None):
        missing = "tls_key" if config.tls_key is None else "tls_cert"
        raise ConfigError(f"{missing}: tls_cert and tls_key are wanted both, or neither")
    for name in ("max_connections", "max_connections_per_address"):
        if getattr(config, name) == 0:
            raise ConfigError(f"{name}: at least 1 is wanted")
    for name in ("head_timeout", "idle_timeout", "stall_timeout", "socket_stall_timeout"):
        if getattr(config, name) <= 0:
            raise ConfigError(f"{name}: more than 0 is wanted")
    for name in ("max_line", "max_head"):
        if getattr(config, name) < 1024:
            raise ConfigError(f"{name}: at least 1KiB is wanted")
    if config.redis_url is not None:
        _check_fleet(config)
    if config.max_sessions == 0:
        raise ConfigError("max_sessions: at least 1 is wanted")


def _check_fleet(config: Config) -> None:
    if config.cluster_key is None:
        raise ConfigError("cluster_key: wanted with redis_url, the same on all nodes; one is: openssl rand -base64 32")
    if config.token is None and config.tenants_file is None and not config.no_auth:
        raise ConfigError("token: with redis_url all nodes must know the same; set token or tenants_file")
    if config.snapshot_store is None:
        raise ConfigError("snapshot_store: wanted with redis_url, the same for all nodes: file:DIR or s3://BUCKET")
    if config.node_address is None and (config.port == 0 or config.host in ("0.0.0.0", "::")):
        raise ConfigError("node_address: wanted with redis_url, where host and port do not say how others reach us")
    if config.node_timeout < 1:
        raise ConfigError("node_timeout: at least 1s is wanted")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _read_file(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"config: {file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config: {file} is not TOML: {error}") from None


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value)
