"""A small client for people: `cdp-gateway sessions …`."""

import json
import sys
from typing import Any

import aiohttp

CALLS = {
    "create": ("POST", "/session"),
    "show": ("GET", "/session/{}"),
    "stop": ("DELETE", "/session/{}"),
    "restore": ("POST", "/session/{}/restore"),
    "context": ("GET", "/session/{}/context"),
}


async def run(base: str, token: str | None, action: str, session: str | None) -> int:
    """Do one call at the gateway `base` and print the answer; the exit code."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(base, headers=headers) as http:
        try:
            if action == "list":
                return await _list(http)
            method, path = CALLS[action]
            async with http.request(method, path.format(session)) as answer:
                return _show(answer.status, await answer.json())
        except aiohttp.ClientConnectionError as error:
            print(f"cdp-gateway: no gateway answers at {base}: {error}", file=sys.stderr)
            return 1
        except aiohttp.ContentTypeError as error:
            print(f"cdp-gateway: what answers at {base} is no gateway: {error.message}", file=sys.stderr)
            return 1


async def _list(http: aiohttp.ClientSession) -> int:
    cursor = None
    while True:
        async with http.get("/sessions", params={} if cursor is None else {"cursor": cursor}) as answer:
            page = await answer.json()
            if answer.status != 200:
                return _show(answer.status, page)
        for session in page["sessions"]:
            sys.stdout.write(
                f"{session['id']}  {session['status']:<10} {session['createdAt']}  {session['name'] or ''}\n"
            )
        cursor = page["nextCursor"]
        if cursor is None:
            return 0


def _show(status: int, answer: dict[str, Any]) -> int:
    if status >= 400:
        print(f"cdp-gateway: {answer['error']['message']} ({answer['error']['code']})", file=sys.stderr)
        return 1
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    return 0
