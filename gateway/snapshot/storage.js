// Reads and writes a page's storage. Evaluated in an isolated world or an empty page, never seen by the site.
//
// Values that JSON does not know are tagged: {"$": KIND, "v": ...}. Objects are numbered in the order they are met,
// so that {"$": "ref", "v": NUMBER} can stand for one that was met before: cycles and shared objects survive.
// An object with a field "$" or "__proto__" of its own is written as {"$": "object", "v": [[name, value], ...]}.
(() => {
  const MAX_DEPTH = 60; // of a value; JSON parsers on the way give up at some depth
  const MAX_BLOB = 48 << 20; // bytes
  const SLICE = 2; // ms of work, then the page has its turn
  const PORTION = 1 << 17; // characters of one answer, about
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
    if (bytes.toBase64) return bytes.toBase64();
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
      if (value.size > MAX_BLOB) throw new Lost("a Blob that is too large");
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

  // Let the page do what it has to do. A timer would be held back in a page that is not seen.
  const turn = () =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => { port1.close(); resolve(); };
      port2.postMessage(null);
    });

  const schemaOf = (store) => ({
    name: store.name,
    keyPath: store.keyPath,
    autoIncrement: store.autoIncrement,
    indexes: Array.from(store.indexNames, (index) => {
      const { name, keyPath, unique, multiEntry } = store.index(index);
      return { name, keyPath, unique, multiEntry };
    }),
  });

  // What was told of each storage: the caller names the answer that it had last, and gets what is new since then.
  const told = { local: { items: new Map() }, session: { items: new Map() } };

  // {"generation", "whole": all is told anew, "set": [[name, value]], "gone": [names], "more": ask again}
  function changes(storage, before, generation) {
    const whole = generation !== before.generation;
    if (whole) before.items.clear();
    const set = [], gone = [];
    let more = false, room = PORTION;
    for (let i = 0, length = storage.length; i < length && !more; i++) {
      const name = storage.key(i), value = storage.getItem(name);
      if (before.items.get(name) === value) continue;
      before.items.set(name, value);
      set.push([name, value]);
      room -= name.length + value.length;
      more = room < 0;
    }
    if (!more && before.items.size !== storage.length) {
      for (const name of before.items.keys()) if (storage.getItem(name) === null) gone.push(name);
      for (const name of gone) before.items.delete(name);
    }
    if (whole || set.length || gone.length) before.generation = Math.random();
    return { generation: before.generation, whole, set, gone, more };
  }

  function put(storage, pairs) {
    const lost = [];
    for (const [name, value] of pairs) {
      try { storage.setItem(name, value); } catch (error) { lost.push(`item ${name}: ${why(error)}`); }
    }
    return lost;
  }

  // What could not be put is told in words, the rest is there.
  async function putInto(database, { name, records }) {
    const pairs = [];
    let failures = 0, reason;
    for (const [key, value] of records) {
      try { pairs.push([decode(key), decode(value)]); } catch (error) { failures++; reason = why(error); }
    }
    const transaction = database.transaction(name, "readwrite");
    const end = finished(transaction);
    const store = transaction.objectStore(name);
    for (const [key, value] of pairs) {
      try {
        // Chromium's key generator goes on after the highest number that it was given.
        const request = store.keyPath === null ? store.put(value, key ?? undefined) : store.put(value);
        request.onerror = (event) => { failures++; reason = request.error.name; event.preventDefault(); };
      } catch (error) { failures++; reason = why(error); }
    }
    await end;
    return failures ? [`object store ${name} of database ${database.name}: ${failures} records (${reason})`] : [];
  }

  return {
    // {"origin", "visible", "focus", "scroll": [x, y], "local": changes, "session": changes}. `local` and `session` are
    // the generations told last, 0 for none; null where the storage is not asked for. No storage: null.
    look(local, session) {
      const since = (generation, kind, storage) => {
        try { return generation === null ? null : changes(storage(), told[kind], generation); }
        catch { return null; } // a sandboxed frame or a data: page has none
      };
      return JSON.stringify({
        origin: location.origin,
        visible: document.visibilityState === "visible",
        focus: document.hasFocus(),
        scroll: [scrollX, scrollY],
        local: since(local, "local", () => localStorage),
        session: since(session, "session", () => sessionStorage),
      });
    },
    // {"secure", "granted": those of the `names` of permissions that the page has}
    async granted(names) {
      const ask = (name) =>
        navigator.permissions
          .query(name === "push" ? { name, userVisibleOnly: true } : { name })
          .then(({ state }) => state === "granted", () => false);
      const given = navigator.permissions ? await Promise.all(names.map(ask)) : [];
      return JSON.stringify({ secure: isSecureContext, granted: names.filter((_, i) => given[i]) });
    },
    // [[name, version]]
    databases: async () => JSON.stringify((await indexedDB.databases()).map(({ name, version }) => [name, version])),
    // {"version", "stores"}, these without records
    async schema(name) {
      const database = await open(name);
      try {
        const { version, objectStoreNames } = database;
        const names = Array.from(objectStoreNames);
        const all = names.length ? database.transaction(names) : null;
        return JSON.stringify({ version, stores: names.map((store) => schemaOf(all.objectStore(store))) });
      } finally { database.close(); }
    },
    // At most `count` records that come after the key `after` (encoded; null: the first), and about PORTION characters:
    // {"records", "last": key, "more", "full": the next one has more than `size`, "failures", "reason"}.
    async records(name, store, after, count, size) {
      const database = await open(name);
      try {
        const range = after === null ? undefined : IDBKeyRange.lowerBound(decode(after), true);
        const source = database.transaction(store).objectStore(store);
        const inline = source.keyPath !== null;
        const [keys, values] = await Promise.all([done(source.getAllKeys(range, count)), done(source.getAll(range, count))]);
        const records = [];
        let read = 0, room = PORTION, full = false, failures = 0, reason, began = performance.now();
        for (; read < keys.length && room > 0; read++) {
          if (performance.now() - began > SLICE) { await turn(); began = performance.now(); }
          try {
            const record = JSON.stringify([inline ? null : await encode(keys[read]), await encode(values[read])]);
            room -= record.length;
            size -= record.length;
            if (size < 0) { full = true; break; }
            records.push(record);
          } catch (error) { failures++; reason = why(error); }
        }
        const last = JSON.stringify(read ? await encode(keys[read - 1]) : after);
        const more = read < keys.length || keys.length === count;
        const rest = JSON.stringify({ more, full, failures, reason }).slice(1);
        return `{"records":[${records.join()}],"last":${last},${rest}`;
      } finally { database.close(); }
    },
    // Of a page that `placeholder.py` made, once it is there whole: {"visible", "lost": [words]}
    rested: () =>
      new Promise((resolve) => {
        const tell = () =>
          resolve(JSON.stringify({ visible: document.visibilityState === "visible", lost: globalThis.lost ?? [] }));
        if (document.readyState === "complete") tell();
        else addEventListener("load", tell, { once: true });
      }),
    // These items of localStorage in place of all that there are: [words]
    replaceLocal(local) {
      localStorage.clear();
      return JSON.stringify(put(localStorage, local));
    },
    // Items of localStorage, and databases with their schema and records; one that is there already stays as it is.
    // {"lost": [words], "made": [names of databases]}
    async put(local, databases) {
      const lost = put(localStorage, local), made = [];
      for (const { name, version, stores } of databases) {
        let fresh = false;
        try {
          const database = await open(name, version, (empty) => {
            fresh = true;
            for (const { name, keyPath, autoIncrement, indexes } of stores) {
              const store = empty.createObjectStore(name, { keyPath, autoIncrement });
              for (const { name, keyPath, unique, multiEntry } of indexes) {
                store.createIndex(name, keyPath, { unique, multiEntry });
              }
            }
          });
          try {
            if (!fresh) throw new Lost("is there already");
            made.push(name);
            for (const store of stores) if (store.records.length) lost.push(...(await putInto(database, store)));
          } finally { database.close(); }
        } catch (error) { lost.push(`database ${name}: ${error?.message ?? error}`); }
      }
      return JSON.stringify({ lost, made });
    },
    // More records of one object store: [words]
    async putRecords(name, store, records) {
      const database = await open(name);
      try { return JSON.stringify(await putInto(database, { name: store, records })); }
      finally { database.close(); }
    },
  };
})()
