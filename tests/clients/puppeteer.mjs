// Puppeteer, driven over lines (lines.mjs). `page` is the page in use.
import puppeteer from "puppeteer-core";
import { serve, tell } from "./lines.mjs";

let browser;
let page;
const seen = [];

serve({
  async connect({ endpoint }) {
    const where = endpoint.startsWith("http") ? { browserURL: endpoint } : { browserWSEndpoint: endpoint };
    browser = await puppeteer.connect({ ...where, defaultViewport: null });
    browser.on("disconnected", () => tell({ event: "disconnected" }));
    const pages = await browser.pages();
    page = pages[0];
    return { contexts: browser.browserContexts().length, pages: pages.map((one) => one.url()) };
  },
  // From now on: what happens to targets; `seen` tells.
  watch() {
    for (const event of ["targetcreated", "targetchanged", "targetdestroyed"]) {
      browser.on(event, (target) => void seen.push(`${event}: ${target.type()} ${target.url()}`));
    }
  },
  seen: () => seen,
  pages: async () => (await browser.pages()).map((one) => one.url()),
  async usePage({ url }) {
    for (const one of await browser.pages()) if (one.url() === url) page = one;
    if (page?.url() !== url) throw new Error(`no page has ${url}`);
  },
  async newPage({ ownContext }) {
    const context = ownContext ? await browser.createBrowserContext() : browser;
    page = await context.newPage();
  },
  async goto({ url }) {
    const response = await page.goto(url);
    return response?.status();
  },
  url: () => page.url(),
  evaluate: ({ expression }) => page.evaluate(expression),
  text: ({ selector }) => page.$eval(selector, (element) => element.textContent),
  waitFor: async ({ selector }) => void (await page.waitForSelector(selector)),
  type: ({ selector, text }) => page.type(selector, text),
  clickAndWait: async ({ selector }) => void (await Promise.all([page.waitForNavigation(), page.click(selector)])),
  async cdp({ method, params, browserSession }) {
    const target = browserSession ? browser.target() : page;
    const session = await target.createCDPSession();
    return session.send(method, params);
  },
  disconnect: () => browser.disconnect(),
  close: () => browser.close(),
});
