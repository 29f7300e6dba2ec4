// A client that intercepts requests itself while the gateway blocks advertisements. ENDPOINT, SITE; says what it saw.
import puppeteer from "puppeteer-core";

const browser = await puppeteer.connect({ browserWSEndpoint: process.env.ENDPOINT, defaultViewport: null });
try {
  const [page] = await browser.pages();
  await page.setRequestInterception(true);
  const failed = [];
  page.on("requestfailed", (request) => failed.push([new URL(request.url()).pathname, request.failure().errorText]));
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (pathname === "/own") request.respond({ status: 200, contentType: "text/plain", body: "the client's own" });
    else request.continue();
  });
  await page.goto(process.env.SITE, { waitUntil: "load" });
  const own = await page.evaluate(() => fetch("/own").then((answer) => answer.text()));
  const ad = await page.evaluate(() => fetch("/ads/index/1?a").then((answer) => answer.text(), (error) => error.name));
  const script = await page.evaluate(
    () => new Promise((done) => {
      const element = Object.assign(document.createElement("script"), { src: "/ads/show.js?late" });
      element.onload = () => done("loaded");
      element.onerror = () => done("blocked");
      document.head.append(element);
    }),
  );
  console.log(JSON.stringify({ own, ad, script, failed: failed.sort() }));
} finally {
  await browser.disconnect();
}
