"""Browserless's bodies as the gateway's nouns: where a page is, what is waited for, what is made of it. Pure."""

from collections.abc import Mapping
from typing import Any

from gateway.errors import Code, GatewayError
from gateway.pages.patterns import pattern
from gateway.pages.render import MOST, Paper, Shot
from gateway.pages.visit import Canned, ForEvent, ForFunction, ForSelector, Goto, Tag, Viewport, Visit, checked_url
from gateway.web.browserless_shapes import Cookie, Interceptor, PageBody, PDFBody, ScreenshotBody

PAPERS = ("letter", "legal", "tabloid", "ledger", "a0", "a1", "a2", "a3", "a4", "a5", "a6")


def visit_of(body: PageBody) -> Visit:
    """Where to go and what to wait for; raises GatewayError naming the field."""
    if (body.url is None) == (body.html is None):
        raise GatewayError(Code.BAD_REQUEST, "body: one of url and html is wanted")
    until = body.goto_options.wait_until
    wait, hidden = body.wait_for_selector, False
    if wait is not None:
        hidden = wait.hidden
        if hidden and wait.visible:
            raise GatewayError(Code.BAD_REQUEST, "waitForSelector: hidden and visible exclude each other")
    function, event, view = body.wait_for_function, body.wait_for_event, body.viewport
    if view is not None and view.is_landscape and view.width < view.height:
        raise GatewayError(Code.UNSUPPORTED, "viewport.isLandscape: it is what width and height say; swap them")
    if view is not None and view.width * view.height * max(1, view.device_scale_factor) ** 2 > MOST:
        raise GatewayError(Code.BAD_REQUEST, f"viewport: at most {MOST:,} pixels are drawn")
    who = body.authenticate
    return Visit(
        url=None if body.url is None else checked_url(body.url),
        html=body.html,
        goto=Goto(
            (until,) if isinstance(until, str) else tuple(until) or ("load",),
            body.goto_options.timeout / 1000,
            body.goto_options.referer,
        ),
        wait_event=None if event is None else ForEvent(event.event, event.timeout / 1000),
        wait_function=None
        if function is None
        else ForFunction(
            function.fn,
            "raf" if isinstance(function.polling, str) else function.polling / 1000,
            function.timeout / 1000,
        ),
        wait_selector=None
        if wait is None
        else ForSelector(
            wait.selector, "hidden" if hidden else "visible" if wait.visible else "attached", wait.timeout / 1000
        ),
        wait=(body.wait_for_timeout or 0) / 1000,
        best_attempt=body.best_attempt,
        viewport=None
        if view is None
        else Viewport(view.width, view.height, view.device_scale_factor or 1, view.is_mobile, view.has_touch),
        user_agent=body.user_agent,
        javascript=body.set_java_script_enabled,
        media=body.emulate_media_type,
        headers=tuple(body.set_extra_http_headers.items()),
        credentials=None if who is None else (who.username, who.password),
        cookies=tuple(_cookie(index, one, body.url) for index, one in enumerate(body.cookies)),
        reject_types=frozenset(body.reject_resource_types),
        reject_patterns=tuple(
            pattern(one, f"rejectRequestPattern.{index}") for index, one in enumerate(body.reject_request_pattern)
        ),
        canned=tuple(_canned(index, one) for index, one in enumerate(body.request_interceptors)),
        scripts=tuple(
            _tag(f"addScriptTag.{index}", one.content, one.url, one.type)
            for index, one in enumerate(body.add_script_tag)
        ),
        styles=tuple(
            _tag(f"addStyleTag.{index}", one.content, one.url) for index, one in enumerate(body.add_style_tag)
        ),
    )


def _cookie(index: int, cookie: Cookie, page: str | None) -> Mapping[str, Any]:
    """As Playwright takes it: a url, or a domain with a path."""
    made = cookie.model_dump(by_alias=True, exclude_none=True)
    if cookie.domain is not None:
        made = {"path": "/", **made}
        made.pop("url", None)
    elif cookie.url is not None or page is not None:
        made = {"url": cookie.url or page, **made}
        if made.pop("path", "/") != "/":
            raise GatewayError(Code.BAD_REQUEST, f"cookies.{index}: a path wants a domain beside it")
    else:
        raise GatewayError(Code.BAD_REQUEST, f"cookies.{index}: with html a cookie wants a url or a domain")
    return made


def _canned(index: int, one: Interceptor) -> Canned:
    return Canned(
        pattern(one.pattern, f"requestInterceptors.{index}.pattern"),
        one.response.status,
        tuple(one.response.headers.items()),
        one.response.content_type,
        one.response.body.encode(),
    )


def _tag(field: str, content: str | None, url: str | None, kind: str | None = None) -> Tag:
    if (content is None) == (url is None):
        raise GatewayError(Code.BAD_REQUEST, f"{field}: one of content and url is wanted")
    return Tag(content, None if url is None else checked_url(url, f"{field}.url"), kind)


def shot_of(body: ScreenshotBody) -> Shot:
    """The picture; raises BAD_REQUEST for what excludes itself."""
    options, clip = body.options, body.options.clip
    if options.type == "png" and options.quality is not None:
        raise GatewayError(Code.BAD_REQUEST, "options.quality: a png has none")
    if clip is not None and (options.full_page or body.selector is not None):
        raise GatewayError(Code.BAD_REQUEST, "options.clip: it excludes fullPage and selector")
    return Shot(
        options.type,
        options.quality,
        options.full_page,
        options.omit_background,
        None if clip is None else (clip.x, clip.y, clip.width, clip.height, clip.scale),
        body.selector,
        body.scroll_page,
        options.optimize_for_speed,
        options.capture_beyond_viewport,
    )


def paper_of(body: PDFBody) -> Paper:
    """The PDF; raises BAD_REQUEST for a format that is none."""
    options, margin = body.options, body.options.margin
    if options.format is not None and options.format.lower() not in PAPERS:
        raise GatewayError(Code.BAD_REQUEST, f"options.format: one of {', '.join(PAPERS)} is wanted")
    return Paper(
        format=options.format,
        width=options.width,
        height=options.height,
        landscape=options.landscape,
        scale=options.scale,
        margin=(margin.top, margin.right, margin.bottom, margin.left),
        background=options.print_background,
        header=options.header_template,
        footer=options.footer_template,
        decorated=options.display_header_footer,
        ranges=options.page_ranges or None,
        css_size=options.prefer_css_page_size,
        outline=options.outline,
        tagged=options.tagged,
        clear=options.omit_background,
        fonts=options.wait_for_fonts and body.set_java_script_enabled,
        patience=options.timeout / 1000 or None,
    )
