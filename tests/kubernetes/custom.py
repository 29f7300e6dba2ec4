"""What KEDA's and the Prometheus operator's objects may have, as JSON Schema: fields that k8s/ could use.

Closed: what is not named here is an error, also where the operators would only ignore it. KEDA 2.16, operator 0.80.
"""

from typing import Any

TEXT, COUNT, YES = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
DURATION = {"type": "string", "pattern": r"\A[0-9]+(ms|s|m|h)\Z"}


def fields(required: str, **known: Any) -> dict[str, Any]:
    """An object of these fields; `required` names those that must be there."""
    return {"type": "object", "properties": known, "required": required.split(), "additionalProperties": False}


def every(item: Any) -> dict[str, Any]:
    """A list of one or more."""
    return {"type": "array", "items": item, "minItems": 1}


def whole(version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object of that kind."""
    metadata = fields("name", name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS)
    return fields(
        "apiVersion kind metadata spec",
        apiVersion={"const": version},
        kind={"const": kind},
        metadata=metadata,
        spec=spec,
    )


KEY = fields("name key", name=TEXT, key=TEXT, optional=YES)
SCHEMAS = {
    "ScaledObject": whole(
        "keda.sh/v1alpha1",
        "ScaledObject",
        fields(
            "scaleTargetRef triggers",
            scaleTargetRef=fields("name", apiVersion=TEXT, kind=TEXT, name=TEXT, envSourceContainerName=TEXT),
            pollingInterval=COUNT,
            cooldownPeriod=COUNT,
            initialCooldownPeriod=COUNT,
            idleReplicaCount=COUNT,
            minReplicaCount=COUNT,
            maxReplicaCount=COUNT,
            fallback=fields("failureThreshold replicas", failureThreshold=COUNT, replicas=COUNT),
            advanced=fields(
                "",
                restoreToOriginalReplicaCount=YES,
                # An object of autoscaling/v2: looked at with Kubernetes' own schema.
                horizontalPodAutoscalerConfig=fields("", name=TEXT, behavior={"type": "object"}),
            ),
            triggers=every(
                fields(
                    "type metadata",
                    type={"const": "prometheus"},
                    name=TEXT,
                    metricType={"enum": ["AverageValue", "Value"]},
                    useCachedMetrics=YES,
                    authenticationRef=fields("name", name=TEXT, kind=TEXT),
                    metadata=fields(
                        "serverAddress query threshold",
                        serverAddress=TEXT,
                        query=TEXT,
                        threshold={"type": "string", "pattern": r"\A[0-9.]+\Z"},
                        activationThreshold={"type": "string", "pattern": r"\A[0-9.]+\Z"},
                        ignoreNullValues={"enum": ["true", "false"]},
                        namespace=TEXT,
                        customHeaders=TEXT,
                        unsafeSsl={"enum": ["true", "false"]},
                        authModes=TEXT,
                    ),
                )
            ),
        ),
    ),
    "PodMonitor": whole(
        "monitoring.coreos.com/v1",
        "PodMonitor",
        fields(
            "selector podMetricsEndpoints",
            jobLabel=TEXT,
            podTargetLabels=every(TEXT),
            namespaceSelector={"type": "object"},
            selector=fields("matchLabels", matchLabels=TEXTS),
            podMetricsEndpoints=every(
                fields(
                    "port",
                    port=TEXT,
                    path=TEXT,
                    scheme={"enum": ["http", "https"]},
                    interval=DURATION,
                    scrapeTimeout=DURATION,
                    filterRunning=YES,
                    honorLabels=YES,
                    authorization=fields("credentials", type=TEXT, credentials=KEY),
                )
            ),
        ),
    ),
    "PrometheusRule": whole(
        "monitoring.coreos.com/v1",
        "PrometheusRule",
        fields(
            "groups",
            groups=every(
                fields(
                    "name rules",
                    name=TEXT,
                    interval=DURATION,
                    rules=every(
                        {
                            **fields(
                                "expr",
                                alert=TEXT,
                                record=TEXT,
                                expr=TEXT,
                                labels=TEXTS,
                                annotations=TEXTS,
                                **{"for": DURATION},
                            ),
                            "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
                        }
                    ),
                )
            ),
        ),
    ),
}
