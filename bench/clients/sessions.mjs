// One long-living Puppeteer client, driven over lines (tests/clients/lines.mjs). Times are in ms, taken here.
// `where` is {browserWSEndpoint} to connect to, or {executablePath} of a Chromium to launch.
import puppeteer from "puppeteer-core";
import { serve } from "../../tests/clients/lines.mjs";

const held = [];

function open(where) {
  // Chromium refuses to run as root with its sandbox on.
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return where.browserWSEndpoint ? puppeteer.connect(where) : puppeteer.launch({ ...where, args });
}

serve({
  // From nothing to a page that has loaded; the browser stays open until `close`.
  async session({ where, url }) {
    const begin = performance.now();
    const browser = await open(where);
    const connected = performance.now();
    const page = await browser.newPage();
    const opened = performance.now();
    await page.goto(url);
    const loaded = performance.now();
    held.push(browser);
    return { connect: connected - begin, newPage: opened - connected, goto: loaded - opened, firstPage: loaded - begin };
  },
  // So many at once; ms until the last of them has its page.
  async burst({ where, url, count }) {
    const begin = performance.now();
    await Promise.all(
      Array.from({ length: count }, async () => {
        const browser = await open(where);
        held.push(browser);
        await (await browser.newPage()).goto(url);
      }),
    );
    return performance.now() - begin;
  },
  // Close the browser that was opened last.
  async close() {
    const begin = performance.now();
    await held.pop().close();
    return performance.now() - begin;
  },
  async closeAll() {
    while (held.length > 0) await held.pop().close();
  },
});
