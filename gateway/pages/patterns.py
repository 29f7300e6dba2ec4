"""Regular expressions of callers, searched in time that grows with the text alone: RE2 has no backtracking."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import re2

from gateway.errors import Code, GatewayError

LONGEST = 2000  # characters of a pattern
MEMORY = 1 << 20  # bytes that one may take once compiled


@dataclass(frozen=True)
class Pattern:
    """One that JavaScript would take, but for what RE2 has not: look-around and back-references."""

    text: str

    @cached_property
    def _compiled(self) -> Any:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = MEMORY
        return re2.compile(self.text, options)

    def found_in(self, text: str) -> bool:
        """Whether it matches anywhere in `text`."""
        return self._compiled.search(text) is not None


def pattern(text: str, field: str) -> Pattern:
    """The pattern; raises BAD_REQUEST naming `field`."""
    if len(text) > LONGEST:
        raise GatewayError(Code.BAD_REQUEST, f"{field}: at most {LONGEST} characters are taken")
    made = Pattern(text)
    try:
        made.found_in("")
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise GatewayError(
            Code.BAD_REQUEST, f"{field}: {why}; it is a regular expression without look-around and back-references"
        ) from None
    return made
