"""docs/operations.md names what there is, and its examples are good for the programs that they are for."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gateway.config import Config, load
from tests.kubernetes.rendering import K8S, ROOT

TEXT = (ROOT / "docs/operations.md").read_text()
FLEET = {"GATEWAY_CLUSTER_KEY": "k" * 44, "GATEWAY_REDIS_URL": "redis://redis:6379/0", "GATEWAY_TOKEN": "t" * 32}


def example(language: str) -> str:
    """The one block in that language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


@pytest.mark.parametrize("place", ["Dockerfile", "docs/operations.md", "k8s"])
def test_every_setting_that_is_named_there_is(place: str) -> None:
    path = ROOT / place
    paths = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    named = {name for each in paths for name in re.findall(r"\bGATEWAY_[A-Z_]*[A-Z]", each.read_text())}
    known = {f"GATEWAY_{name.upper()}" for name in Config.__dataclass_fields__} | {"GATEWAY_CONFIG"}
    assert named
    assert named <= known


def test_every_alarm_is_explained() -> None:
    groups = yaml.safe_load((K8S / "components/monitoring/rules.yaml").read_text())["spec"]["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"]]
    text = (ROOT / "docs/operations.md").read_text()
    assert len(alerts) == len(set(alerts)) > 8
    for alert in alerts:
        assert f"| `{alert}` |" in text
    assert set(re.findall(r"\| `(Gateway\w+)` \|", text)) == set(alerts)


def test_every_setting_in_words_there_is() -> None:
    # Words in backquotes that look like settings, but for other programs' and the gateway's own events and answers.
    others = {
        "browser_not_started",
        "drain_incomplete",
        "warm_launch_failed",
        "sys_chroot",
        "write_files",
        "token_hashes",
        "save_failed",
        "store_unavailable",
        "snapshot_not_shared",
        "snapshots_wait",
        "shared_storage_away",
    }
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", TEXT)) - others
    assert {"drain_timeout", "max_sessions"} <= named
    assert {name for name in named if not name.startswith(("gateway_", "kube_"))} <= set(Config.__dataclass_fields__)


def test_every_place_that_is_named_there_is() -> None:
    places = set(re.findall(r"`((?:k8s|base|components|overlays|seccomp)/[\w/.-]+)`", TEXT))
    assert len(places) > 6
    for place in places:
        assert (ROOT / place).exists() or (K8S / place).exists(), place
    for link in re.findall(r"\]\(([\w./]+)(?:#[\w-]+)?\)", TEXT):
        assert (ROOT / "docs" / link).exists(), link


@pytest.mark.parametrize("event", ["drain_incomplete", "browser_not_started", "warm_launch_failed"])
def test_every_event_of_the_log_there_is(event: str) -> None:
    sources = [path.read_text() for package in ("gateway", "browser_pool") for path in (ROOT / package).rglob("*.py")]
    assert any(f'"{event}"' in source for source in sources)


def test_the_unit_starts_a_node() -> None:
    lines = example("ini").splitlines()
    given = dict(line.removeprefix("Environment=").split("=", 1) for line in lines if line.startswith("Environment="))
    config = load({}, given | FLEET, None)
    assert config.node_address == "http://10.0.0.3:3000"
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign,assignment]
    unit.read_string("\n".join(line for line in lines if not line.startswith("Environment=")))
    assert int(unit["Service"]["TimeoutStopSec"]) >= config.drain_timeout + 30
    assert unit["Service"]["KillMode"] == "process"  # else systemd ends browsers before they are saved


def test_the_compose_file_starts_two_nodes() -> None:
    found = yaml.safe_load(example("yaml"))
    assert set(found["services"]) == {"redis", "node1", "node2"}
    for name in ("node1", "node2"):
        service = found["services"][name]
        image = {"GATEWAY_HOST": "0.0.0.0", "GATEWAY_PORT": "3000"}
        config = load({}, image | service["environment"] | FLEET, None)
        assert config.node == f"http://{name}:3000"
        assert service["ports"][0].endswith(f":{config.port}")
        assert int(service["stop_grace_period"].removesuffix("m")) * 60 >= config.drain_timeout + 30
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(found["volumes"])
        assert service["security_opt"][1] == "seccomp=k8s/seccomp/cdp-gateway.json"


@pytest.mark.skipif(shutil.which("nginx") is None, reason="takes nginx")
def test_nginx_takes_its_example(tmp_path: Path) -> None:
    server = example("nginx").replace("listen 443 ssl", "listen 127.0.0.1:1")
    file = tmp_path / "nginx.conf"
    file.write_text(f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; {server} }}")
    words = ["nginx", "-t", "-q", "-p", str(tmp_path), "-c", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
