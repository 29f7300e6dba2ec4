// Keeps /offline at its installation, and answers it from there for ever: the server is asked once.
const KEPT = "app-v1";

addEventListener("install", (event) => {
  skipWaiting();
  event.waitUntil(caches.open(KEPT).then((cache) => cache.add("/offline")));
});
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  if (new URL(event.request.url).pathname !== "/offline") return;
  event.respondWith(caches.match("/offline").then((kept) => kept ?? new Response("not kept", { status: 504 })));
});
