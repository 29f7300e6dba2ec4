// A shared worker that greets who connects, and a service worker that answers for one path.
if ("ServiceWorkerGlobalScope" in self) {
  addEventListener("install", () => skipWaiting());
  addEventListener("fetch", (event) => {
    if (event.request.url.endsWith("/from-the-service-worker")) {
      event.respondWith(new Response("intercepted", { headers: { "Content-Type": "text/html" } }));
    }
  });
} else {
  addEventListener("connect", (event) => event.ports[0].postMessage("from the shared worker"));
}
