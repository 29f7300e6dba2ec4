// The relay that Browserless is built on, alone: http-proxy as it is used there, on one upstream.
// Usage: node proxy.mjs ws://127.0.0.1:PORT/devtools/browser/GUID; prints the port it listens on.
import http from "node:http";
import httpProxy from "http-proxy";

const target = process.argv[2];
const proxy = httpProxy.createProxyServer();
// A client that resets its connection is no fault of the relay's.
proxy.on("error", (error, request, socket) => socket.destroy?.());

const server = http.createServer();
server.on("upgrade", (request, socket, head) => {
  socket.on("error", () => socket.destroy());
  delete request.headers.origin;
  request.url = "";
  proxy.ws(request, socket, head, { changeOrigin: true, target });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
