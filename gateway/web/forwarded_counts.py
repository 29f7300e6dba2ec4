"""How much other nodes have answered, for Prometheus."""

from collections import Counter
from collections.abc import Callable
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

Kind = Literal["http", "websocket"]
KINDS: tuple[Kind, ...] = ("http", "websocket")


class Forwarded(Collector):
    """Requests that another node answered, by kind, and those that none did. `open`: websockets that last now."""

    def __init__(self, open: Callable[[], int]) -> None:
        self.by_kind: Counter[Kind] = Counter()
        self.failed = 0
        self.seconds = 0.0  # in all, to the end of the answers, or the 101 of a websocket
        self._open = open

    def add(self, kind: Kind, seconds: float) -> None:
        """One more was answered, after so long."""
        self.by_kind[kind] += 1
        self.seconds += seconds

    def collect(self) -> list[Metric]:
        """What Prometheus asks for (`web/health.py`)."""
        counted = CounterMetricFamily("gateway_forwarded", "Requests that another node answered", labels=["kind"])
        for kind in KINDS:
            counted.add_metric([kind], self.by_kind[kind])
        answered = self.by_kind.total()
        words = "From a request's forwarding to the end of the other node's answer, or the 101 of a websocket"
        return [
            counted,
            SummaryMetricFamily("gateway_forward_seconds", words, count_value=answered, sum_value=self.seconds),
            CounterMetricFamily("gateway_forward_failures", "Other nodes that did not answer", self.failed),
            GaugeMetricFamily("gateway_forwarded_open", "Websockets that another node answers", self._open()),
        ]
