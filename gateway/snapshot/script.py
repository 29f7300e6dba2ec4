"""Runs the functions of `storage.js` in a page, over CDP's Runtime domain."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from browser_pool.devtools import DevTools


class ScriptFailed(Exception):
    """The page's JavaScript threw; the message is the error's own."""


@cache
def _source() -> str:
    return files("gateway.snapshot").joinpath("storage.js").read_text("utf-8").rstrip()


async def run(
    devtools: DevTools, session: str, function: str, *arguments: object, context: int | None = None, timeout: float
) -> Any:
    """Call one function of `storage.js` and return its result, decoded; `context` is an execution context's id.

    Raises ScriptFailed, and DevToolsError and DevToolsGone as `DevTools.send`.
    """
    # JSON in a string literal: as an object literal a key "__proto__" would set the prototype.
    literals = ", ".join(f"JSON.parse({json.dumps(json.dumps(argument))})" for argument in arguments)
    params: dict[str, Any] = {
        "expression": f"{_source()}.{function}({literals})",
        "awaitPromise": True,
        "returnByValue": True,
        "silent": True,  # a debugging client that stops on exceptions must not stop here
    }
    if context is not None:
        params["contextId"] = context
    reply = await devtools.send("Runtime.evaluate", params, session=session, timeout=timeout)
    if details := reply.get("exceptionDetails"):
        raise ScriptFailed(str(details.get("exception", {}).get("description", details.get("text"))).partition("\n")[0])
    return json.loads(reply["result"]["value"])
