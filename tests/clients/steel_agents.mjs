// What agents do with Steel's SDK: profiles from a file, actions of the computer, pages as pictures.
// Environment: STEEL_API_KEY, STEEL_BASE_URL, TARGET (a page), ARCHIVE (a zip of a user-data-dir).
import fs from "node:fs";
import Steel from "steel-sdk";

const client = new Steel({ maxRetries: 0 });
const target = process.env.TARGET;

const profile = await client.profiles.create({
  userDataDir: fs.createReadStream(process.env.ARCHIVE),
  dimensions: { width: 900, height: 600 },
});
const changed = await client.profiles.update(profile.id, {
  userDataDir: fs.createReadStream(process.env.ARCHIVE),
  userAgent: "Mozilla/5.0 (X11; Linux x86_64) of a profile",
});
const session = await client.sessions.create({ profileId: profile.id });
const moved = await client.sessions.computer(session.id, {
  action: "move_mouse",
  coordinates: [10, 20],
  screenshot: true,
});
const where = await client.sessions.computer(session.id, { action: "get_cursor_position" });
await client.sessions.release(session.id);
const scraped = await client.scrape({ url: target, format: ["markdown"], screenshot: true });
const [picture, paper] = await Promise.all([
  client.screenshot({ url: target, fullPage: true }),
  client.pdf({ url: target }),
]);
const sizes = await Promise.all(
  [scraped.screenshot.url, picture.url, paper.url].map(async (url) => (await (await fetch(url)).arrayBuffer()).byteLength),
);
const refusal = await client.scrape({ url: target, useProxy: true }).catch((error) => error);
console.log(
  JSON.stringify({
    profile: profile.id,
    status: profile.status,
    agent: changed.userAgent,
    listed: (await client.profiles.list()).profiles.map((one) => one.id),
    session: [session.profileId, session.dimensions, session.userAgent],
    moved: [moved.output, moved.base64_image.length > 100],
    where: where.output,
    markdown: scraped.content.markdown,
    sizes,
    refusal: [refusal.status, refusal.message],
  }),
);
