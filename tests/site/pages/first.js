// What the first inline script of a page finds, before anything else has run or was written.
window.birth = crypto.randomUUID();
window.found = {
  cookie: document.cookie,
  token: localStorage.getItem("token"),
  draft: sessionStorage.getItem("draft"),
  loads: Number(sessionStorage.getItem("loads")),
  localStorage: { ...localStorage },
  sessionStorage: { ...sessionStorage },
  controlled: Boolean(navigator.serviceWorker?.controller),
};
// Counted in each tab: whoever writes sessionStorage a second time sets it back.
sessionStorage.setItem("loads", found.loads + 1);
// Writes of other pages of this origin: [key, old value, new value].
window.told = [];
addEventListener("storage", ({ key, oldValue, newValue }) => told.push([key, oldValue, newValue]));
// The database is opened right here: `created` where there was none. `looked` is there once it was read.
window.looked = new Promise((resolve, reject) => {
  const opening = indexedDB.open("app", 2);
  found.created = false;
  opening.onupgradeneeded = () => {
    found.created = true;
    const notes = opening.result.createObjectStore("notes", { keyPath: "visit" });
    notes.createIndex("by_text", "text", { unique: false });
    notes.createIndex("by_tags", "tags", { multiEntry: true });
    opening.result.createObjectStore("log", { autoIncrement: true });
  };
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const reading = opening.result.transaction("notes").objectStore("notes").getAllKeys();
    reading.onsuccess = () => {
      found.notes = reading.result;
      resolve(opening.result);
    };
  };
});
// Shows `found` in #found, and says so.
window.show = () => {
  document.getElementById("found").textContent = JSON.stringify(found);
  document.documentElement.dataset.ready = "yes";
};
const database = () =>
  new Promise((resolve) => {
    const opening = indexedDB.open("app", 2);
    opening.onupgradeneeded = () => opening.transaction.abort();
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => resolve(null);
  });
const cookies = () => Object.fromEntries(document.cookie.split("; ").map((pair) => pair.split("=")));
// Writes `value` to each place at once: two cookies, both kinds of storage, the database.
window.write = async (value) => {
  document.cookie = `last=${value}`;
  document.cookie = `lasting=${value}; max-age=86400`;
  localStorage.setItem("last", value);
  sessionStorage.setItem("last", value);
  const open = await database();
  const writing = open.transaction("log", "readwrite");
  writing.objectStore("log").add(value);
  await new Promise((resolve) => (writing.oncomplete = resolve));
  open.close();
};
// What is there now, for a test that comes later. `last` is what `write` has written in each of its places.
window.look = async () => {
  const open = await database();
  const all = (store) =>
    new Promise((resolve) => {
      const reading = open.transaction(store).objectStore(store).getAll();
      reading.onsuccess = () => resolve(reading.result);
    });
  const [notes, log] = open ? [await all("notes"), await all("log")] : [[], []];
  open?.close();
  const kept = navigator.serviceWorker.controller ? await (await fetch("/offline")).text() : "";
  return {
    server: await (await fetch("/whoami")).json(),
    token: localStorage.getItem("token"),
    draft: sessionStorage.getItem("draft"),
    loads: Number(sessionStorage.getItem("loads")),
    notes: notes.map(({ visit, at, bytes, blob }) => [visit, at.toISOString(), [...bytes], blob.size]),
    offline: kept.includes("Kept for when there is no server") && await caches.has("app-v1"),
    last: {
      sessionCookie: cookies().last ?? null,
      persistentCookie: cookies().lasting ?? null,
      localStorage: localStorage.getItem("last"),
      sessionStorage: sessionStorage.getItem("last"),
      indexedDB: log.at(-1) ?? null,
    },
  };
};
