"""How settings' texts are read; what of them is refused, `test_config.py` has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import values


@pytest.mark.parametrize(
    ("read", "text", "meant"),
    [
        (values.duration, " 30s ", 30.0),
        (values.duration, "0.5m", 30.0),
        (values.duration, "90d", 90 * 86400.0),
        (values.duration, "20", 0.02),
        (values.size, "10", 10),
        (values.size, "2GiB", 2 << 30),
        (values.size, "1 KiB", 1024),
        (values.switch, "No", False),
        (values.switch, "YES", True),
        (values.words, " a ,,b, ", ("a", "b")),
        (values.path, "~/x", Path.home() / "x"),
        (values.path, "x", Path("x").absolute()),
        (values.node, "n:1", "http://n:1"),
        (values.node, "https://[::1]:3/", "https://[::1]:3"),
        (values.redis, "redis://:secret@r:6380/2", "redis://:secret@r:6380/2"),
        (values.redis, "rediss://r", "rediss://r"),
        (values.redis, "unix:///run/redis.sock", "unix:///run/redis.sock"),
        (values.redis, "redis+sentinel://:pw@a:1,b/main/2", "redis+sentinel://:pw@a:1,b/main/2"),
        (values.snapshots, "file:/srv/s", "file:/srv/s"),
        (values.snapshots, "s3://bucket/a/b?region=eu-1", "s3://bucket/a/b?region=eu-1"),
    ],
)
def test_how_texts_are_read(read: Callable[[str], Any], text: str, meant: object) -> None:
    assert read(text) == meant
