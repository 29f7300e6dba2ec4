"""Browserless's shapes: the bodies of its page services with Puppeteer's options, and what they are answered.

Sources: Browserless's REST API (request configuration, screenshot, pdf, scrape); Puppeteer's GoToOptions,
ScreenshotOptions, PDFOptions, CookieParam, Viewport. Times in ms. Nothing here has effects.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.web.answers import Answer
from gateway.web.shapes import HeaderName, HeaderValue, Plain, Shape, Text

Wait = Annotated[float, Field(ge=0, le=600_000)]
Until = Literal["load", "domcontentloaded", "networkidle0", "networkidle2"]
Selector = Annotated[Text, Field(min_length=1, max_length=4096)]
Length = Annotated[float, Field(ge=0, le=100_000)] | Annotated[str, Field(pattern=r"^[0-9.]+(px|in|cm|mm)?$")]
ResourceType = Literal[
    "document", "stylesheet", "image", "media", "font", "script", "texttrack", "xhr", "fetch", "prefetch",
    "eventsource", "websocket", "manifest", "signedexchange", "ping", "cspviolationreport", "preflight", "other",
]  # fmt: skip
CLIENT = 30_000.0  # ms: what Puppeteer waits for anything that nobody gave a time


class GotoOptions(Shape):
    """`gotoOptions`: Puppeteer's GoToOptions."""

    timeout: Wait = CLIENT
    wait_until: Until | list[Until] = "load"
    referer: Plain | None = None


class WaitForSelector(Shape):
    """`waitForSelector`."""

    selector: Selector
    timeout: Wait = CLIENT
    hidden: bool = False
    visible: bool = False


class WaitForFunction(Shape):
    """`waitForFunction`: a function's text, or an expression, that is evaluated in the page."""

    fn: Annotated[Text, Field(min_length=1, max_length=1_000_000)]
    polling: Literal["raf", "mutation"] | Annotated[float, Field(ge=1, le=60_000)] = "raf"
    timeout: Wait = CLIENT


class WaitForEvent(Shape):
    """`waitForEvent`: an event on the page's document or window."""

    event: Annotated[Text, Field(min_length=1, max_length=256)]
    timeout: Wait = CLIENT


class PageViewport(Shape):
    """`viewport`, in CSS pixels."""

    width: Annotated[int, Field(ge=1, le=16384)]
    height: Annotated[int, Field(ge=1, le=16384)]
    device_scale_factor: Annotated[float, Field(ge=0, le=8)] = 1
    is_mobile: bool = False
    is_landscape: bool = False
    has_touch: bool = False


class Cookie(Shape):
    """One of `cookies`: Puppeteer's CookieParam. Without `url` and `domain` it is for the page's own URL."""

    name: Annotated[Text, Field(max_length=4096)]
    value: Annotated[Text, Field(max_length=65536)] = Field(repr=False)
    url: Plain | None = None
    domain: Plain | None = None
    path: Plain | None = None
    secure: bool | None = None
    http_only: bool | None = None
    same_site: Literal["Strict", "Lax", "None"] | None = None
    expires: float | None = None
    partition_key: Plain | None = None


class Credentials(Shape):
    """`authenticate`: for HTTP's own authentication."""

    username: Annotated[Text, Field(max_length=1024)]
    password: Annotated[Text, Field(max_length=1024)] = Field(repr=False)


class ScriptTag(Shape):
    """One of `addScriptTag`."""

    content: Text | None = None
    url: Plain | None = None
    type: Plain | None = None


class StyleTag(Shape):
    """One of `addStyleTag`."""

    content: Text | None = None
    url: Plain | None = None


class CannedResponse(Shape):
    """What a request interceptor answers."""

    status: Annotated[int, Field(ge=100, le=599)] = 200
    headers: dict[HeaderName, HeaderValue] = Field(default={})
    content_type: Plain | None = None
    body: Text = ""


class Interceptor(Shape):
    """One of `requestInterceptors`: requests whose URL matches `pattern` get `response`."""

    pattern: Text
    response: CannedResponse


class PageBody(Shape):
    """What all page services take: a url or html, and how to get there."""

    url: Annotated[Text, Field(max_length=65536)] | None = None
    html: Text | None = None
    goto_options: GotoOptions = GotoOptions()
    wait_for_event: WaitForEvent | None = None
    wait_for_function: WaitForFunction | None = None
    wait_for_selector: WaitForSelector | None = None
    wait_for_timeout: Wait | None = None
    best_attempt: bool = False
    viewport: PageViewport | None = None
    user_agent: Plain | None = None
    set_java_script_enabled: bool = True
    emulate_media_type: Literal["screen", "print"] | None = None
    set_extra_http_headers: Annotated[
        dict[HeaderName, HeaderValue], Field(alias="setExtraHTTPHeaders", max_length=64, repr=False)
    ] = Field(default={})
    authenticate: Credentials | None = None
    cookies: Annotated[list[Cookie], Field(max_length=1000)] = Field(default=[])
    reject_resource_types: list[ResourceType] = Field(default=[])
    reject_request_pattern: Annotated[list[Text], Field(max_length=100)] = Field(default=[])
    request_interceptors: Annotated[list[Interceptor], Field(max_length=100)] = Field(default=[])
    add_script_tag: Annotated[list[ScriptTag], Field(max_length=100)] = Field(default=[])
    add_style_tag: Annotated[list[StyleTag], Field(max_length=100)] = Field(default=[])


class ContentBody(PageBody):
    """`POST /content`."""


class Clip(Shape):
    """CSS pixels."""

    x: Annotated[float, Field(ge=0)]
    y: Annotated[float, Field(ge=0)]
    width: Annotated[float, Field(gt=0, le=16384)]
    height: Annotated[float, Field(gt=0, le=16384)]
    scale: Annotated[float, Field(gt=0, le=8)] = 1


class ScreenshotOptions(Shape):
    """`options` of a screenshot: Puppeteer's ScreenshotOptions, without `path`."""

    type: Literal["png", "jpeg", "webp"] = "png"
    quality: Annotated[int, Field(ge=0, le=100)] | None = None
    full_page: bool = False
    clip: Clip | None = None
    omit_background: bool = False
    encoding: Literal["binary", "base64"] = "binary"
    optimize_for_speed: bool = False
    capture_beyond_viewport: bool | None = None


class ScreenshotBody(PageBody):
    """`POST /screenshot`."""

    options: ScreenshotOptions = ScreenshotOptions()
    selector: Selector | None = None
    scroll_page: bool = False


class Margin(Shape):
    """Of a PDF."""

    top: Length = 0
    right: Length = 0
    bottom: Length = 0
    left: Length = 0


class PDFOptions(Shape):
    """`options` of a PDF: Puppeteer's PDFOptions, without `path`."""

    format: Text | None = None
    width: Length | None = None
    height: Length | None = None
    landscape: bool = False
    scale: Annotated[float, Field(ge=0.1, le=2)] = 1
    margin: Margin = Margin()
    print_background: bool = False
    display_header_footer: bool = False
    header_template: Text | None = None
    footer_template: Text | None = None
    page_ranges: Annotated[str, Field(pattern=r"^[0-9, -]*$", max_length=1000)] | None = None
    prefer_css_page_size: Annotated[bool, Field(alias="preferCSSPageSize")] = False
    omit_background: bool = False
    outline: bool = False
    tagged: bool = False
    wait_for_fonts: bool = True
    timeout: Wait = CLIENT


class PDFBody(PageBody):
    """`POST /pdf`."""

    options: PDFOptions = PDFOptions()


class ElementSelector(Shape):
    """One of `elements`."""

    selector: Selector
    timeout: Wait = CLIENT


class ScrapeBody(PageBody):
    """`POST /scrape`. `debugOpts` is refused where it asks for something."""

    elements: Annotated[list[ElementSelector], Field(min_length=1, max_length=100)]
    debug_opts: dict[str, Any] = Field(default={})


class PerformanceBody(PageBody):
    """`POST /performance`. `config` and `budgets` are Lighthouse's, which does not run here."""

    config: dict[str, Any] | None = None
    budgets: list[Any] | None = None


# --- replies ---


class Attribute(Answer):
    """Of an element."""

    name: str
    value: str


class Scraped(Answer):
    """An element; lengths in CSS pixels."""

    attributes: list[Attribute]
    height: float
    html: str
    left: float
    text: str
    top: float
    width: float


class ScrapedSelector(Answer):
    """All that a selector found, in the page's order."""

    selector: str
    results: list[Scraped]


class ScrapeAnswer(Answer):
    """`POST /scrape`."""

    data: list[ScrapedSelector]
    debug: None = None


class Measured(Answer):
    """Times in ms since the navigation began; None where the page has no such moment. `metrics` as CDP names them."""

    url: str
    navigation: dict[str, float | int | str | None]
    paint: dict[str, float]
    largest_contentful_paint: float | None
    cumulative_layout_shift: float
    resources: int
    transferred: int
    metrics: dict[str, float]


class PerformanceAnswer(Answer):
    """`POST /performance`: what the browser measured itself. No Lighthouse report."""

    data: Measured
