// The public guide's reconnect script, both halves; only the hosts are ours, and the end says what was found.
import puppeteer from "puppeteer-core";

const TOKEN = process.env.BROWSERLESS_TOKEN;
if (!TOKEN) throw new Error("Missing BROWSERLESS_TOKEN");

const GATEWAY = process.env.GATEWAY_WS; // ws://HOST:PORT
const TARGET = process.env.TARGET; // http://HOST:PORT of the test application

const BROWSERLESS_URL = `${GATEWAY}?token=${TOKEN}`;
const browser = await puppeteer.connect({ browserWSEndpoint: BROWSERLESS_URL });
const page = await browser.newPage();
const cdp = await page.createCDPSession();

await page.goto(`${TARGET}/login`, {
  waitUntil: "domcontentloaded",
});
// ... enter credentials, submit, confirm you're authenticated ...
await page.type("#username", "alice");
await page.type("#password", "wonderland");
await Promise.all([page.waitForNavigation(), page.click("button[type=submit]")]);
const before = await page.$eval("#title", (title) => title.textContent);

const { error, browserWSEndpoint: reconnectWSEndpoint } = await cdp.send(
  "Browserless.reconnect",
  { timeout: 300_000 }, // Max depends on plan: 10s (Free) to 5min (Scale)
);
if (error) throw new Error(error);

// Important: disconnect (don't close) so the remote browser stays alive for the TTL window
await browser.disconnect();

// And reconnecting later: nothing is awaited in between.
const reconnectUrl = `${reconnectWSEndpoint}?token=${TOKEN}`;
const browser2 = await puppeteer.connect({ browserWSEndpoint: reconnectUrl });
const pages = await browser2.pages();
const page2 = pages[0] ?? (await browser2.newPage());

await page2.goto(`${TARGET}/account`, {
  waitUntil: "domcontentloaded",
});
const after = await page2.$eval("#title", (title) => title.textContent);
const urls = await Promise.all(pages.map((kept) => kept.url()));
await browser2.close();
console.log(JSON.stringify({ before, after, error, reconnectWSEndpoint, urls }));
