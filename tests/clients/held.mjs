// What a client sets for a page, and what the next one finds there. LIBRARY is puppeteer or playwright; SEEN is the
// expression that looks; with SET the page is made, without it it is found again and set to something else.
import { chromium } from "playwright";
import puppeteer from "puppeteer-core";

const { LIBRARY, ENDPOINT, SITE, SEEN, SET } = process.env;
const found = {};

if (LIBRARY === "puppeteer") {
  const browser = await puppeteer.connect({ browserWSEndpoint: ENDPOINT, defaultViewport: null });
  if (SET) {
    const page = await browser.newPage();
    await page.setUserAgent({ userAgent: "Held/1.0", platform: "Held" });
    await page.emulateTimezone("Europe/Berlin");
    await page.setViewport({ width: 500, height: 400, deviceScaleFactor: 2 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
    await page.setExtraHTTPHeaders({ "x-held": "yes" });
    await page.evaluateOnNewDocument(() => (window.init = (window.init ?? 0) + 1));
    await page.goto(SITE);
    found.first = await page.evaluate(SEEN);
  } else {
    const pages = await browser.pages();
    const page = pages.find((one) => one.url().startsWith(SITE));
    found.first = await page.evaluate(SEEN);
    await page.reload();
    found.again = await page.evaluate(SEEN);
    await page.setUserAgent({ userAgent: "Next/1.0" });
    await page.emulateTimezone("Asia/Tokyo");
    await page.setViewport({ width: 600, height: 300 });
    await page.setExtraHTTPHeaders({ "x-next": "yes" });
    await page.reload();
    found.next = await page.evaluate(SEEN);
    await page.emulateTimezone();
    found.back = await page.evaluate(SEEN);
  }
  await browser.disconnect();
} else {
  const browser = await chromium.connectOverCDP(ENDPOINT);
  if (SET) {
    const context = await browser.newContext({
      userAgent: "Held/1.0",
      locale: "de-DE",
      timezoneId: "Europe/Berlin",
      viewport: { width: 500, height: 400 },
      deviceScaleFactor: 2,
      colorScheme: "dark",
      hasTouch: true,
      extraHTTPHeaders: { "x-held": "yes" },
      geolocation: { latitude: 12, longitude: 1 },
      permissions: ["geolocation"],
    });
    await context.addInitScript(() => (window.init = (window.init ?? 0) + 1));
    await context.exposeFunction("ask", () => 1);
    const page = await context.newPage();
    await page.goto(SITE);
    found.first = await page.evaluate(SEEN);
  } else {
    const pages = browser.contexts().flatMap((context) => context.pages());
    const page = pages.find((one) => one.url().startsWith(SITE));
    found.first = await page.evaluate(SEEN);
    await page.reload();
    found.again = await page.evaluate(SEEN);
    await page.setViewportSize({ width: 600, height: 300 });
    await page.setExtraHTTPHeaders({ "x-next": "yes" });
    await page.emulateMedia({ colorScheme: "light" });
    await page.reload();
    found.next = await page.evaluate(SEEN);
  }
  await browser.close();
}
console.log(JSON.stringify(found));
