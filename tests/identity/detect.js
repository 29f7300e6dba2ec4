// What public detection pages look at, written anew: each check says whether an ordinary Chrome would answer so.
const detect = async () => {
  const checks = {}, page = typeof Window === "function", top_ = page && top === self;
  const check = async (name, look) => {
    try {
      const [fine, saw] = await look();
      checks[name] = [Boolean(fine), `${saw}`];
    } catch (error) {
      checks[name] = [false, `threw ${error}`];
    }
  };
  const UA = navigator.userAgent, data = navigator.userAgentData, major = /Chrome\/(\d+)/.exec(UA)?.[1];
  const Nav = page ? Navigator : WorkerNavigator;
  const owned = Object.getOwnPropertyDescriptor;
  const reach = (what) => { try { return what(); } catch { return undefined; } };

  await check("agent", () => [!/headless/i.test(UA + navigator.appVersion) && UA === `Mozilla/${navigator.appVersion}`, UA]);
  await check("brands", () => {
    const listed = data.brands.map((one) => `${one.brand}/${one.version}`);
    return [listed.includes(`Google Chrome/${major}`) && listed.includes(`Chromium/${major}`) && listed.length === 3, listed];
  });
  const high = data && await data.getHighEntropyValues(
    ["architecture", "bitness", "fullVersionList", "platformVersion", "model", "formFactors"]);
  await check("full_versions", () => {
    const full = high.fullVersionList.map((one) => `${one.brand}/${one.version}`);
    return [full.length === 3 && full.some((one) => one.startsWith(`Google Chrome/${major}.`)), full];
  });
  await check("hints", () => [high.architecture && high.bitness === "64" && high.formFactors[0] === "Desktop", JSON.stringify(high)]);
  const system = /Windows/.test(UA) ? "Windows" : /Macintosh/.test(UA) ? "macOS" : "Linux";
  await check("platform", () => {
    const wanted = { Windows: "Win32", macOS: "MacIntel", Linux: "Linux x86_64" }[system];
    return [navigator.platform === wanted && data.platform === system, `${navigator.platform} ${data?.platform}`];
  });
  await check("webdriver", () => {
    const own = Object.getOwnPropertyNames(navigator);
    const there = page ? navigator.webdriver === false && "webdriver" in Navigator.prototype : !("webdriver" in navigator);
    return [there && own.length === 0, `${navigator.webdriver} ${own}`];
  });
  await check("languages", () => {
    const { language, languages } = navigator, spoken = new Intl.DateTimeFormat().resolvedOptions().locale;
    return [languages[0] === language && languages.length > 1 && spoken === language && Object.isFrozen(languages),
      `${languages} ${spoken}`];
  });
  await check("machine", () => [navigator.hardwareConcurrency > 0 && [2, 4, 8, 16, 32].includes(navigator.deviceMemory),
    `${navigator.hardwareConcurrency} ${navigator.deviceMemory}`]);
  await check("connection", () => [navigator.connection.rtt > 0 && navigator.connection.downlink > 0, navigator.connection.rtt]);
  const drawing = (kind) => (page ? document.createElement("canvas") : new OffscreenCanvas(1, 1)).getContext(kind);
  for (const kind of ["webgl", "webgl2"]) {
    await check(kind, () => {
      const on = drawing(kind);
      on.getExtension("WEBGL_debug_renderer_info");
      const saw = [0x9245, 0x9246].map((name) => on.getParameter(name)).join(" ");
      const fits = { Windows: /Direct3D11/, macOS: /Metal/, Linux: /Mesa|OpenGL|Vulkan/ }[system];
      const usual = on.getParameter(on.VENDOR) === "WebKit" && on.getParameter(on.RENDERER) === "WebKit WebGL";
      return [!/SwiftShader|llvmpipe|Google Inc. \(Google\)/.test(saw) && fits.test(saw) && usual, saw];
    });
  }

  // Lies: every function of these behaves as one that the browser itself brought.
  const natives = [];
  const types = "Navigator WorkerNavigator NetworkInformation WebGLRenderingContext WebGL2RenderingContext Plugin PluginArray"
    + " MimeType MimeTypeArray Screen Function";
  for (const name of types.split(" ")) {
    const prototype = globalThis[name]?.prototype;
    for (const [key, property] of Object.entries(prototype ? Object.getOwnPropertyDescriptors(prototype) : {})) {
      if (key === "constructor" || (name === "Function" && ["caller", "arguments"].includes(key))) continue;
      if (property.get) natives.push([`${name}.${key}`, `get ${key}`, property.get]);
      else if (typeof property.value === "function") natives.push([`${name}.${key}`, key, property.value]);
    }
  }
  for (const name of page ? ["outerHeight", "outerWidth", "chrome"] : []) {
    const get = owned(globalThis, name)?.get;
    if (get) natives.push([name, `get ${name}`, get]);
  }
  if (page) natives.push(["Notification.permission", "get permission", owned(Notification, "permission").get]);
  const liars = (lies) => natives.filter(([, name, one]) => lies(one, name)).map(([place]) => place);
  const none = (found) => [found.length === 0, found];
  await check("printed", () => none(liars((one, name) => `${one}` !== `function ${name}() { [native code] }`)));
  await check("printed_by_print", () => {
    const print = Function.prototype.toString;
    return none(liars((one, name) => print.call(one) !== `function ${name}() { [native code] }` || one.toString !== print));
  });
  await check("named", () => none(liars((one, name) => one.name !== name)));
  await check("own_properties", () => none(liars((one) => `${Reflect.ownKeys(one)}` !== "length,name")));
  const thrown = (work) => { try { work(); } catch (error) { return error; } return undefined; };
  await check("not_constructible", () => none(liars((one) => !(thrown(() => new one()) instanceof TypeError))));
  await check("no_proxy", () => none(liars((one) => {
    const before = Object.getPrototypeOf(one);
    const error = thrown(() => Object.setPrototypeOf(one, Object.create(one)));
    Object.setPrototypeOf(one, before);
    return !(error instanceof TypeError) || !/cyclic/i.test(error.message);
  })));
  const frames = (error) => error.stack.split("\n").filter((line) => /^\s+at /.test(line)).length;
  const href = owned(URL.prototype, "href").get; // nobody's lie
  const misused = (one) => thrown(() => one.call({}));
  const mine = natives.filter(([, name]) => /^get |^getParameter$/.test(name));
  await check("receivers", () => none(mine.filter(([, name, one]) => !/outer|permission|onuncaught/.test(name)
    && !(misused(one) instanceof TypeError)).map(([place]) => place)));
  await check("stacks", () => none(mine.filter(([, , one]) => {
    const [error, usual] = [one, href].map(misused);
    return error && (frames(error) !== frames(usual) || `${Reflect.ownKeys(error)}` !== `${Reflect.ownKeys(usual)}`
      || JSON.stringify(Object.keys(owned(error, "stack"))) !== JSON.stringify(Object.keys(owned(usual, "stack"))));
  }).map(([place]) => place)));
  await check("stack_of_print", () => {
    const [error, usual] = [Function.prototype.toString, href].map(misused), made = Object.create(Function.prototype.toString);
    const lines = [error, thrown(() => made.toString())].map((one) => one.stack.split("\n").slice(1, 3).join());
    return [frames(error) === frames(usual) + 1 && lines.every((one) => /^ +at (Object|Function)\.toString \(<anonymous>\)/.test(one)
      && one.split("toString").length === 2), lines];
  });
  await check("printed_elsewhere", () => {
    if (!page) return [true, "no other realm"];
    const other = document.documentElement.appendChild(document.createElement("iframe"));
    const print = other.contentWindow.Function.prototype.toString;
    const found = liars((one, name) => print.call(one) !== `function ${name}() { [native code] }`);
    const back = `${Function.prototype.toString.call(other.contentWindow.WebGLRenderingContext.prototype.getParameter)}`;
    other.remove();
    return [found.length === 0 && back === "function getParameter() { [native code] }", `${found} ${back}`];
  });
  await check("console", () => {
    let read = false;
    const error = Object.defineProperty(new Error("x"), "stack", { get: () => ((read = true), "") });
    console.debug(error);
    return [!read, "the console is read by DevTools"];
  });
  const traces = /cdc_|puppeteer|playwright|__pw|selenium|webdriver_|phantom|nightmare|domAutomation|stealth|__gateway/i;
  await check("traces", () => none(Object.getOwnPropertyNames(globalThis).filter((name) => traces.test(name))));

  if (!page) return checks;
  await check("chrome", () => [`${Object.keys(chrome)}` === "loadTimes,csi,app" && chrome.loadTimes().commitLoadTime >= 0
    && chrome.csi().pageT > 0 && `${chrome.loadTimes}` === "function () { [native code] }"
    && chrome.app.isInstalled === false && owned(self, "chrome").writable, Object.keys(chrome)]);
  const PDF = "PDF Viewer,Chrome PDF Viewer,Chromium PDF Viewer,Microsoft Edge PDF Viewer,WebKit built-in PDF";
  await check("plugins", () => {
    const { plugins, mimeTypes, pdfViewerEnabled } = navigator, [first] = plugins;
    const fine = [
      `${[...plugins].map((one) => one.name)}` === PDF, plugins === navigator.plugins, plugins instanceof PluginArray,
      `${plugins}` === "[object PluginArray]", `${first}` === "[object Plugin]", first instanceof Plugin,
      first.length === 2 && first[0].type === "application/pdf" && first.filename === "internal-pdf-viewer",
      first[0].enabledPlugin.name === "PDF Viewer" && first[0].suffixes === "pdf", first[0] instanceof MimeType,
      plugins.item(1).name === "Chrome PDF Viewer" && plugins.item(9) === null && plugins.item(2 ** 32) === first,
      plugins.namedItem("PDF Viewer") === first && plugins["PDF Viewer"] === first && plugins.namedItem("no") === null,
      `${Object.keys(plugins)}` === "0,1,2,3,4" && !owned(plugins, "0").writable, plugins.refresh() === undefined,
      `${[...mimeTypes].map((one) => one.type)}` === "application/pdf,text/pdf", mimeTypes instanceof MimeTypeArray,
      mimeTypes["text/pdf"].description === "Portable Document Format", pdfViewerEnabled === true,
      thrown(() => plugins.item()) instanceof TypeError,
    ];
    return [fine.every(Boolean), fine.map(Number).join("")];
  });
  const same = reach(() => top.location.href) !== undefined;
  await check("notifications", async () => {
    const asked = (await navigator.permissions.query({ name: "notifications" })).state;
    const wanted = same ? { prompt: "default" }[asked] ?? asked : "denied";
    return [Notification.permission === wanted, `${Notification.permission} ${asked}`];
  });
  await check("window", () => [outerWidth > 0 && outerHeight > 0 && outerWidth <= screen.availWidth
    && outerHeight <= screen.availHeight && screenX >= 0 && screenX + outerWidth <= screen.width
    && (!top_ || (innerWidth <= outerWidth && innerHeight < outerHeight - 50)),
    [innerWidth, innerHeight, outerWidth, outerHeight, screenX, screenY]]);
  await check("screen", () => [screen.width >= 1024 && screen.height > screen.availHeight && screen.colorDepth === 24
    && matchMedia(`(device-width: ${screen.width}px)`).matches && matchMedia(`(resolution: ${devicePixelRatio}dppx)`).matches,
    [screen.width, screen.height, screen.availWidth, screen.availHeight, devicePixelRatio]]);
  await check("pointer", () => none(["(hover: hover)", "(any-hover: hover)", "(pointer: fine)", "(any-pointer: fine)"]
    .filter((one) => !matchMedia(one).matches)));
  await check("touch", () => [navigator.maxTouchPoints === 0 && !("ontouchstart" in self), navigator.maxTouchPoints]);
  await check("focus", () => [!top_ || (document.hasFocus() && document.visibilityState === "visible"), document.hasFocus()]);
  await check("codecs", () => none(['video/mp4; codecs="avc1.42E01E"', 'audio/mp4; codecs="mp4a.40.2"', "audio/mpeg"]
    .filter((type) => document.createElement("video").canPlayType(type) === "")));
  await check("scrollbar", () => {
    const box = document.documentElement.appendChild(document.createElement("div"));
    box.style.cssText = "position: absolute; width: 100px; height: 100px; overflow: scroll";
    const width = box.offsetWidth - box.clientWidth;
    box.remove();
    return [width > 0, width];
  });
  return checks;
};
