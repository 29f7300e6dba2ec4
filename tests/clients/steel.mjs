// Steel's SDK for Node.js against the gateway: what it sends and what it makes of the answers, as JSON on the last line.
import { chromium } from "playwright";
import Steel from "steel-sdk";

const client = new Steel({ maxRetries: 0 }); // STEEL_API_KEY, STEEL_BASE_URL
const said = {};

const session = await client.sessions.create({ timeout: 60000, inactivityTimeout: 50000, projectId: "node" });
said.status = session.status;
said.createdAt = session.createdAt;
said.optimizeBandwidth = session.optimizeBandwidth;

// The two habits of connecting: the key appended as a further parameter, and with a question mark.
let browser = await chromium.connectOverCDP(`${session.websocketUrl}&apiKey=${process.env.STEEL_API_KEY}`);
const page = browser.contexts()[0].pages()[0];
await page.goto(`${process.env.TARGET}/login`);
await page.evaluate(() => {
  localStorage.setItem("theme", "dark");
  sessionStorage.setItem("draft", "letter");
  document.cookie = "seen=1; max-age=1000";
});
await browser.close();
browser = await chromium.connectOverCDP(`${session.websocketUrl}?apiKey=${process.env.STEEL_API_KEY}`);
said.stays = browser.contexts()[0].pages()[0].url() === `${process.env.TARGET}/login`;
await browser.close();

const details = await client.sessions.liveDetails(session.id);
said.pages = details.pages.map((one) => one.url);
said.events = (await client.sessions.events(session.id)).map((one) => one.data.tag);

// The path as it was answered: with slashes, which this SDK does not encode.
const file = await client.sessions.files.upload(session.id, {
  file: new File(["a,b\n1,2\n"], "stock.csv"),
  path: "prices.csv",
});
said.file = { path: file.path, size: file.size };
said.listed = (await client.sessions.files.list(session.id)).data.map((one) => one.path);
said.bytes = await (await client.sessions.files.download(session.id, file.path)).text();
said.archive = (await (await client.sessions.files.downloadArchive(session.id)).arrayBuffer()).byteLength;
await client.sessions.files.delete(session.id, encodeURIComponent(file.path));
await client.sessions.files.deleteAll(session.id);
said.left = (await client.sessions.files.list(session.id)).data;

const sessionContext = await client.sessions.context(session.id);
said.released = await client.sessions.release(session.id);
said.reason = (await client.sessions.retrieve(session.id)).releaseReason;

const second = await client.sessions.create({ sessionContext, projectId: "node" });
browser = await chromium.connectOverCDP(second.websocketUrl);
const visited = browser.contexts()[0].pages()[0];
await visited.goto(`${process.env.TARGET}/login`);
said.stored = await visited.evaluate(() => [localStorage.theme, sessionStorage.draft, document.cookie]);
await browser.close();
said.localStorage = (await client.sessions.context(second.id)).localStorage;
said.mine = [];
for await (const one of client.sessions.list({ limit: 1, projectId: "node" })) said.mine.push(one.id);
said.mine = said.mine.map((id) => (id === session.id ? "first" : id === second.id ? "second" : id));

try {
  await client.sessions.create({ region: "fra" });
} catch (error) {
  said.refusal = { status: error.status, message: error.message };
}
try {
  await client.files.list();
} catch (error) {
  said.elsewhere = error.status;
}
said.releasedAll = (await client.sessions.releaseAll({ projectId: "node" })).success;
said.ended = (await client.sessions.retrieve(second.id)).status;
console.log(JSON.stringify(said));
