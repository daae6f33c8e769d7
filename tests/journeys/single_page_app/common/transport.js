// Requests over HTTP; subscriptions over a WebSocket or over server-sent events, as the reader of the page chooses.
import { createClient as createEventStreams, NetworkError } from "graphql-sse";
import { createClient as createWebSocket } from "graphql-ws";
import { endpoint } from "./settings.js";
import { credential, fetchAsUser, onRenewal } from "./sign_in.js";

// Both clients ask for the credential each time that they connect: a browser's WebSocket cannot send headers.
const eventStreams = createEventStreams({ url: endpoint.href, headers: credential });
const webSocket = createWebSocket({
  url: endpoint.href.replace(/^http/, "ws"),
  connectionParams: credential,
  shouldRetry: () => true, // also while no gateway, or no provider, can be reached
});

// An open socket goes on under a new token once it has been told. Otherwise it closes with 4403 as its token ends.
let openSocket;
webSocket.on("connected", (socket) => (openSocket = socket));
webSocket.on("closed", () => (openSocket = undefined));
onRenewal((token) => openSocket?.send(JSON.stringify({ type: "ping", payload: { Authorization: `Bearer ${token}` } })));

export const readTransport = () => localStorage.getItem("transport") ?? "websocket";
export const storeTransport = (name) => localStorage.setItem("transport", name);

/** Sends a query or a mutation. Returns its response, which may have `errors`. */
export async function execute(operation) {
  const response = await fetchAsUser(endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/graphql-response+json" },
    body: JSON.stringify(operation),
  });
  return response.json();
}

/** Starts a subscription. After a lost connection, or the end of its token, it goes on behind its last event. */
export function subscribe({ query, variables }, sink) {
  let { after } = variables;
  const operation = {
    query,
    // A getter, since both clients read the variables each time that they connect.
    variables: {
      ...variables,
      get after() {
        return after;
      },
    },
  };
  const client = readTransport() === "websocket" ? webSocket : eventStreams;
  return client.subscribe(operation, {
    next(result) {
      // An event stream ends so with its token. Its client connects again after this error.
      if (result.errors?.some(isSignInNeeded)) throw new NetworkError("the token has ended");
      const [event] = Object.values(result.data ?? {});
      after = event?.cursor ?? after;
      sink.next(result);
    },
    error: (error) => sink.error(error),
    complete: () => sink.complete(),
  });
}

const isSignInNeeded = ({ extensions }) => extensions?.code === "UNAUTHENTICATED";
