"""What a caller gets of a page: its HTML, Markdown, text, links and extracted values, all made from the HTML alone.

So they are the same whether a browser rendered it or not. A page is a stranger's, and so are selectors: one that is not
small, or is searched with more than plain ones, is read in a process of its own, with limits, where it can neither hold
up nor take along the gateway.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from enum import StrEnum
from typing import Any
from urllib.parse import urljoin, urlsplit

import lxml.etree
import lxml.html
from markdownify import ATX, markdownify

from gateway.errors import Code, GatewayError
from gateway.pages import apart
from gateway.pages.extract import UNSEEN, Field, Kind, extracted, parsed, text_of

SCHEMES = ("http", "https", "mailto", "tel", "ftp")  # of links


class Output(StrEnum):
    """What can be had of a page; SCREENSHOT only of one in a browser."""

    HTML = "html"
    MARKDOWN = "markdown"
    TEXT = "text"
    LINKS = "links"
    JSON = "json"
    SCREENSHOT = "screenshot"


READ = (Output.MARKDOWN, Output.TEXT, Output.LINKS, Output.JSON)  # those that need the HTML to be read


class Reader:
    """Reads pages, a few large ones at once."""

    def __init__(self) -> None:
        self._apart = apart.Apart("gateway.pages.outputs")

    async def outputs(
        self, html: str, url: str, wanted: Sequence[Output], fields: Mapping[str, Field]
    ) -> dict[str, Any]:
        """By name, all but the screenshot. `url` is where the page was found; JSON is what `fields` say.

        Raises GatewayError: BAD_REQUEST for what is no selector, PAGE_UNREADABLE (422) for a page that is too large.
        """
        apart.check(html)
        made: dict[str, Any] = {}
        if Output.HTML in wanted:
            made[Output.HTML.value] = html
        reading = [output for output in wanted if output in READ]
        if not reading:
            return made
        if len(html) <= apart.SMALL and all(field.quick for field in fields.values()):
            return made | await asyncio.to_thread(read, html, url, reading, fields)
        asked = {"html": html, "url": url, "wanted": reading, "fields": {name: asdict(f) for name, f in fields.items()}}
        answer: dict[str, Any] = await self._apart.asked(asked)
        if "refused" in answer:
            raise GatewayError(Code[answer["refused"]], answer["words"])
        return made | answer


def read(html: str, url: str, wanted: Sequence[Output], fields: Mapping[str, Field]) -> dict[str, Any]:
    """The same, of READ alone. Blocking."""
    root = parsed(html)
    made: dict[str, Any] = {}
    if Output.TEXT in wanted:
        made[Output.TEXT.value] = text_of(root)
    if Output.LINKS in wanted:
        made[Output.LINKS.value] = links(root, url)
    if Output.JSON in wanted:
        made[Output.JSON.value] = extracted(root, fields)
    if Output.MARKDOWN in wanted:  # the last one: it changes the tree
        made[Output.MARKDOWN.value] = markdown(root, url)
    return made


def links(root: Any, url: str) -> list[str]:
    """Where a page's links lead, absolute, each once, in their order. Scripts in place of a URL are none."""
    base = _base(root, url)
    found: dict[str, None] = {}
    for element in root.iter("a", "area"):
        href = (element.get("href") or "").strip()
        with suppress(ValueError):  # no URL
            if href and urlsplit(whole := urljoin(base, href)).scheme in SCHEMES:
                found[whole] = None
    return list(found)


def markdown(root: Any, url: str) -> str:
    """The page as Markdown, its links absolute. Changes the tree. Raises PAGE_UNREADABLE."""
    for element in list(root.iter(*UNSEEN)):
        if element is not root:
            element.drop_tree()
    base = _base(root, url)
    for element, name in ((one, name) for name in ("href", "src") for one in root.iter() if one.get(name)):
        with suppress(ValueError):  # no URL: it stays as it is
            element.set(name, urljoin(base, element.get(name)))
    text = lxml.html.tostring(root, encoding="unicode")
    try:
        made: str = markdownify(text, heading_style=ATX, bullets="-", bs4_options="lxml")
    except RecursionError:
        raise apart.unreadable("its elements are nested too deep for Markdown") from None
    lines = [line.rstrip() for line in made.strip().splitlines()]
    return "\n".join(line for line, before in zip(lines, ["", *lines], strict=False) if line or before)


def _base(root: Any, url: str) -> str:
    given = next((one.get("href") for one in root.iter("base") if one.get("href")), None)
    try:
        return urljoin(url, given) if given else url
    except ValueError:
        return url


def _answered(asked: Any) -> dict[str, Any]:
    fields = {name: Field(**{**value, "kind": Kind(value["kind"])}) for name, value in asked["fields"].items()}
    try:
        return read(asked["html"], asked["url"], [Output(name) for name in asked["wanted"]], fields)
    except GatewayError as error:
        return {"refused": error.code.name, "words": error.message}


if __name__ == "__main__":
    apart.answer(_answered)
