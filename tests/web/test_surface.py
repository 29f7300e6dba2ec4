import resource
from pathlib import Path

import pytest

from gateway.config import ConfigError, load
from gateway.web.surface import MOST, Surface
from tests.web.certificates import make


def surface(directory: Path, **settings: str) -> Surface:
    return Surface.of(load({"data_dir": str(directory), **settings}, {}, None))


def test_connections_as_many_as_files_can_be_open(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        bounds = surface(tmp_path).connections.bounds
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1]), "raised as far as it goes"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert 16 <= bounds.connections <= MOST
    assert bounds.per_address == bounds.connections // 2


def test_bounds_as_they_are_set(tmp_path: Path) -> None:
    settings = {"max_connections": "100", "max_connections_per_address": "7", "max_head": "4KiB", "head_timeout": "2s"}
    bounds = surface(tmp_path, **settings, socket_stall_timeout="1m").connections.bounds
    assert (bounds.connections, bounds.per_address, bounds.head) == (100, 7, 4096)
    assert (bounds.head_time, bounds.socket_stall_time, bounds.period) == (2, 60, 0.5)


def test_a_certificate_only_if_it_is_set(tmp_path: Path) -> None:
    assert surface(tmp_path).certificate is None
    crt, key = make(tmp_path)
    assert surface(tmp_path, tls_cert=str(crt), tls_key=str(key)).certificate is not None
    with pytest.raises(ConfigError, match="tls_cert"):
        surface(tmp_path, tls_cert=str(key), tls_key=str(key))


@pytest.mark.parametrize(("setting", "file"), [("", "audit.log"), ("-", None), ("none", None), ("x/y.log", "y.log")])
def test_where_the_audit_log_goes(tmp_path: Path, setting: str, file: str | None) -> None:
    audit = surface(tmp_path, audit_log=setting).audit
    assert (audit is None) == (setting == "none")
    if audit is not None:
        assert (None if audit.path is None else audit.path.name) == file
