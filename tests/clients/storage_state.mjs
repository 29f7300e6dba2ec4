// Opens URL in a new context made from the storage state in FILE, in the browser at ENDPOINT; prints what SCRIPT says
// there, and the storage state as Playwright has it then.
import { chromium } from "playwright-core";

const { ENDPOINT, FILE, URL, SCRIPT } = process.env;
const browser = await chromium.connectOverCDP(ENDPOINT);
try {
  const context = await browser.newContext({ storageState: FILE });
  const page = await context.newPage();
  await page.goto(URL);
  const said = await page.evaluate(SCRIPT);
  console.log(JSON.stringify({ said, state: await context.storageState({ indexedDB: true }) }));
} finally {
  await browser.close();
}
