// Requests over HTTP; subscriptions over a WebSocket or over server-sent events, as the reader of the page chooses.
import { createClient as createEventStreams } from "graphql-sse";
import { createClient as createWebSocket } from "graphql-ws";
import { credential, endpoint } from "./settings.js";

const webSocket = createWebSocket({
  url: endpoint.href.replace(/^http/, "ws"),
  connectionParams: credential, // a browser's WebSocket cannot send headers
});
const eventStreams = createEventStreams({ url: endpoint.href, headers: credential });

export const readTransport = () => localStorage.getItem("transport") ?? "websocket";
export const storeTransport = (name) => localStorage.setItem("transport", name);

/** Sends a query or a mutation. Returns its response, which may have `errors`. */
export async function execute(operation) {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { ...credential, "Content-Type": "application/json", Accept: "application/graphql-response+json" },
    body: JSON.stringify(operation),
  });
  return response.json();
}

/** Starts a subscription. After a lost connection both clients send it again, with the same variables. */
export function subscribe(operation, sink) {
  return (readTransport() === "websocket" ? webSocket : eventStreams).subscribe(operation, sink);
}
