"""Steel's scrape, screenshot and pdf, on the page services of `gateway/pages`; and the files that they hand out.

Shapes are those of the SDK (`ClientScrapeParams`, `ScrapeResponse`, ...). Times in ms.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from gateway.errors import Code, GatewayError
from gateway.pages.article import Articles, Form, plain
from gateway.pages.hosted import Hosted
from gateway.pages.outputs import Output, Reader
from gateway.pages.render import Paper, Shot, content, pdf, screenshot
from gateway.pages.service import Pages
from gateway.pages.shared import Wanted
from gateway.pages.visit import Goto, Viewport, Visit, checked_url, visited
from gateway.records import Egress, Role
from gateway.web.door import PRINCIPAL
from gateway.web.operation import Example, Operation, Parameter, Reply, refused
from gateway.web.request import check_query, json_body
from gateway.web.shapes import Shape, Text, read

LOADING = 30.0  # seconds
LONGEST = 60_000  # ms of delay
VIEW = Viewport(1920, 1080)  # Steel's own
HEADERS = {
    "Content-Security-Policy": "sandbox",  # never a page of ours, whatever is in a file
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "cross-origin",  # to be shown wherever its URL is given
}


class PageBody(Shape):
    """What the three have in common. A null is as good as nothing."""

    url: Annotated[Text, Field(min_length=1, max_length=8192)]
    delay: Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)] | None = None
    project_id: Annotated[Text, Field(max_length=256)] | None = None
    region: Any = None
    use_proxy: bool | dict[str, Any] | None = None


class ScrapeBody(PageBody):
    """`POST /v1/scrape`."""

    format: Annotated[list[Literal["html", "readability", "cleaned_html", "markdown"]], Field(max_length=4)] | None = (
        None
    )
    screenshot: bool | None = None
    pdf: bool | None = None


class ScreenshotBody(PageBody):
    """`POST /v1/screenshot`."""

    full_page: bool | None = None


class PdfBody(PageBody):
    """`POST /v1/pdf`."""


class Answer(BaseModel):
    """As the SDK validates it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FileAnswer(Answer):
    """Where the file is to be fetched, for an hour."""

    url: str


class Content(Answer):
    """What was asked for."""

    html: str | None = None
    cleaned_html: str | None = None
    markdown: str | None = None
    readability: dict[str, Any] | None = None


class Linked(Answer):
    """A link of the page, absolute."""

    url: str
    text: str


class Metadata(Answer):
    """What the page says of itself, and how the server answered."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    status_code: int
    url_source: str
    timestamp: str
    title: str | None = None
    language: str | None = None
    author: str | None = None
    article_author: str | None = None
    canonical: str | None = None
    description: str | None = None
    favicon: str | None = None
    json_ld: list[Any] | None = None
    keywords: str | None = None
    modified_time: str | None = None
    og_description: str | None = None
    og_image: str | None = None
    og_site_name: str | None = None
    og_title: str | None = None
    og_url: str | None = None
    published_time: str | None = None


class ScrapeAnswer(Answer):
    """A page that was scraped."""

    content: Content
    links: list[Linked]
    metadata: Metadata
    screenshot: FileAnswer | None = None
    pdf: FileAnswer | None = None


class SteelPages:
    """Handlers of /v1/scrape, /v1/screenshot, /v1/pdf and /hosted."""

    def __init__(self, pages: Pages, hosted: Hosted, external_url: str | None) -> None:
        self._pages = pages
        self._hosted = hosted
        self._external_url = external_url
        self._articles = Articles()
        self._reader = Reader()

    def routes(self, app: web.Application) -> None:
        """Add them."""
        app.router.add_post("/v1/scrape", self.scrape)
        app.router.add_post("/v1/screenshot", self.screenshot)
        app.router.add_post("/v1/pdf", self.pdf)
        app.router.add_get("/hosted/{name}", self.hosted, name="hosted")

    async def scrape(self, request: web.Request) -> web.Response:
        """POST /v1/scrape."""
        check_query(request, frozenset())
        body = read(ScrapeBody, await json_body(request), "body")
        forms = body.format or ["html"]
        picture = paper = None
        visit = _visit(body)
        async with (
            self._pages.context(_wanted(request), **visit.options()) as context,
            visited(context, visit) as there,
        ):
            source = plain(await content(there.page))
            url, status = there.page.url, 200 if there.response is None else there.response.status
            if body.screenshot:
                picture = await self._kept(request, await screenshot(there.page, Shot()), "image/png")
            if body.pdf:
                paper = await self._kept(request, await pdf(there.page, Paper(background=True)), "application/pdf")
        told = await self._articles.told(source, url, [form for form in Form if form.value in forms])
        made = await self._reader.outputs(source, url, [Output.MARKDOWN] if "markdown" in forms else [], {})
        about = {"statusCode": status, "urlSource": url, "timestamp": datetime.now(UTC).isoformat()}
        answer = ScrapeAnswer(
            content=Content(
                html=source if "html" in forms else None,
                cleaned_html=told.get(Form.CLEANED.value),
                markdown=made.get(Output.MARKDOWN.value),
                readability=told.get(Form.READABLE.value),
            ),
            links=told["links"],
            metadata=Metadata.model_validate(told["metadata"] | about),
            screenshot=picture,
            pdf=paper,
        )
        return web.json_response(answer.model_dump(by_alias=True, exclude_none=True))

    async def screenshot(self, request: web.Request) -> web.Response:
        """POST /v1/screenshot."""
        check_query(request, frozenset())
        body = read(ScreenshotBody, await json_body(request), "body")
        visit = _visit(body)
        async with (
            self._pages.context(_wanted(request), **visit.options()) as context,
            visited(context, visit) as there,
        ):
            data = await screenshot(there.page, Shot(whole=bool(body.full_page)))
        return web.json_response((await self._kept(request, data, "image/png")).model_dump())

    async def pdf(self, request: web.Request) -> web.Response:
        """POST /v1/pdf."""
        check_query(request, frozenset())
        visit = _visit(read(PdfBody, await json_body(request), "body"))
        async with (
            self._pages.context(_wanted(request), **visit.options()) as context,
            visited(context, visit) as there,
        ):
            data = await pdf(there.page, Paper(background=True))
        return web.json_response((await self._kept(request, data, "application/pdf")).model_dump())

    async def hosted(self, request: web.Request) -> web.Response:
        """GET /hosted/NAME: whoever has the name gets the file."""
        found = await self._hosted.fetch(request.match_info["name"])
        return web.Response(body=found.data, content_type=found.media, headers=HEADERS)

    async def _kept(self, request: web.Request, data: bytes, media: str) -> FileAnswer:
        name = await self._hosted.keep(request[PRINCIPAL].tenant, data, media)
        return FileAnswer(url=f"{self._external_url or f'{request.scheme}://{request.host}'}/hosted/{name}")


def _wanted(request: web.Request) -> Wanted:
    principal = request[PRINCIPAL]
    principal.require_tenant()
    return Wanted(principal.tenant, egress=Egress(opens=principal.role is Role.ADMIN))


def _visit(body: PageBody) -> Visit:
    """What it asks for. Raises UNSUPPORTED (422) for what cannot be had."""
    if body.use_proxy:
        raise GatewayError(
            Code.UNSUPPORTED, "useProxy: this gateway has no proxies of its own; a session takes yours as proxyUrl"
        )
    if body.region is not None:
        raise GatewayError(Code.UNSUPPORTED, "region: this gateway runs in one place")
    url = checked_url(body.url)
    if not url.lower().startswith(("http://", "https://")):
        raise GatewayError(Code.BAD_REQUEST, "url: an absolute http or https URL is wanted")
    return Visit(url=url, goto=Goto(timeout=LOADING), wait=(body.delay or 0.0) / 1000, viewport=VIEW)


FAULTS = refused(408, 422, 502)
OPERATIONS = (
    Operation(
        "POST /v1/scrape",
        "A page's content, metadata and links",
        {200: Reply("The page.", ScrapeAnswer), **FAULTS},
        ScrapeBody,
        examples=(Example("as Markdown", {"url": "URL", "format": ["markdown"], "screenshot": True}),),
        dialect="steel",
        words="Without `format` it is `html`. `screenshot` and `pdf` are handed out by URL, see `GET /hosted/NAME`.",
    ),
    Operation(
        "POST /v1/screenshot",
        "A picture of a page",
        {200: Reply("Where the PNG is.", FileAnswer), **FAULTS},
        ScreenshotBody,
        examples=(Example("the whole page", {"url": "URL", "fullPage": True}),),
        dialect="steel",
    ),
    Operation(
        "POST /v1/pdf",
        "A page as PDF",
        {200: Reply("Where the PDF is.", FileAnswer), **FAULTS},
        PdfBody,
        examples=(Example("after a moment", {"url": "URL", "delay": 100}),),
        dialect="steel",
    ),
    Operation(
        "GET /hosted/{name}",
        "A file that was made for a caller",
        {200: Reply("The file.", media="image/png", also=("application/pdf",)), **refused(404)},
        parameters=(Parameter("name", "As in the URL that was handed out.", where="path", required=True),),
        dialect="steel",
        words="No credential is wanted: the name is one. It is good for an hour.",
    ),
)
