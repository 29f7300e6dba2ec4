"""What all tests of the gateway's port share."""

import pytest

from gateway.web import forward, forward_http, splice


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other node is given up because the machine is busy; a test of a time sets its own."""
    for module, name in (
        (forward, "CONNECT"),
        (forward_http, "CONNECT"),
        (splice, "BOUNDARY_TIMEOUT"),
        (splice, "CLOSE_TIMEOUT"),
    ):
        monkeypatch.setattr(module, name, 60.0)
