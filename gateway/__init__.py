"""A websocket and REST gateway to live Chromium browsers that never loses them."""

__version__ = "0.1.0"
