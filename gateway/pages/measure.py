"""How fast a page was, as the browser itself measured it: navigation, paint, layout shifts, resources, CDP's metrics.

Sources: Navigation Timing 2, Paint Timing, Largest Contentful Paint, Layout Instability; CDP Performance.getMetrics.
"""

from dataclasses import dataclass
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page

from gateway.pages.faults import told

# What is remembered of a page before somebody asks: paints and shifts are there with `buffered`.
_READ = """() => new Promise((done) => {
    const kinds = ['largest-contentful-paint', 'layout-shift'];
    const seen = {};
    const observers = kinds.map((type) => {
        seen[type] = [];
        const observer = new PerformanceObserver((list) => seen[type].push(...list.getEntries()));
        observer.observe({type, buffered: true});
        return observer;
    });
    setTimeout(() => {
        observers.forEach((observer, index) => seen[kinds[index]].push(...observer.takeRecords()));
        observers.forEach((observer) => observer.disconnect());
        const navigation = performance.getEntriesByType('navigation')[0];
        const resources = performance.getEntriesByType('resource');
        const largest = seen['largest-contentful-paint'].at(-1);
        done({
            navigation: navigation ? navigation.toJSON() : {},
            paint: performance.getEntriesByType('paint').map(({name, startTime}) => [name, startTime]),
            largest: largest ? largest.startTime : null,
            shift: seen['layout-shift'].filter((one) => !one.hadRecentInput).reduce((sum, one) => sum + one.value, 0),
            resources: resources.length,
            transferred: resources.reduce((sum, one) => sum + one.transferSize, navigation?.transferSize ?? 0),
        });
    }, 100);
})"""
NAVIGATION = (
    "type",
    "redirectCount",
    "redirectStart",
    "redirectEnd",
    "fetchStart",
    "domainLookupStart",
    "domainLookupEnd",
    "connectStart",
    "secureConnectionStart",
    "connectEnd",
    "requestStart",
    "responseStart",
    "responseEnd",
    "domInteractive",
    "domContentLoadedEventStart",
    "domContentLoadedEventEnd",
    "domComplete",
    "loadEventStart",
    "loadEventEnd",
    "transferSize",
    "encodedBodySize",
    "decodedBodySize",
)


@dataclass(frozen=True, slots=True)
class Speed:
    """Times in ms since the navigation began; `transferred` in bytes; `metrics` as CDP names and measures them."""

    url: str
    navigation: dict[str, float | int | str | None]
    paint: dict[str, float]
    largest_contentful_paint: float | None
    cumulative_layout_shift: float
    resources: int
    transferred: int
    metrics: dict[str, float]


async def measured(page: Page) -> Speed:
    """Of the page as it is now. Raises GatewayError."""
    try:
        cdp = await page.context.new_cdp_session(page)
        try:
            await cdp.send("Performance.enable")
            found = (await cdp.send("Performance.getMetrics"))["metrics"]
        finally:
            await cdp.detach()
        read: dict[str, Any] = await page.evaluate(_READ)
    except PlaywrightError as error:
        raise told(error, page) from error
    navigation = read["navigation"]
    return Speed(
        url=page.url,
        navigation={name: navigation.get(name) for name in NAVIGATION},
        paint=dict(read["paint"]),
        largest_contentful_paint=read["largest"],
        cumulative_layout_shift=read["shift"],
        resources=read["resources"],
        transferred=read["transferred"],
        metrics={one["name"]: one["value"] for one in found},
    )
