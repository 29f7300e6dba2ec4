// Runs where navigator.js does, before it: what a browser without a screen shows of that, put as one with a screen has
// it. Gives what makes a function of ours print as the one that it stands for.
// `key`: known to our scripts of this browser only; `said`: what navigator says; `gpu`: vendor and renderer for WebGL;
// `everywhere`: whether they stand for a real one too; `shell`: whether the browser is the headless shell;
// `desktop`: whether it is to look like Chrome with a window; `frame`: pixels that its window has above a page.
(settings) => {
  "use strict";
  const { key, said, gpu, everywhere, shell, desktop, frame } = settings;
  const { apply, ownKeys } = Reflect;
  const { create, defineProperty, getOwnPropertyDescriptor: described } = Object;
  const { captureStackTrace } = Error;
  const { get: look, has, set } = WeakMap.prototype;
  const inPage = typeof Window === "function";

  // What our functions print, by function; one for all realms that can reach each other's functions.
  const printing = (realm) => {
    try {
      const found = apply(realm.Function.prototype.toString, key, []);
      return typeof found === "object" ? found : undefined;
    } catch {
      return undefined; // of another origin, or none of ours
    }
  };
  const here = printing(globalThis);
  const near = inPage ? [parent, opener] : [];
  const texts = here || near.reduce((found, realm) => found || (realm && printing(realm)), undefined) || new WeakMap();
  const print = Function.prototype.toString;
  const known = (made) => apply(has, texts, [made]);
  const like = (made, native) => (apply(set, texts, [made, apply(print, native, [])]), made);

  // The browser's own answer; an error of its tells nothing of us.
  const ask = (native, self, list, made) => {
    try {
      return apply(native, self, list);
    } catch (error) {
      captureStackTrace(error, made);
      throw error;
    }
  };
  if (here === undefined) {
    const { toString } = {
      toString() {
        if (this === key) return texts;
        const text = apply(look, texts, [this]);
        if (text !== undefined) return text;
        try {
          return apply(print, this, []);
        } catch (error) {
          const lines = error.stack.split("\n");
          captureStackTrace(error, toString); // without this function, and without the line of the browser's own
          error.stack = [...lines.slice(0, 2), ...error.stack.split("\n").slice(1)].slice(0, lines.length).join("\n");
          throw error;
        }
      },
    };
    const property = described(Function.prototype, "toString");
    defineProperty(Function.prototype, "toString", { ...property, value: like(toString, print) });
  }

  // Objects of ours that stand for the browser's: what their getters say.
  const ours = new WeakMap();
  const fact = (self, name) => apply(look, ours, [self])?.[name];
  // `answer` makes of the browser's own value what is said.
  const getter = (owner, name, answer) => {
    const property = owner && described(owner, name);
    if (property?.get === undefined || known(property.get)) return;
    const native = property.get;
    const made = described({
      get [name]() {
        return fact(this, name) ?? answer(ask(native, this, [], made), this);
      },
    }, name).get;
    property.get = like(made, native);
    defineProperty(owner, name, property);
  };
  const method = (owner, name, answer) => {
    const property = owner && described(owner, name);
    if (property?.value === undefined || known(property.value)) return;
    const native = property.value;
    const made = (native.length > 0 ? {
      [name](first) {
        return answer(first, this, () => ask(native, this, arguments, made));
      },
    } : {
      [name]() {
        return answer(undefined, this, () => ask(native, this, arguments, made));
      },
    })[name];
    property.value = like(made, native);
    defineProperty(owner, name, property);
  };

  const navigating = (globalThis.Navigator ?? globalThis.WorkerNavigator).prototype;
  for (const [name, value] of Object.entries(said)) {
    if (navigator[name] !== value) getter(navigating, name, () => value);
  }

  const VENDOR = 0x9245, RENDERER = 0x9246; // of WEBGL_debug_renderer_info
  for (const type of [globalThis.WebGLRenderingContext, globalThis.WebGL2RenderingContext]) {
    const native = type?.prototype.getParameter;
    method(type?.prototype, "getParameter", (name, self, own) => {
      const value = own();
      if ((name !== VENDOR && name !== RENDERER) || typeof value !== "string") return value;
      if (!everywhere && !/SwiftShader|llvmpipe|softpipe/.test(apply(native, self, [RENDERER]))) return value;
      return gpu[name - VENDOR];
    });
  }
  if (!shell) return like;

  getter(globalThis.NetworkInformation?.prototype, "rtt", (value) => value || 100);
  if (!inPage) return like;
  getter(globalThis, "outerHeight", (value) => value + frame);
  getter(globalThis.Notification, "permission", (value) => {
    try {
      return value === "denied" && isSecureContext && top.origin === origin ? "default" : value;
    } catch {
      return value; // a frame of another origin may not ask
    }
  });
  if (!desktop) return like;

  // The viewer of PDF documents that every Chrome has, as plugins.
  if (navigator.plugins.length === 0) {
    const list = (type, entries, names, facts) => {
      const made = create(type.prototype);
      entries.forEach((entry, at) => defineProperty(made, at, { value: entry, enumerable: true, configurable: true }));
      entries.forEach((entry, at) => defineProperty(made, names[at], { value: entry, configurable: true }));
      ours.set(made, { ...facts, length: entries.length });
      return made;
    };
    const kinds = ["application/pdf", "text/pdf"];
    const about = { filename: "internal-pdf-viewer", description: "Portable Document Format" };
    const mimes = (plugin) => kinds.map((type) => {
      const made = create(MimeType.prototype);
      const { description } = about;
      ours.set(made, { type, suffixes: "pdf", description, get enabledPlugin() { return plugin(); } });
      return made;
    });
    const names = ["", "Chrome ", "Chromium ", "Microsoft Edge "].map((brand) => `${brand}PDF Viewer`);
    names.push("WebKit built-in PDF");
    const viewers = names.map((name) => {
      const viewer = list(Plugin, mimes(() => viewer), kinds, { name, ...about });
      return viewer;
    });
    const plugins = list(PluginArray, viewers, names, {});
    const types = list(MimeTypeArray, mimes(() => viewers[0]), kinds, {});
    for (const type of [PluginArray, Plugin, MimeTypeArray]) {
      getter(type.prototype, "length", (value) => value);
      for (const name of ["item", "namedItem"]) {
        method(type.prototype, name, (wanted, self, own) => {
          if (!ours.has(self) || wanted === undefined) return own();
          return described(self, name === "item" ? wanted >>> 0 : `${wanted}`)?.value ?? null;
        });
      }
    }
    method(PluginArray.prototype, "refresh", (_, self, own) => (ours.has(self) ? undefined : own()));
    for (const name of ["name", "filename", "description"]) getter(Plugin.prototype, name, (value) => value);
    for (const name of ["type", "suffixes", "description", "enabledPlugin"]) {
      getter(MimeType.prototype, name, (value) => value);
    }
    getter(navigating, "plugins", () => plugins);
    getter(navigating, "mimeTypes", () => types);
    getter(navigating, "pdfViewerEnabled", () => true);
  }
  if (globalThis.chrome === undefined) {
    const nameless = new Proxy(print, {}); // prints without a name, as these do in Chrome
    const seconds = (time) => (performance.timeOrigin + time) / 1000;
    const native = (make) => like(make, nameless);
    const loading = () => performance.getEntriesByType("navigation")[0] ?? {};
    const functions = {
      loadTimes() {
        const { responseStart = 0, domContentLoadedEventEnd = 0, loadEventEnd = 0, nextHopProtocol = "" } = loading();
        const modern = ["h2", "h3"].includes(nextHopProtocol);
        return {
          requestTime: seconds(0), startLoadTime: seconds(0), commitLoadTime: seconds(responseStart),
          finishDocumentLoadTime: seconds(domContentLoadedEventEnd), finishLoadTime: seconds(loadEventEnd),
          firstPaintTime: seconds(performance.getEntriesByType("paint")[0]?.startTime ?? 0), firstPaintAfterLoadTime: 0,
          navigationType: "Other", wasFetchedViaSpdy: modern, wasNpnNegotiated: modern,
          npnNegotiatedProtocol: modern ? nextHopProtocol : "unknown", wasAlternateProtocolAvailable: false,
          connectionInfo: nextHopProtocol || "unknown",
        };
      },
      csi() {
        const start = Math.round(performance.timeOrigin), { loadEventEnd = 0 } = loading();
        return { startE: start, onloadT: start + Math.round(loadEventEnd), pageT: performance.now(), tran: 15 };
      },
      getDetails() { return null; },
      getIsInstalled() { return false; },
      installState(tell) { tell("not_installed"); },
      runningState() { return "cannot_run"; },
    };
    const { loadTimes, csi, ...ofApp } = functions;
    for (const one of Object.values(functions)) native(one);
    const app = { isInstalled: false, ...ofApp };
    app.InstallState = { DISABLED: "disabled", INSTALLED: "installed", NOT_INSTALLED: "not_installed" };
    app.RunningState = { CANNOT_RUN: "cannot_run", READY_TO_RUN: "ready_to_run", RUNNING: "running" };
    globalThis.chrome = { loadTimes, csi, app };
  }
  return like;
}
