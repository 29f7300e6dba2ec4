"""The Redis of k8s/: a real one takes its configuration, keeps what it has, and answers its own probes alone."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.rendering import K8S
from tests.ports import free_port
from tests.redis_server import PROGRAM

SECRET = "s3cret"


def redis_container() -> dict[str, Any]:
    """The container in the base, before anything is rendered."""
    for body in yaml.safe_load_all((K8S / "base/redis.yaml").read_text()):
        if body["kind"] == "StatefulSet":
            (found,) = body["spec"]["template"]["spec"]["containers"]
            return dict(found)
    raise AssertionError("no StatefulSet")


CONTAINER = redis_container()


def probe(name: str, port: int, password: str = SECRET) -> subprocess.CompletedProcess[str]:
    """Run a probe's command as the kubelet would, but for the port."""
    program, *rest = CONTAINER[name]["exec"]["command"]
    words = [program, "-p", str(port), *rest]
    environment = {**os.environ, "REDISCLI_AUTH": password}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A Redis with the arguments of the container, once its startup probe passes."""
    free = free_port()
    named = {"/etc/redis/redis.conf": str(K8S / "base/redis.conf"), "$(REDISCLI_AUTH)": SECRET}
    _, *rest = [named.get(word, word) for word in CONTAINER["args"]]
    words = [PROGRAM, *rest, "--port", str(free), "--dir", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
        try:
            end = time.monotonic() + 60
            while probe("startupProbe", free).returncode != 0:
                assert server.poll() is None
                assert time.monotonic() < end
            yield free
        finally:
            server.terminate()


def test_it_runs_as_configured(port: int, tmp_path: Path) -> None:
    assert shutil.which("redis-cli")
    assert probe("readinessProbe", port).stdout.strip() == "PONG"
    assert probe("readinessProbe", port, password="another").returncode != 0
    words = ["redis-cli", "-p", str(port), "--no-auth-warning", "-a", SECRET]
    for name, value in (("appendonly", "yes"), ("maxmemory-policy", "noeviction"), ("maxmemory", str(512 << 20))):
        said = subprocess.run([*words, "config", "get", name], capture_output=True, text=True, check=True).stdout
        assert said.split() == [name, value]
    assert (tmp_path / "appendonlydir").is_dir() or (tmp_path / "appendonly.aof").exists()
    limit = CONTAINER["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("Gi")) << 30 >= 2 * (512 << 20)
