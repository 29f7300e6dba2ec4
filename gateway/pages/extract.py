"""Values from a page by CSS selectors, from HTML as it is: the same for a page that a browser has rendered. Pure.

A field has the value of the first element that its selector matches, null where none does; with `all` it is a list of
every match, in the page's order. Blocking: use a thread.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import lxml.etree
import lxml.html
from cssselect import SelectorError
from lxml.cssselect import CSSSelector

from gateway.errors import Code, GatewayError

# A page's text is what a reader sees of it.
UNSEEN = frozenset({"script", "style", "noscript", "template", "head", "title", "object", "iframe", "svg"})
BLOCKS = frozenset(
    "address article aside blockquote body dd details dialog div dl dt fieldset figcaption figure footer form h1 h2 h3 "
    "h4 h5 h6 header hr li main menu nav ol option p pre search section select summary table tbody tfoot thead tr "
    "ul".split()
)
KEPT = frozenset({"pre", "textarea"})  # their white space is their own
EMPTY = b"<html></html>"


# One element, by its name, id, classes and attributes: found in the time that it takes to go through a page once. What
# goes from one element to others can take as long as a caller likes.
_PLAIN = re.compile(r"""[\w-]*(?:[.#][\w-]+|\[[\w-]+(?:[~|^$*]?=(?:"[^"\\]*"|'[^'\\]*'|[\w-]+))?\])*""")


class Kind(StrEnum):
    """What is taken of an element: its text, the HTML in it, or an attribute."""

    TEXT = "text"
    HTML = "html"
    ATTR = "attr"


@dataclass(frozen=True, slots=True)
class Field:
    """One value. `attribute` is the name of one, for ATTR; `all`: every match, as a list."""

    selector: str
    kind: Kind = Kind.TEXT
    attribute: str | None = None
    all: bool = False

    @property
    def quick(self) -> bool:
        """Its selector is one that costs little on any page."""
        return _PLAIN.fullmatch(self.selector.strip()) is not None


def parsed(html: str) -> Any:
    """The document's root element, whatever the HTML is like. Nesting is followed as far as browsers do, and more."""
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    data = html.replace("\0", "").encode("utf-8", "replace")
    try:
        root = lxml.html.document_fromstring(data, parser=parser)
    except lxml.etree.ParserError:  # there is nothing in it
        root = lxml.html.document_fromstring(EMPTY)
    return root


def selector(text: str) -> CSSSelector:
    """A selector; raises BAD_REQUEST for what is none."""
    try:
        return CSSSelector(text, translator="html")
    except RecursionError:
        raise GatewayError(Code.BAD_REQUEST, f"selector: {text[:200]!r}: it is nested too deep") from None
    except (SelectorError, lxml.etree.XPathError) as error:
        raise GatewayError(Code.BAD_REQUEST, f"selector: {text[:200]!r}: {error}") from None


def extracted(root: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The fields' values, by their names. Raises BAD_REQUEST for what is no selector."""
    return {name: _value(root, field) for name, field in fields.items()}


def _value(root: Any, field: Field) -> Any:
    try:
        found = selector(field.selector)(root)
    except lxml.etree.XPathError as error:  # understood as CSS, and not to be carried out
        raise GatewayError(Code.BAD_REQUEST, f"selector: {field.selector[:200]!r}: {error}") from None
    if field.all:
        return [_taken(element, field) for element in found]
    return _taken(found[0], field) if found else None


def _taken(element: Any, field: Field) -> str | None:
    match field.kind:
        case Kind.TEXT:
            return text_of(element)
        case Kind.HTML:
            return inner(element)
        case Kind.ATTR:
            value: str | None = element.get((field.attribute or "").lower())
            return value


def inner(element: Any) -> str:
    """The HTML in an element."""
    parts = [_escaped(element.text or "")]
    parts += [lxml.html.tostring(child, encoding="unicode") for child in element]
    return "".join(parts)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def text_of(root: Any) -> str:
    """The text in an element: a line for each block and break, no scripts and styles, white space as it is shown."""
    text = _Text()
    kept = 0
    walker = lxml.etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walker:
        tag = element.tag
        if event == "start":
            if tag in UNSEEN and element is not root:
                walker.skip_subtree()
                continue
            kept += tag in KEPT
            if tag == "br":
                text.line()
            elif tag in BLOCKS:
                text.block()
            elif tag in ("td", "th"):
                text.add(" ", kept=False)
            text.add(element.text or "", kept=bool(kept))
            continue
        if event == "end" and (tag not in UNSEEN or element is root):
            kept -= tag in KEPT
            if tag in BLOCKS:
                text.block()
        if element is not root:
            text.add(element.tail or "", kept=bool(kept))
    return text.whole()


class _Text:
    """Lines that grow word by word."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._gap = False

    def add(self, text: str, *, kept: bool) -> None:
        if kept:
            first, *rest = text.split("\n")
            self._put(first)
            for line in rest:
                self.line()
                self._put(line)
            return
        words = text.split()
        if not words:
            self._gap = self._gap or bool(text)
            return
        if (self._gap or text[0].isspace()) and self._line:
            self._line.append(" ")
        self._line.append(" ".join(words))
        self._gap = text[-1].isspace()

    def _put(self, text: str) -> None:
        if text:
            if self._gap and self._line:
                self._line.append(" ")
            self._line.append(text)
            self._gap = False

    def line(self) -> None:
        self._lines.append("".join(self._line))
        self._line, self._gap = [], False

    def block(self) -> None:
        if self._line:
            self.line()
        self._gap = False

    def whole(self) -> str:
        self.block()
        return "\n".join(line.rstrip() for line in self._lines).strip()
