"""Runs the functions of `storage.js` in a page, over CDP's Page and Runtime domains."""

import json
from collections.abc import Awaitable, Callable
from functools import cache, partial
from importlib.resources import files
from typing import Any

from browser_pool.devtools import DevTools

# Where the functions stay in an isolated world. A symbol: an element of the page could have any name.
_PLACE = 'globalThis[Symbol.for("context")]'

Ask = Callable[..., Awaitable[Any]]  # a function of `storage.js` by name, and its arguments


class ScriptFailed(Exception):
    """The page's JavaScript threw; the message is the error's own."""


@cache
def _source() -> str:
    return files("gateway.snapshot").joinpath("storage.js").read_text("utf-8").rstrip()


async def isolated(devtools: DevTools, session: str, frame: str, *, timeout: float) -> Ask:
    """The functions in a world of ours beside the page of `frame`, which cannot see or change what is there.

    The same world each time until the frame shows another document. It is asked for each time, since the number of a
    world that is gone may be that of another one by now. `timeout` in seconds, of this and of each call.
    """
    params = {"frameId": frame, "worldName": "context"}
    made = await devtools.send("Page.createIsolatedWorld", params, session=session, timeout=timeout)
    return partial(run, devtools, session, context=made["executionContextId"], timeout=timeout)


async def run(
    devtools: DevTools, session: str, function: str, *arguments: object, context: int | None = None, timeout: float
) -> Any:
    """Call one function of `storage.js` and return its result, decoded; `context` is an isolated world's id.

    In an isolated world the functions stay, and remember. Raises ScriptFailed, and DevToolsError and DevToolsGone as
    `DevTools.send`.
    """
    # JSON in a string literal: as an object literal a key "__proto__" would set the prototype.
    literals = ", ".join(f"JSON.parse({json.dumps(json.dumps(argument))})" for argument in arguments)
    if context is None:
        return json.loads(await _evaluate(devtools, session, f"{_source()}.{function}({literals})", None, timeout))
    text = await _evaluate(devtools, session, f"{_PLACE}?.{function}({literals})", context, timeout)
    if text is None:  # a new world
        expression = f"({_PLACE} = {_source()}).{function}({literals})"
        text = await _evaluate(devtools, session, expression, context, timeout)
    return json.loads(text)


async def _evaluate(devtools: DevTools, session: str, expression: str, context: int | None, timeout: float) -> Any:
    params: dict[str, Any] = {
        "expression": expression,
        "awaitPromise": True,
        "returnByValue": True,
        "silent": True,  # a debugging client that stops on exceptions must not stop here
    }
    if context is not None:
        params["contextId"] = context
    reply = await devtools.send("Runtime.evaluate", params, session=session, timeout=timeout)
    if details := reply.get("exceptionDetails"):
        raise ScriptFailed(str(details.get("exception", {}).get("description", details.get("text"))).partition("\n")[0])
    return reply["result"].get("value")
