"""Elements of a page by selectors: their text, HTML, attributes and places."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page

from gateway.pages.faults import css, told
from gateway.pages.waits import ForSelector, found

MOST = 10_000  # elements of one selector
_READ = """(elements, most) => elements.slice(0, most).map((element) => {
    const box = element.getBoundingClientRect();
    return {
        html: element.innerHTML,
        text: element.innerText ?? element.textContent ?? '',
        attributes: Array.from(element.attributes, ({name, value}) => ({name, value})),
        width: element.offsetWidth ?? box.width,
        height: element.offsetHeight ?? box.height,
        top: box.top,
        left: box.left,
    };
})"""


@dataclass(frozen=True, slots=True)
class Element:
    """One that was found; lengths in CSS pixels, from the viewport's corner."""

    html: str
    text: str
    attributes: tuple[tuple[str, str], ...]
    width: float
    height: float
    top: float
    left: float


async def scraped(page: Page, wanted: Sequence[ForSelector], *, patient: bool = True) -> list[list[Element]]:
    """All elements of each selector, in the page's order; each selector is waited for first.

    Raises WAIT_FAILED (422) for one of which none comes in time, unless not `patient`.
    """
    if patient:
        await asyncio.gather(*(found(page, one) for one in wanted))
    return [await elements(page, one.selector) for one in wanted]


async def elements(page: Page, selector: str) -> list[Element]:
    """Those that there are now. Raises BAD_REQUEST for what is no selector."""
    try:
        read: list[dict[str, Any]] = await page.eval_on_selector_all(css(selector), _READ, MOST)
    except PlaywrightError as error:
        raise told(error, page) from error
    return [
        Element(**{**one, "attributes": tuple((pair["name"], pair["value"]) for pair in one["attributes"])})
        for one in read
    ]
