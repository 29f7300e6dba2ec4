"""k8s/ says the same as the program: settings, ports, probes, times, sizes; and its parts find each other."""

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from browser_pool.memory import BROWSER_COST, RESERVE
from gateway.config import Config, ConfigError, load
from gateway.tenancy.access import Role
from gateway.tenancy.tenants import BadTenants, read_tenants
from gateway.web.rights import RIGHTS, Right
from tests.kubernetes.rendering import K8S, Object, Rendered

GIB = 1 << 30
EXAMPLES = K8S / "overlays/production/secrets"
WRITING = 30  # seconds that must be left for what is being written when the drain's time is over


def settings(rendered: Rendered, ordinal: int = 1) -> Config:
    """What the gateway in that pod takes from its environment."""
    return load({}, rendered.environment(f"cdp-gateway-{ordinal}"), None)


def test_the_gateway_takes_its_settings(variant: Rendered) -> None:
    config = settings(variant)
    assert config.redis_url is not None
    assert config.redis_url.startswith(("redis://:", "rediss://:"))
    assert "$(" not in config.redis_url
    assert config.cluster_key is not None
    assert len(config.encryption_key) == 1
    assert config.external_url == "https://browsers.example.com"


def test_ports_are_one(variant: Rendered) -> None:
    config = settings(variant)
    (port,) = variant.container["ports"]
    assert (port["containerPort"], config.host) == (config.port, "0.0.0.0")
    for name in ("cdp-gateway", "cdp-gateway-nodes"):
        (served,) = variant.one("Service", name).spec["ports"]
        assert served["targetPort"] == port["name"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert variant.container[probe]["httpGet"]["port"] == port["name"]
    (way,) = variant.one("NetworkPolicy", "cdp-gateway").spec["ingress"]
    assert [each["port"] for each in way["ports"]] == [config.port]


def test_a_node_is_known_by_a_name_that_leads_to_it(variant: Rendered) -> None:
    nodes = variant.one("StatefulSet", "cdp-gateway").spec["serviceName"]
    service = variant.one("Service", nodes).spec
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)  # one that drains, too
    assert service["ports"][0]["port"] == settings(variant).port
    for ordinal in (0, 7):
        expected = f"http://cdp-gateway-{ordinal}.{nodes}.cdp-gateway.svc:3000"
        assert settings(variant, ordinal).node_address == expected


def test_any_node_does_for_any_client(variant: Rendered) -> None:
    assert variant.one("Service", "cdp-gateway").spec["sessionAffinity"] == "None"


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_ask_what_needs_no_credential(variant: Rendered, probe: str) -> None:
    assert RIGHTS[f"GET {variant.container[probe]['httpGet']['path']}"] is Right.ANYONE


def test_who_scrapes_has_a_credential(variant: Rendered) -> None:
    (endpoint,) = variant.one("PodMonitor", "cdp-gateway").spec["podMetricsEndpoints"]
    assert RIGHTS[f"GET {endpoint['path']}"] is Right.NODE
    assert endpoint["port"] == variant.container["ports"][0]["name"]
    credentials = endpoint["authorization"]["credentials"]
    assert variant.has("Secret", credentials["name"])
    assert len(variant.data("Secret", credentials["name"])[credentials["key"]]) == 64
    book = read_tenants(variant.data("Secret", "cdp-gateway-tenants")["tenants.toml"], ())
    assert book.tenants["metrics"].role is Role.ADMIN


def slept(rendered: Rendered) -> int:
    """Seconds that pass before SIGTERM."""
    program, seconds = rendered.container["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    return int(seconds)


def test_there_is_time_to_drain(variant: Rendered) -> None:
    config = settings(variant)
    assert variant.pod["terminationGracePeriodSeconds"] >= slept(variant) + config.drain_timeout + WRITING
    assert slept(variant) >= 3
    alerts = [rule for group in variant.one("PrometheusRule", "cdp-gateway").spec["groups"] for rule in group["rules"]]
    (long,) = [rule for rule in alerts if rule["alert"] == "GatewayDrainLong"]
    assert int(long["for"].removesuffix("m")) * 60 > config.drain_timeout + WRITING


def test_there_is_time_to_drain_in_the_base() -> None:
    text = (K8S / "base/settings.env").read_text()
    environment = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    drain = load({}, {"GATEWAY_DRAIN_TIMEOUT": environment["GATEWAY_DRAIN_TIMEOUT"]}, None).drain_timeout
    pods = [
        body for body in yaml.safe_load_all((K8S / "base/gateway.yaml").read_text()) if body["kind"] == "StatefulSet"
    ]
    assert pods[0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= drain + 5 + WRITING


def test_browsers_fit_in_the_memory(variant: Rendered) -> None:
    config, resources = settings(variant), variant.container["resources"]
    assert config.max_sessions is not None
    memory = int(resources["limits"]["memory"].removesuffix("Gi")) * GIB
    assert config.max_sessions * BROWSER_COST + RESERVE <= memory
    assert resources["requests"]["memory"] == resources["limits"]["memory"]  # never ended for another's sake
    assert config.browser_memory < memory


def test_what_is_written_has_a_volume(variant: Rendered) -> None:
    config = settings(variant)
    mounts = {Path(mount["mountPath"]): mount for mount in variant.container["volumeMounts"]}
    volumes = {volume["name"] for volume in variant.pod["volumes"]}
    volumes |= {
        claim["metadata"]["name"] for claim in variant.one("StatefulSet", "cdp-gateway").spec["volumeClaimTemplates"]
    }
    assert {mount["name"] for mount in mounts.values()} == volumes
    assert Path("/data") in config.data_dir.parents
    for place in ("/data", "/tmp", "/dev/shm"):
        assert "readOnly" not in mounts[Path(place)]
    assert config.tenants_file is not None
    assert mounts[config.tenants_file.parent]["readOnly"]
    (shared,) = [volume for volume in variant.pod["volumes"] if volume["name"] == "shm"]
    assert shared["emptyDir"]["medium"] == "Memory"
    assert "sizeLimit" in shared["emptyDir"]
    assert variant.container["securityContext"]["readOnlyRootFilesystem"]


def pods(rendered: Rendered) -> Iterator[tuple[Object, dict[str, Any]]]:
    """What makes pods, and the pods' own part."""
    for item in rendered.of("StatefulSet"):
        yield item, item.spec["template"]


def test_pods_have_no_privileges(variant: Rendered) -> None:
    for _, template in pods(variant):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"]["type"] in ("Localhost", "RuntimeDefault")
        assert not pod["automountServiceAccountToken"]
        assert not pod["enableServiceLinks"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert {kind for volume in pod["volumes"] for kind in volume} <= {
            "name", "configMap", "emptyDir", "persistentVolumeClaim", "secret"
        }  # fmt: skip
        for container in pod["containers"]:
            context = container["securityContext"]
            assert (context["allowPrivilegeEscalation"], context["privileged"]) == (False, False)
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"]
            assert not [port for port in container["ports"] if "hostPort" in port]
    for account in variant.of("ServiceAccount"):
        assert not account.body["automountServiceAccountToken"]
    (namespace,) = variant.of("Namespace")
    assert namespace.body["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_selectors_find_pods(variant: Rendered) -> None:
    labels = [template["metadata"]["labels"] for _, template in pods(variant)]
    selectors = [item.spec["selector"] for item in variant.of("Service")]
    for kind in ("StatefulSet", "PodDisruptionBudget", "PodMonitor"):
        selectors += [item.spec["selector"]["matchLabels"] for item in variant.of(kind)]
    selectors += [item.spec["podSelector"]["matchLabels"] for item in variant.of("NetworkPolicy")]
    for selector in selectors:
        assert any(selector.items() <= label.items() for label in labels), selector
    for label in labels:  # nothing is open to what no policy names
        assert (
            variant.one("NetworkPolicy", "cdp-gateway-nothing-else").spec["podSelector"]["matchLabels"].items()
            <= label.items()
        )


def references(value: Any) -> Iterator[tuple[str, str, str | None]]:
    """Kind, name and key of every Secret and ConfigMap that is named somewhere below, but for optional ones."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for word, kind, name in (
            ("secretKeyRef", "Secret", "name"),
            ("configMapRef", "ConfigMap", "name"),
            ("configMap", "ConfigMap", "name"),
            ("secret", "Secret", "secretName"),
        ):
            if word in value and not value[word].get("optional"):
                yield kind, value[word][name], value[word].get("key")
        for item in value.values():
            yield from references(item)


def test_what_is_named_is_there(variant: Rendered) -> None:
    found = [reference for _, template in pods(variant) for reference in references(template)]
    assert len(found) > 4
    for kind, name, key in found:
        assert variant.has(kind, name), f"{kind} {name}"
        assert key is None or key in variant.data(kind, name)


@pytest.mark.parametrize(("name", "kind"), [("keda", "ScaledObject"), ("hpa", "HorizontalPodAutoscaler")])
def test_autoscalers_have_the_say(rendered: dict[str, Rendered], name: str, kind: str) -> None:
    found = rendered[name]
    (scaler,) = found.of(kind)
    target = scaler.spec["scaleTargetRef"]
    nodes = found.one(target["kind"], target["name"])
    assert "replicas" not in nodes.spec
    behavior = (
        scaler.spec["behavior"]
        if kind == "HorizontalPodAutoscaler"
        else scaler.spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    )
    down = behavior["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= settings(found).drain_timeout  # as long as one takes to go
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 600}]
    assert "replicas" in rendered["production"].one("StatefulSet", "cdp-gateway").spec


def test_a_node_may_be_kept_for_as_long_as_it_is_used(rendered: dict[str, Rendered]) -> None:
    sessions, last = rendered["keda-when-empty"].one("ScaledObject", "cdp-gateway").spec["triggers"]
    assert [sessions] == rendered["keda"].one("ScaledObject", "cdp-gateway").spec["triggers"]
    nodes = rendered["keda-when-empty"].of("StatefulSet")[0].name
    assert f'statefulset="{nodes}"' in last["metadata"]["query"]
    assert f'"{nodes}-$1"' in last["metadata"]["query"]
    assert last["metadata"]["threshold"] == "1"  # what it says is the number of nodes


def test_both_autoscalers_ask_the_same(rendered: dict[str, Rendered]) -> None:
    (trigger,) = rendered["keda"].one("ScaledObject", "cdp-gateway").spec["triggers"]
    (metric,) = rendered["hpa"].one("HorizontalPodAutoscaler", "cdp-gateway").spec["metrics"]
    (rule,) = yaml.safe_load((K8S / "components/hpa/adapter.yaml").read_text())["externalRules"]
    assert rule["name"]["as"] == metric["external"]["metric"]["name"]
    bare = [re.sub(r"\{[^}]*\}", "", text) for text in (rule["metricsQuery"], trigger["metadata"]["query"])]
    assert bare[0] == bare[1]
    average = int(metric["external"]["target"]["averageValue"].removesuffix("m")) / 1000
    assert float(trigger["metadata"]["threshold"]) == average
    hpa = rendered["hpa"].one("HorizontalPodAutoscaler", "cdp-gateway").spec
    keda = rendered["keda"].one("ScaledObject", "cdp-gateway").spec
    assert keda["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == hpa["behavior"]


def reached(rendered: Rendered, address: str, port: int) -> bool:
    """Whether a gateway may open that address, as the network policy's blocks have it."""
    there = ipaddress.ip_address(address)
    for way in rendered.one("NetworkPolicy", "cdp-gateway").spec["egress"]:
        if not any(each["port"] <= port <= each.get("endPort", each["port"]) for each in way["ports"]):
            continue
        for block in (each["ipBlock"] for each in way["to"] if "ipBlock" in each):
            inside = there in ipaddress.ip_network(block["cidr"])
            if inside and not any(there in ipaddress.ip_network(each) for each in block.get("except", ())):
                return True
    return False


@pytest.mark.parametrize(
    "address",
    "10.1.2.3 100.64.0.1 127.0.0.1 169.254.169.254 172.20.0.1 192.168.1.1 224.0.0.1 255.255.255.255 ::1 "
    "::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1:: fd00::1 fe80::1 ff02::1".split(),
)
def test_browsers_do_not_reach_the_cluster(rendered: dict[str, Rendered], address: str) -> None:
    assert not reached(rendered["production"], address, 80)
    assert reached(rendered["production"], "93.184.216.34", 80)
    assert reached(rendered["production"], "2606:2800:220:1::1", 8443)


def test_redis_is_the_gateways_alone(rendered: dict[str, Rendered]) -> None:
    policy = rendered["production"].one("NetworkPolicy", "cdp-gateway-redis").spec
    assert policy["egress"] == []
    assert policy["ingress"] == [
        {
            "from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "cdp-gateway"}}}],
            "ports": [{"protocol": "TCP", "port": 6379}],
        }
    ]
    config = rendered["production"].data("ConfigMap", "cdp-gateway-redis")["redis.conf"]
    assert {"appendonly yes", "maxmemory-policy noeviction"} <= set(config.splitlines())
    assert not rendered["managed-redis"].has("StatefulSet", "cdp-gateway-redis")


@pytest.mark.parametrize("name", ["GATEWAY_CLUSTER_KEY", "GATEWAY_ENCRYPTION_KEY"])
def test_examples_are_refused_as_they_are(name: str) -> None:
    lines = (EXAMPLES / "gateway.env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    with pytest.raises(ConfigError, match=name):
        load({}, {name: given[name]}, None)
    with pytest.raises(BadTenants, match="sha256"):
        read_tenants((EXAMPLES / "tenants.toml.example").read_text(), ())


def test_no_secret_is_kept_here() -> None:
    for path in sorted(K8S.rglob("*")):
        if path.is_file() and path.name not in ("gateway.env", "metrics.env", "tenants.toml"):
            text = path.read_text()
            assert "kind: Secret\n" not in text, path
            assert not re.search(r"\b[0-9a-f]{32}|[A-Za-z0-9+/]{43}=", text), path
