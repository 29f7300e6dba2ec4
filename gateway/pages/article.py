"""What a page's HTML says: its metadata, its links, its text without what surrounds it. No browser is asked.

It is read by a parser of its own (lxml), not by scripts in the page, which the page could have answer anything. A page
that is not small is read in a process of its own, with limits: what it does there harms nobody.
"""

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urljoin, urlsplit

from lxml import etree, html
from lxml.html import HtmlElement
from readability import Document
from readability.readability import Unparseable

from gateway.pages import apart

EXCERPT = 300  # characters
SCHEMES = ("http", "https")
# Of no use to who reads a page for what it says.
UNSEEN = (
    "script",
    "style",
    "noscript",
    "template",
    "svg",
    "canvas",
    "iframe",
    "object",
    "embed",
    "link",
    "meta",
    "base",
)
# What says something of an element; all others are for its looks and its scripts.
KEPT = frozenset(
    "href src alt title lang dir name value type placeholder for action method role colspan rowspan scope datetime "
    "cite start checked selected disabled controls poster srcset sizes width height".split()
)
ADDRESSES = ("href", "src", "action", "cite", "poster")
EMPTY = b"<html><body></body></html>"
_BASE = etree.XPath("//base[@href]")


@dataclass(frozen=True, slots=True)
class Link:
    """An absolute URL, and the text that leads there."""

    url: str
    text: str


class Form(StrEnum):
    """What can be made of it."""

    CLEANED = "cleaned_html"
    READABLE = "readability"


class Article:
    """One page's HTML at its URL. Blocking."""

    def __init__(self, source: str, url: str) -> None:
        self._source = plain(source)
        self._root = _parsed(self._source)
        base = next(iter(_BASE(self._root)), None)
        self.url = url
        self._base = url if base is None else _joined(url, base.get("href", "")) or url

    @property
    def links(self) -> tuple[Link, ...]:
        """Every link to a page, in order, each target with each text once."""
        found: dict[Link, None] = {}
        for element in self._root.iter("a", "area"):
            target = _joined(self._base, element.get("href", ""))
            if target is not None and urlsplit(target).scheme in SCHEMES:
                text = " ".join(element.text_content().split()) or element.get("aria-label") or element.get("alt") or ""
                found[Link(target, text)] = None
        return tuple(found)

    @property
    def title(self) -> str | None:
        """Of the document."""
        for element in self._root.iter("title"):
            if text := " ".join(element.text_content().split()):
                return str(text)
        return None

    @property
    def language(self) -> str | None:
        """`lang` of the document."""
        return self._root.get("lang") or None

    def meta(self, *names: str) -> str | None:
        """The content of the first meta element that has one of `names`, the first of these before the second."""
        for name in names:
            for element in self._root.iter("meta"):
                said = element.get("name") or element.get("property") or element.get("itemprop") or ""
                if said.lower() == name and (content := (element.get("content") or "").strip()):
                    return str(content)
        return None

    def linked(self, *relations: str) -> str | None:
        """The absolute URL of the first link element with one of these relations."""
        for relation in relations:
            for element in self._root.iter("link"):
                if relation in (element.get("rel") or "").lower().split():
                    return _joined(self._base, element.get("href", ""))
        return None

    @property
    def data(self) -> list[Any]:
        """What its scripts of application/ld+json hold, as far as that is JSON."""
        found = []
        for element in self._root.iter("script"):
            if (element.get("type") or "").lower() == "application/ld+json":
                try:
                    found.append(json.loads(element.text or ""))
                except (ValueError, RecursionError):
                    continue  # what is no JSON says nothing to anybody
        return found

    @property
    def cleaned(self) -> str:
        """The HTML of its body without scripts, styles, comments, hidden elements and attributes of no meaning."""
        root = _parsed(self._source)
        for element in list(root.iter(etree.Comment, etree.ProcessingInstruction, *UNSEEN)):
            _drop(element)
        for element in list(_elements(root)):
            if element.get("hidden") is not None or element.get("aria-hidden") == "true":
                _drop(element)
        for element in _elements(root):
            for name in list(element.attrib):
                if name not in KEPT and not name.startswith("aria-label"):
                    del element.attrib[name]
        self._lead(root)
        body = next(root.iter("body"), root)
        return str(etree.tostring(body, encoding="unicode", method="html"))

    @property
    def readable(self) -> dict[str, Any]:
        """The part of it that is to be read, in the fields that Mozilla's Readability gives it."""
        try:
            document = Document(self._source)
            root = _parsed(str(document.summary(html_partial=True)))
            title = str(document.short_title() or "") or self.title
        except (Unparseable, etree.LxmlError, ValueError, RecursionError):  # an empty page, or one of frames alone
            root, title = _parsed(""), self.title
        self._lead(root)
        body = root.find("body")
        parts = () if body is None else (etree.tostring(one, encoding="unicode", method="html") for one in body)
        content = "".join(parts)
        text = " ".join(" ".join(root.itertext()).split())
        return {
            "title": title,
            "byline": self.meta("author", "article:author"),
            "dir": self._root.get("dir"),
            "lang": self.language,
            "content": content,
            "textContent": text,
            "length": len(text),
            "excerpt": self.meta("description", "og:description") or text[:EXCERPT],
            "siteName": self.meta("og:site_name"),
            "publishedTime": self.meta("article:published_time", "datepublished"),
        }

    def _lead(self, root: HtmlElement) -> None:
        """Its URLs lead where they lead in the page; what is a script in place of one leads nowhere."""
        for element in _elements(root):
            for name in ADDRESSES:
                if (address := element.get(name)) is None:
                    continue
                target = _joined(self._base, address)
                if target is None or urlsplit(target).scheme == "javascript":
                    del element.attrib[name]
                else:
                    element.set(name, target)


class Articles:
    """Reads them, a few large ones at once."""

    def __init__(self) -> None:
        self._apart = apart.Apart("gateway.pages.article")

    async def told(self, source: str, url: str, wanted: Sequence[Form]) -> dict[str, Any]:
        """As `tell` has it. Raises PAGE_UNREADABLE (422)."""
        apart.check(source)
        if len(source) <= apart.SMALL:
            return await asyncio.to_thread(tell, source, url, wanted)
        told: dict[str, Any] = await self._apart.asked([source, url, list(wanted)])
        return told


def tell(source: str, url: str, wanted: Sequence[Form]) -> dict[str, Any]:
    """JSON: `links` (url, text), `metadata` (only what the page says), and each of `wanted` by its name. Blocking."""
    article = Article(source, url)
    told: dict[str, Any] = {"links": [{"url": link.url, "text": link.text} for link in article.links]}
    found = {
        "title": article.title,
        "language": article.language,
        "author": article.meta("author"),
        "articleAuthor": article.meta("article:author"),
        "canonical": article.linked("canonical"),
        "description": article.meta("description"),
        "favicon": article.linked("icon", "apple-touch-icon"),
        "jsonLd": article.data or None,
        "keywords": article.meta("keywords"),
        "modifiedTime": article.meta("article:modified_time", "og:updated_time", "datemodified"),
        "ogDescription": article.meta("og:description"),
        "ogImage": article.meta("og:image"),
        "ogSiteName": article.meta("og:site_name"),
        "ogTitle": article.meta("og:title"),
        "ogUrl": article.meta("og:url"),
        "publishedTime": article.meta("article:published_time", "datepublished"),
    }
    told["metadata"] = {name: value for name, value in found.items() if value is not None}
    if Form.CLEANED in wanted:
        told[Form.CLEANED.value] = article.cleaned
    if Form.READABLE in wanted:
        told[Form.READABLE.value] = article.readable
    return told


def plain(source: str) -> str:
    """Without what XML has no characters for, and lone surrogates, which no parser takes."""
    return source.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _parsed(source: str) -> HtmlElement:
    # The parser is told the encoding, or a meta element would be believed.
    parser = html.HTMLParser(encoding="utf-8")
    try:
        return html.document_fromstring(source.encode() if source.strip() else EMPTY, parser=parser)
    except (etree.ParserError, ValueError):  # nothing but space and comments
        return html.document_fromstring(EMPTY)


def _elements(root: HtmlElement) -> Iterator[HtmlElement]:
    return (element for element in root.iter() if isinstance(element.tag, str))


def _drop(element: HtmlElement) -> None:
    """With all that is in it; the text behind it stays."""
    if element.getparent() is not None:
        element.drop_tree()


def _joined(base: str, target: str) -> str | None:
    try:
        return urljoin(base, target.strip()) if target.strip() else None
    except ValueError:  # brackets that are no address
        return None


def _answered(question: Any) -> dict[str, Any]:
    source, url, wanted = question
    return tell(source, url, [Form(name) for name in wanted])


logging.getLogger("readability").setLevel(logging.CRITICAL)  # what it says of a page is said by us
if __name__ == "__main__":
    apart.answer(_answered)
