"""Elements by selectors."""

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages.scrape import elements, scraped
from gateway.pages.waits import ForSelector
from tests.pages.tab import fresh


async def test_elements() -> None:
    async with fresh(viewport={"width": 400, "height": 300}) as context:
        page = await context.new_page()
        await page.set_content(
            "<style>* { margin: 0 } </style><p class=a data-x=1 style='width: 100px; height: 20px'><b>one</b></p><p>two"
            "<script>setTimeout(() => document.body.append(document.createElement('hr')), 20)</script>"
        )
        (one, two), (rule,) = await scraped(page, [ForSelector("p"), ForSelector("hr")])
        assert (one.html, one.text, two.text) == ("<b>one</b>", "one", "two")
        assert one.attributes == (("class", "a"), ("data-x", "1"), ("style", "width: 100px; height: 20px"))
        assert (one.width, one.height, one.left, one.top) == (100, 20, 0, 0)
        assert rule.html == ""
        with pytest.raises(GatewayError) as refused:
            await scraped(page, [ForSelector("p"), ForSelector("h1", timeout=0.05)])
        assert refused.value.code is Code.WAIT_FAILED
        assert [len(found) for found in await scraped(page, [ForSelector("h1"), ForSelector("p")], patient=False)] == [
            0,
            2,
        ]
        with pytest.raises(GatewayError) as refused:
            await elements(page, "p[")
        assert refused.value.code is Code.BAD_REQUEST
