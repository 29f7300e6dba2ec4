"""What k8s/ comes to: every overlay and component, rendered by `kubectl kustomize` or `kustomize build`."""

import base64
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
K8S = ROOT / "k8s"
# Name: components on top of the production overlay.
VARIANTS = {
    "production": (),
    "keda": ("keda",),
    "keda-when-empty": ("keda", "keda-when-empty"),
    "hpa": ("hpa",),
    "managed-redis": ("managed-redis",),
}


def command() -> list[str] | None:
    """What renders a directory on this machine, or None."""
    if found := shutil.which("kubectl"):
        return [found, "kustomize"]
    if found := shutil.which("kustomize"):
        return [found, "build"]
    return None


@dataclass(frozen=True)
class Object:
    """One object of Kubernetes, as it would be applied."""

    body: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["spec"]
        return found


class Rendered:
    """All objects of one variant."""

    def __init__(self, text: str) -> None:
        self.objects = [Object(body) for body in yaml.safe_load_all(text) if body]

    def of(self, kind: str) -> list[Object]:
        """All of a kind."""
        return [item for item in self.objects if item.kind == kind]

    def one(self, kind: str, name: str) -> Object:
        """The one of that name, or whose name is that with a hash of its content."""
        shape = re.compile(rf"{re.escape(name)}(-[a-z0-9]{{10}})?\Z")
        found = [item for item in self.of(kind) if shape.match(item.name)]
        assert len(found) == 1, f"{kind} {name}: {[item.name for item in self.objects]}"
        return found[0]

    def has(self, kind: str, name: str) -> bool:
        """Whether there is one of exactly that name."""
        return any(item.name == name for item in self.of(kind))

    def data(self, kind: str, name: str) -> dict[str, str]:
        """The values of a ConfigMap, or of a Secret in clear."""
        body = self.one(kind, name).body["data"]
        return {key: base64.b64decode(value).decode() if kind == "Secret" else value for key, value in body.items()}

    @property
    def pod(self) -> dict[str, Any]:
        """The gateway's pod."""
        found: dict[str, Any] = self.one("StatefulSet", "cdp-gateway").spec["template"]["spec"]
        return found

    @property
    def container(self) -> dict[str, Any]:
        """Its one container."""
        (found,) = self.pod["containers"]
        assert isinstance(found, dict)
        return found

    def environment(self, pod_name: str) -> dict[str, str]:
        """The variables that the gateway finds in that pod, as the kubelet makes them."""
        found: dict[str, str] = {}
        for source in self.container["envFrom"]:
            found |= self.data("ConfigMap", source["configMapRef"]["name"])
        fields = {"metadata.name": pod_name, "metadata.namespace": "cdp-gateway"}
        for item in self.container["env"]:
            if "value" in item:
                found[item["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], item["value"])
            elif "fieldRef" in item["valueFrom"]:
                found[item["name"]] = fields[item["valueFrom"]["fieldRef"]["fieldPath"]]
            else:
                reference = item["valueFrom"]["secretKeyRef"]
                if reference.get("optional") and not self.has("Secret", reference["name"]):
                    continue
                found[item["name"]] = self.data("Secret", reference["name"])[reference["key"]]
        return found


def copied(directory: Path) -> Path:
    """A copy of k8s/ in `directory`, without anybody's secrets."""
    own = {"gateway.env", "metrics.env", "tenants.toml"}
    return Path(shutil.copytree(K8S, directory / "k8s", ignore=lambda _, names: own & {*names}))


def with_secrets(k8s: Path) -> Path:
    """The same with secrets made as the examples say."""
    place = k8s / "overlays" / "production" / "secrets"
    (place / "gateway.env").write_text(
        "\n".join(
            (
                f"GATEWAY_CLUSTER_KEY={base64.b64encode(secrets.token_bytes(32)).decode()}",
                f"GATEWAY_ENCRYPTION_KEY={base64.b64encode(secrets.token_bytes(32)).decode()}",
                f"REDIS_PASSWORD={secrets.token_hex(32)}",
                "GATEWAY_REDIS_URL=rediss://:secret@redis.example.com:6380/0",
            )
        )
        + "\n"
    )
    (place / "metrics.env").write_text(f"TOKEN={secrets.token_hex(32)}\n")
    example = (place / "tenants.toml.example").read_text()
    (place / "tenants.toml").write_text(re.sub(r"sha256:<[^>]*>", lambda _: f"sha256:{secrets.token_hex(32)}", example))
    return k8s


def render(directory: Path) -> subprocess.CompletedProcess[str]:
    """Its output, or what is wrong."""
    found = command()
    assert found is not None
    return subprocess.run([*found, str(directory)], capture_output=True, text=True, timeout=60, check=False)


def variants(directory: Path) -> dict[str, Rendered]:
    """All of VARIANTS, rendered."""
    k8s = with_secrets(copied(directory))
    found = {}
    for name, components in VARIANTS.items():
        place = k8s / "overlays" / f"test-{name}"
        place.mkdir()
        body = {"resources": ["../production"], "components": [f"../../components/{each}" for each in components]}
        (place / "kustomization.yaml").write_text(yaml.safe_dump(body))
        done = render(place)
        assert done.returncode == 0, done.stderr
        found[name] = Rendered(done.stdout)
    return found


def files() -> Iterator[Path]:
    """Every YAML file of k8s/."""
    yield from sorted(K8S.rglob("*.yaml"))
