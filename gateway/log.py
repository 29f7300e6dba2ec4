"""Structured logs on stderr, with every secret taken out on the way.

Two nets: keys that name a secret lose their value, and every secret the process knows or hands out in a
URL loses its text wherever it stands.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

HIDDEN = "[hidden]"
SECRET_KEYS = frozenset(
    {"token", "apikey", "api_key", "authorization", "cookie", "cookies", "auth", "secret", "context"}
)
_PATTERNS = (
    re.compile(r"((?:token|apiKey|auth)=)[^&\s\"']+", re.IGNORECASE),
    re.compile(r"(Bearer\s+)[^\s\"']+", re.IGNORECASE),
    # a capability: a session id, a dot, a mac (tenancy/access.py)
    re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.)[A-Za-z0-9_-]{20,}"),
)


class Redactor:
    """A structlog processor. `secrets` are texts that must never be printed."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        self._secrets = tuple(secret for secret in secrets if secret)

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: HIDDEN if key.lower() in SECRET_KEYS else self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                key: HIDDEN if str(key).lower() in SECRET_KEYS else self._clean(item) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(repr(value))  # as the renderers would, which come too late for us

    def text(self, value: str) -> str:
        """`value` without secrets."""
        for secret in self._secrets:
            value = value.replace(secret, HIDDEN)
        for pattern in _PATTERNS:
            value = pattern.sub(rf"\1{HIDDEN}", value)
        return value


def configure(level: str, form: str | None, secrets: tuple[str, ...]) -> None:
    """Set up structlog and the standard library's logging (aiohttp, asyncio) to the same stderr."""
    human = form == "human" or (form is None and sys.stderr.isatty())
    redactor = Redactor(secrets)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[structlog.typing.Processor] = (
        [
            redactor,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
        if human
        else [structlog.processors.format_exc_info, redactor, structlog.processors.JSONRenderer()]
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *([structlog.processors.format_exc_info] if human else []), *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                *render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.INFO))
    # aiohttp's access log would print query strings; the middleware writes ours.
    logging.getLogger("aiohttp.access").disabled = True
