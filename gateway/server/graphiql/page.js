self.MonacoEnvironment = { globalAPI: false, getWorkerUrl: (moduleId, label) => workers[label] };

options.storage = {
  get length() { return localStorage.length; },
  getItem: (key) => localStorage.getItem(prefix + key),
  setItem: (key, value) => localStorage.setItem(prefix + key, value),
  removeItem: (key) => localStorage.removeItem(prefix + key),
  clear: () => Object.keys(localStorage).filter((key) => key.startsWith(prefix))
    .forEach((key) => localStorage.removeItem(key)),
};

// GraphiQL opens the tab with this text: the tab that was open last, or the first example.
function openTab() {
  try {
    const saved = JSON.parse(options.storage.getItem("graphiql:tabState"));
    return saved.tabs[saved.activeTabIndex];
  } catch {
    return options.defaultTabs[0];
  }
}
const tab = openTab();
if (tab) {
  options.query = tab.query ?? "";
  options.variables = tab.variables ?? "";
}

// Without this callback, the package writes the operation into the page's URL, and so into access logs.
options.onEditQuery = () => {};

// The package's own fetcher replaces each event by the next one, does not send the header editor's Authorization over
// its WebSocket, and does not show why a socket was closed.
options.fetcher = (request, { headers, documentAST } = {}) =>
  operationType(documentAST, request.operationName) === "subscription" ? subscribe(request, headers) : execute(request, headers);

function operationType(document, name) {
  const operations = (document?.definitions ?? []).filter(({ kind }) => kind === "OperationDefinition");
  return (operations.find((operation) => operation.name?.value === name) ?? operations[0])?.operation;
}

// The run that was started last, and the document that started it. A subscription of the same document follows the run.
const lastStarted = { query: null, run: null };

async function execute(request, headers) {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json, application/json",
      ...headers,
      "Content-Type": "application/json",
    },
    body: JSON.stringify(request),
  });
  const result = await response.json();
  const run = Object.values(result.data ?? {}).map((field) => field?.run?.id).find(Boolean);
  if (run) Object.assign(lastStarted, { query: request.query, run });
  return result;
}

const MAX_SHOWN_EVENTS = 100;

// Runs a subscription over its own WebSocket (graphql-transport-ws) and shows the newest event on top.
function subscribe(request, headers) {
  const run = lastStarted.query === request.query ? lastStarted.run : undefined;
  const payload = { ...request, variables: { run, ...request.variables } };
  const url = new URL(endpoint, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  return {
    subscribe(observer) {
      const socket = new WebSocket(url, "graphql-transport-ws");
      const send = (message) => socket.send(JSON.stringify(message));
      const shown = { subscription: "open", events: 0, newestFirst: [] };
      const finish = (subscription, errors) => {
        socket.onclose = null;
        socket.close(1000);
        observer.next({ ...shown, subscription, errors });
        observer.complete();
      };
      const handlers = {
        connection_ack: () => send({ id: "1", type: "subscribe", payload }),
        ping: () => send({ type: "pong" }),
        next(event) {
          shown.events += 1;
          shown.newestFirst = [event.errors ? event : event.data, ...shown.newestFirst].slice(0, MAX_SHOWN_EVENTS);
          observer.next(shown);
        },
        error: (errors) => finish(shown.events ? "ended with an error" : "refused", errors),
        complete: () => finish("complete"),
      };
      socket.onopen = () => send({ type: "connection_init", payload: { headers } });
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        handlers[message.type]?.(message.payload);
      };
      socket.onclose = ({ code, reason }) => finish(`closed: ${code} ${reason}`.trim());
      return {
        unsubscribe() {
          socket.onclose = socket.onmessage = null;
          socket.close(1000);
        },
      };
    },
  };
}
