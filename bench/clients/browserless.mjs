// Start Browserless with a Chromium that is already there, instead of one that its playwright-core downloads.
// Everything else is its own default. Usage: node browserless.mjs DIRECTORY_OF_BROWSERLESS PATH_OF_CHROMIUM
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [root, chromium] = process.argv.slice(2);
const require = createRequire(join(root, "package.json"));
require("playwright-core").chromium.executablePath = () => chromium;
process.chdir(root); // it reads its package.json from there
await import(pathToFileURL(join(root, "build", "index.js")));
