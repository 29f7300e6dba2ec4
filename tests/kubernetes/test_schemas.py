"""Every object of k8s/ is one that Kubernetes, KEDA and the Prometheus operator would take; every query is PromQL."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import jsonschema
import kubernetes_validate
import promql_parser
import pytest
import yaml

from tests.kubernetes.custom import SCHEMAS
from tests.kubernetes.rendering import K8S, Object, Rendered, copied, files, render

OLDEST, NEWEST = "1.27.0", "1.34.0"
# Objects of kustomize and of prometheus-adapter, which no cluster is given.
NOT_APPLIED = ("kustomization.yaml", "adapter.yaml")


CUSTOM = {kind: jsonschema.Draft202012Validator(schema) for kind, schema in SCHEMAS.items()}


def check(item: Object) -> None:
    """Raises where no cluster would take it."""
    _check(json.dumps(item.body, sort_keys=True))


@cache
def _check(text: str) -> None:
    """Most objects are the same in all variants, and a schema takes a tenth of a second."""
    body = json.loads(text)
    if body["kind"] in CUSTOM:
        CUSTOM[body["kind"]].validate(body)
        return
    for version in (OLDEST, NEWEST):
        kubernetes_validate.validate(body, version, strict=True)


def test_every_object_is_valid(variant: Rendered) -> None:
    assert len(variant.objects) > 10
    for item in variant.objects:
        check(item)


@pytest.mark.parametrize("path", list(files()), ids=lambda path: str(path.relative_to(K8S)))
def test_every_file_is_valid_by_itself(path: Path) -> None:
    bodies = list(yaml.safe_load_all(path.read_text()))
    assert bodies
    for body in bodies:
        if path.name not in NOT_APPLIED and path.name != "nodes.yaml":  # a patch is no whole object
            check(Object(body))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("StatefulSet", ("spec", "replica")),
        ("NetworkPolicy", ("spec", "ingres")),
        ("ScaledObject", ("spec", "maxReplicas")),
        ("PodMonitor", ("spec", "podMetricsEndpoint")),
        ("PrometheusRule", ("spec", "rules")),
    ],
    ids=lambda value: value if isinstance(value, str) else value[-1],
)
def test_a_field_that_there_is_not_is_seen(rendered: dict[str, Rendered], kind: str, wrong: tuple[str, str]) -> None:
    body = yaml.safe_load(yaml.safe_dump(rendered["keda"].of(kind)[0].body))
    check(Object(body))
    body[wrong[0]][wrong[1]] = 1
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(Object(body))


def test_it_does_not_render_without_secrets(tmp_path: Path, rendered: dict[str, Rendered]) -> None:
    done = render(copied(tmp_path) / "overlays" / "production")
    assert done.returncode != 0
    assert "secrets/" in done.stderr


def expressions() -> dict[str, str]:
    """Every query in k8s/, by where it is."""
    found: dict[str, str] = {}
    for group in yaml.safe_load((K8S / "components/monitoring/rules.yaml").read_text())["spec"]["groups"]:
        found |= {rule["alert"]: rule["expr"] for rule in group["rules"]}
    trigger = yaml.safe_load((K8S / "components/keda/scaledobject.yaml").read_text())["spec"]["triggers"][0]
    found["keda"] = trigger["metadata"]["query"]
    (patch,) = yaml.safe_load((K8S / "components/keda-when-empty/kustomization.yaml").read_text())["patches"]
    (step,) = yaml.safe_load(patch["patch"])
    found["keda, when empty"] = step["value"]["metadata"]["query"]
    (rule,) = yaml.safe_load((K8S / "components/hpa/adapter.yaml").read_text())["externalRules"]
    found["adapter"] = rule["metricsQuery"].replace("<<.LabelMatchers>>", 'namespace="cdp-gateway"')
    found["adapter series"] = rule["seriesQuery"]
    return found


EXPRESSIONS = expressions()


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_query_can_be_read(name: str) -> None:
    promql_parser.parse(EXPRESSIONS[name])


def told() -> set[str]:
    """The metrics of the gateway, as Prometheus names them."""
    source = "".join(path.read_text() for path in (K8S.parent / "gateway").rglob("*.py"))
    shape = re.compile(r"(Counter|Gauge)MetricFamily\(\s*\"(gateway_\w+)\"")
    return {name + ("_total" if kind == "Counter" else "") for kind, name in shape.findall(source)}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_metric_that_is_asked_for_is_told(name: str) -> None:
    asked = set(re.findall(r"\bgateway_\w+", EXPRESSIONS[name]))
    assert asked <= told()
    assert "gateway_browsers_used" in told()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="takes Prometheus' promtool")
def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    body = yaml.safe_load((K8S / "components/monitoring/rules.yaml").read_text())["spec"]
    rules.write_text(yaml.safe_dump(body))
    done = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
