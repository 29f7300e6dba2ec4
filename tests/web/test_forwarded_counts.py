"""What is counted of requests that other nodes answer, as Prometheus reads it."""

from prometheus_client import CollectorRegistry, generate_latest

from gateway.web.forwarded_counts import Forwarded


def test_what_prometheus_is_told() -> None:
    open_now = 0
    counted = Forwarded(lambda: open_now)
    registry = CollectorRegistry()
    registry.register(counted)
    text = generate_latest(registry).decode()
    assert 'gateway_forwarded_total{kind="http"} 0.0' in text, "there before the first, so that rates begin at once"
    counted.add("http", 0.25)
    counted.add("http", 0.5)
    counted.add("websocket", 1.0)
    counted.failed += 1
    open_now = 7
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    assert lines == [
        'gateway_forwarded_total{kind="http"} 2.0',
        'gateway_forwarded_total{kind="websocket"} 1.0',
        "gateway_forward_seconds_count 3.0",
        "gateway_forward_seconds_sum 1.75",
        "gateway_forward_failures_total 1.0",
        "gateway_forwarded_open 7.0",
    ]
