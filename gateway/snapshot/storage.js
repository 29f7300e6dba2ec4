// Reads and writes a page's storage. Evaluated in an isolated world or an empty page, never seen by the site.
//
// Values that JSON does not know are tagged: {"$": KIND, "v": ...}. Objects are numbered in the order they are met,
// so that {"$": "ref", "v": NUMBER} can stand for one that was met before: cycles and shared objects survive.
// An object with a field "$" or "__proto__" of its own is written as {"$": "object", "v": [[name, value], ...]}.
(() => {
  const MAX_DEPTH = 60; // of a value; JSON parsers on the way give up at some depth
  const BATCH = 200; // records in one transaction
  const OPEN_TIMEOUT = 1500; // ms; another page may hold up an open for ever
  const VIEWS = Object.fromEntries(
    [
      Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
      Float32Array, Float64Array, BigInt64Array, BigUint64Array, DataView,
    ].map((view) => [view.name, view]),
  );
  const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

  class Lost extends Error {}

  const toBase64 = (bytes) => {
    let text = "";
    for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    return btoa(text);
  };
  const fromBase64 = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));

  async function encode(value, seen = new Map(), depth = 0) {
    if (depth > MAX_DEPTH) throw new Lost("nested too deeply");
    switch (typeof value) {
      case "undefined": return { $: "undefined" };
      case "bigint": return { $: "bigint", v: String(value) };
      case "number":
        if (Object.is(value, -0)) return { $: "-0" };
        return Number.isFinite(value) ? value : { $: String(value) };
      case "string": case "boolean": return value;
      case "object": break;
      default: throw new Lost(`a ${typeof value}`);
    }
    if (value === null) return null;
    if (seen.has(value)) return { $: "ref", v: seen.get(value) };
    seen.set(value, seen.size);
    const inner = (part) => encode(part, seen, depth + 1);
    const kind = Object.prototype.toString.call(value).slice(8, -1);
    if (Array.isArray(value)) {
      const items = [];
      for (const item of value) items.push(await inner(item));
      return items;
    }
    if (kind === "Date") return { $: "Date", v: Number.isNaN(value.getTime()) ? null : value.toISOString() };
    if (kind === "RegExp") return { $: "RegExp", v: value.source, flags: value.flags };
    if (kind === "ArrayBuffer") return { $: kind, v: toBase64(new Uint8Array(value)) };
    if (ArrayBuffer.isView(value) && kind in VIEWS) {
      return { $: kind, v: toBase64(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) };
    }
    if (kind === "Blob" || kind === "File") {
      const data = { $: kind, v: toBase64(new Uint8Array(await value.arrayBuffer())), type: value.type };
      return kind === "Blob" ? data : { ...data, name: value.name, lastModified: value.lastModified };
    }
    if (kind === "Map") {
      const pairs = [];
      for (const [key, item] of value) pairs.push([await inner(key), await inner(item)]);
      return { $: "Map", v: pairs };
    }
    if (kind === "Set") {
      const items = [];
      for (const item of value) items.push(await inner(item));
      return { $: "Set", v: items };
    }
    if (kind === "Error") return { $: "Error", name: value.name, v: value.message, stack: value.stack };
    if (["Number", "String", "Boolean", "BigInt"].includes(kind)) return { $: "boxed", v: await inner(value.valueOf()) };
    if (kind !== "Object") throw new Lost(`a ${kind}`);
    const pairs = [];
    for (const [name, item] of Object.entries(value)) pairs.push([name, await inner(item)]);
    return pairs.some(([name]) => name === "$" || name === "__proto__")
      ? { $: "object", v: pairs }
      : Object.fromEntries(pairs);
  }

  function decode(value, seen = []) {
    if (value === null || typeof value !== "object") return value;
    const met = (object) => (seen.push(object), object);
    const inner = (part) => decode(part, seen);
    const define = (object, pairs) => {
      for (const [name, item] of pairs) {
        Object.defineProperty(object, name, { value: inner(item), writable: true, enumerable: true, configurable: true });
      }
      return object;
    };
    if (Array.isArray(value)) {
      const items = met([]);
      for (const item of value) items.push(inner(item));
      return items;
    }
    const v = value.v;
    switch (Object.hasOwn(value, "$") ? value.$ : "plain") {
      case "plain": return define(met({}), Object.entries(value));
      case "object": return define(met({}), v);
      case "undefined": return undefined;
      case "NaN": return NaN;
      case "Infinity": return Infinity;
      case "-Infinity": return -Infinity;
      case "-0": return -0;
      case "bigint": return BigInt(v);
      case "ref": return seen[v];
      case "Date": return met(new Date(v === null ? NaN : v));
      case "RegExp": return met(new RegExp(v, value.flags));
      case "ArrayBuffer": return met(fromBase64(v).buffer);
      case "Blob": return met(new Blob([fromBase64(v)], { type: value.type }));
      case "File":
        return met(new File([fromBase64(v)], value.name, { type: value.type, lastModified: value.lastModified }));
      case "Map": {
        const map = met(new Map());
        for (const [key, item] of v) { const name = inner(key); map.set(name, inner(item)); }
        return map;
      }
      case "Set": {
        const set = met(new Set());
        for (const item of v) set.add(inner(item));
        return set;
      }
      case "Error": {
        const error = new (ERRORS[value.name] ?? Error)(v);
        Object.defineProperty(error, "stack", { value: value.stack, configurable: true, writable: true });
        return met(error);
      }
      case "boxed": {
        const place = seen.push(null) - 1;
        return (seen[place] = Object(inner(v)));
      }
    }
    if (Object.hasOwn(VIEWS, value.$)) return met(new VIEWS[value.$](fromBase64(v).buffer));
    throw new Lost(`unknown kind ${value.$}`);
  }

  const done = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const finished = (transaction) =>
    new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("aborted"));
    });

  // `upgrade(database, request)` makes the schema; without it a database that is not there is not made.
  function open(name, version, upgrade, limit = OPEN_TIMEOUT) {
    return new Promise((resolve, reject) => {
      const request = version === undefined ? indexedDB.open(name) : indexedDB.open(name, version);
      let late = false;
      const timer = setTimeout(() => { late = true; reject(new Error("could not be opened in time")); }, limit);
      request.onupgradeneeded = (event) => {
        if (late || !upgrade || event.oldVersion !== 0) request.transaction.abort();
        else upgrade(request.result);
      };
      request.onerror = () => { clearTimeout(timer); reject(request.error); };
      request.onsuccess = () => {
        clearTimeout(timer);
        const database = request.result;
        database.onversionchange = () => database.close(); // never in the way of the site's own upgrade
        if (late) database.close();
        else resolve(database);
      };
    });
  }

  const why = (error) => (error instanceof Lost ? error.message : error?.name ?? "error");

  async function readStore(database, name, budget, lost) {
    const at = `object store ${name} of database ${database.name}`;
    const store = database.transaction(name).objectStore(name);
    const schema = {
      name,
      keyPath: store.keyPath,
      autoIncrement: store.autoIncrement,
      indexes: Array.from(store.indexNames, (index) => {
        const { keyPath, unique, multiEntry } = store.index(index);
        return { name: index, keyPath, unique, multiEntry };
      }),
      records: [],
    };
    let range, failures = 0, reason;
    for (;;) {
      if (performance.now() > budget.until) { lost.push(`${at}: more than can be read in time`); return schema; }
      const source = database.transaction(name).objectStore(name);
      const [keys, values] = await Promise.all([done(source.getAllKeys(range, BATCH)), done(source.getAll(range, BATCH))]);
      for (let i = 0; i < keys.length; i++) {
        try {
          const pair = [schema.keyPath === null ? await encode(keys[i]) : null, await encode(values[i])];
          budget.left -= JSON.stringify(pair).length;
          if (budget.left < 0) { lost.push(`${at}: more than can be saved`); return schema; }
          schema.records.push(pair);
        } catch (error) { failures++; reason = why(error); }
      }
      if (keys.length < BATCH) break;
      range = IDBKeyRange.lowerBound(keys.at(-1), true);
    }
    if (failures) lost.push(`${at}: ${failures} records (${reason})`);
    return schema;
  }

  async function readDatabases(budget, lost) {
    const databases = [];
    for (const { name, version } of await indexedDB.databases()) {
      let database;
      try {
        database = await open(name, undefined, undefined, Math.min(OPEN_TIMEOUT, budget.until - performance.now()));
        const stores = [];
        for (const store of database.objectStoreNames) stores.push(await readStore(database, store, budget, lost));
        databases.push({ name, version: database.version ?? version, stores });
      } catch (error) {
        lost.push(`database ${name}: ${error?.message ?? error}`);
      } finally { database?.close(); }
    }
    return databases;
  }

  const items = (storage) => Array.from({ length: storage.length }, (_, i) => storage.key(i)).map((k) => [k, storage.getItem(k)]);

  function put(storage, pairs) {
    const lost = [];
    for (const [name, value] of pairs) {
      try { storage.setItem(name, value); } catch (error) { lost.push(`item ${name}: ${why(error)}`); }
    }
    return lost;
  }

  return {
    // {"origin", "visible", "focus", "sessionStorage": [[name, value]] or null where the frame may have none}
    frame() {
      let stored = null;
      try { stored = items(sessionStorage); } catch {} // a sandboxed frame or a data: page has no storage
      const visible = document.visibilityState === "visible";
      return JSON.stringify({ origin: location.origin, visible, focus: document.hasFocus(), sessionStorage: stored });
    },
    // {"origin", "localStorage": [[name, value]], "indexedDB": [...], "lost": [words]}, of IndexedDB no more than
    // `size` characters and what can be read in `time` ms.
    async dump(size, time) {
      const lost = [];
      const indexed = await readDatabases({ left: size, until: performance.now() + time }, lost);
      return JSON.stringify({ origin: location.origin, localStorage: items(localStorage), indexedDB: indexed, lost });
    },
    // Once the frames are in, too.
    loaded: () =>
      new Promise((resolve) => {
        if (document.readyState === "complete") resolve("null");
        else addEventListener("load", () => resolve("null"), { once: true });
      }),
    putLocal: (pairs) => JSON.stringify(put(localStorage, pairs)),
    putSession: (pairs) => JSON.stringify(put(sessionStorage, pairs)),
    // A database with its schema and no records; one that is there already stays as it is.
    async makeDatabase({ name, version, stores }) {
      let made = false;
      try {
        const database = await open(name, version, (fresh) => {
          made = true;
          for (const { name, keyPath, autoIncrement, indexes } of stores) {
            const store = fresh.createObjectStore(name, { keyPath, autoIncrement });
            for (const { name, keyPath, unique, multiEntry } of indexes) {
              store.createIndex(name, keyPath, { unique, multiEntry });
            }
          }
        });
        database.close();
      } catch (error) { return JSON.stringify([`database ${name}: ${error?.message ?? error}`]); }
      return JSON.stringify(made ? [] : [`database ${name}: is there already`]);
    },
    async putRecords(name, store, records) {
      const pairs = [];
      let failures = 0, reason;
      for (const [key, value] of records) {
        try { pairs.push([decode(key), decode(value)]); } catch (error) { failures++; reason = why(error); }
      }
      const database = await open(name);
      try {
        const transaction = database.transaction(store, "readwrite");
        const end = finished(transaction);
        const target = transaction.objectStore(store);
        for (const [key, value] of pairs) {
          try {
            const request = target.keyPath === null ? target.put(value, key ?? undefined) : target.put(value);
            request.onerror = (event) => { failures++; reason = request.error.name; event.preventDefault(); };
          } catch (error) { failures++; reason = why(error); }
        }
        await end;
      } finally { database.close(); }
      return JSON.stringify(failures ? [`object store ${store} of database ${name}: ${failures} records (${reason})`] : []);
    },
  };
})()
