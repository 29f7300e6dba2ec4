// Playwright, driven over lines (lines.mjs). `page` is the page in use.
import { chromium } from "playwright";
import { serve, tell } from "./lines.mjs";

let browser;
let page;
const allPages = () => browser.contexts().flatMap((context) => context.pages());

serve({
  async connect({ endpoint, headers }) {
    browser = await chromium.connectOverCDP(endpoint, { headers });
    browser.on("disconnected", () => tell({ event: "disconnected" }));
    page = browser.contexts()[0]?.pages()[0];
    return { contexts: browser.contexts().length, pages: allPages().map((one) => one.url()) };
  },
  pages: () => allPages().map((one) => one.url()),
  usePage({ url }) {
    page = allPages().find((one) => one.url() === url);
    if (!page) throw new Error(`no page has ${url}`);
  },
  async newPage({ ownContext }) {
    const context = ownContext ? await browser.newContext() : browser.contexts()[0];
    page = await context.newPage();
  },
  async goto({ url }) {
    const response = await page.goto(url);
    return response?.status();
  },
  url: () => page.url(),
  evaluate: ({ expression }) => page.evaluate(expression),
  text: ({ selector }) => page.textContent(selector),
  waitFor: async ({ selector }) => void (await page.waitForSelector(selector, { state: "attached" })),
  type: ({ selector, text }) => page.fill(selector, text),
  clickAndWait: async ({ selector }) => void (await Promise.all([page.waitForNavigation(), page.click(selector)])),
  async cdp({ method, params, browserSession }) {
    const session = browserSession ? await browser.newBrowserCDPSession() : await page.context().newCDPSession(page);
    return session.send(method, params);
  },
  close: () => browser.close(),
});
