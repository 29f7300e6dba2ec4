// The public guide's Session API script for Puppeteer; only the hosts are ours, and the end says what was found.
import puppeteer from "puppeteer-core";

const apiToken = process.env.BROWSERLESS_TOKEN;
if (!apiToken) throw new Error("Missing BROWSERLESS_TOKEN");

const createRes = await fetch(
  `${process.env.GATEWAY_HTTP}/session?token=${apiToken}`,
  {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ttl: 180000, stealth: true }),
  },
);

if (!createRes.ok) {
  throw new Error(
    `Session create failed: ${createRes.status} ${await createRes.text()}`,
  );
}

const { connect: connectUrl, stop: stopUrl } = await createRes.json();

const browser = await puppeteer.connect({ browserWSEndpoint: connectUrl });
const page = await browser.newPage();

await page.goto(process.env.TARGET, { waitUntil: "domcontentloaded" });
// ... automation ...
const title = await page.title();
const webdriver = await page.evaluate(() => navigator.webdriver);

await browser.close();
const stopped = await fetch(stopUrl, { method: "DELETE" });

console.log(JSON.stringify({ connectUrl, stopUrl, title, webdriver, stopped: stopped.status }));
