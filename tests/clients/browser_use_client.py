"""browser-use, as an agent's program has it: PROGRAM CDP_URL SITE_URL. What it finds is the last line, as JSON.

Run by tests/journeys/test_browser_use.py with a Python of its own that has browser-use.
"""

import asyncio
import json
import sys
from typing import Any

from browser_use import BrowserSession  # type: ignore[import-not-found, unused-ignore]

LOOK = "JSON.stringify([window.mine ?? null, document.cookie, localStorage.getItem('k')])"
LEAVE = "window.mine = (window.mine ?? 0) + 1; document.cookie = 'a=1'; localStorage.setItem('k', 'v')"


async def visit(cdp_url: str, site: str) -> dict[str, Any]:
    """Look at the site as an agent does, and leave something there."""
    session = BrowserSession(cdp_url=cdp_url)
    await session.start()
    try:
        there = await session.get_current_page_url()
        if not there.startswith(site):
            await session.navigate_to(site)
        page = await session.get_or_create_cdp_session()

        async def evaluated(expression: str) -> Any:
            sent = page.cdp_client.send.Runtime.evaluate({"expression": expression}, session_id=page.session_id)
            return (await sent)["result"].get("value")

        found = json.loads(await evaluated(LOOK))
        await evaluated(LEAVE)
        state = await session.get_browser_state_summary()
        return {
            "came_to": there,
            "found": found,
            "url": state.url,
            "text": state.dom_state.llm_representation(),
            "screenshot": len(state.screenshot or ""),
            "tabs": len(state.tabs),
        }
    finally:
        await session.stop()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(visit(*sys.argv[1:3]))) + "\n")
