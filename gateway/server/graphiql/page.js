self.MonacoEnvironment = { globalAPI: false, getWorkerUrl: (moduleId, label) => workers[label] };

options.storage = {
  get length() { return localStorage.length; },
  getItem: (key) => localStorage.getItem(prefix + key),
  setItem: (key, value) => localStorage.setItem(prefix + key, value),
  removeItem: (key) => localStorage.removeItem(prefix + key),
  clear: () => Object.keys(localStorage).filter((key) => key.startsWith(prefix))
    .forEach((key) => localStorage.removeItem(key)),
};

// GraphiQL opens the tab that holds this text: the tab that was open before, or the first example.
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

// Without this the page writes the operation into its own address, and so into every access log.
options.onEditQuery = () => {};

// The package's own fetcher shows each event in place of the one before it, keeps the header editor's Authorization
// from its WebSocket, and says nothing of why a socket was closed.
options.fetcher = (request, { headers, documentAST } = {}) =>
  kindOf(documentAST, request.operationName) === "subscription" ? follow(request, headers) : ask(request, headers);

function kindOf(document, name) {
  const operations = (document?.definitions ?? []).filter(({ kind }) => kind === "OperationDefinition");
  return (operations.find((operation) => operation.name?.value === name) ?? operations[0])?.operation;
}

// The run that was started last, and the document that did: the same document's subscription follows it.
const started = { query: null, run: null };

async function ask(request, headers) {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json, application/json",
      ...headers,
      "Content-Type": "application/json",
    },
    body: JSON.stringify(request),
  });
  const answer = await response.json();
  const run = Object.values(answer.data ?? {}).map((field) => field?.run?.id).find(Boolean);
  if (run) Object.assign(started, { query: request.query, run });
  return answer;
}

const MOST_SHOWN = 100;

// What comes over a socket of its own (graphql-transport-ws), the newest event on top.
function follow(request, headers) {
  const run = started.query === request.query ? started.run : undefined;
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
      const on = {
        connection_ack: () => send({ id: "1", type: "subscribe", payload }),
        ping: () => send({ type: "pong" }),
        next(event) {
          shown.events += 1;
          shown.newestFirst = [event.errors ? event : event.data, ...shown.newestFirst].slice(0, MOST_SHOWN);
          observer.next(shown);
        },
        error: (errors) => finish(shown.events ? "ended with an error" : "refused", errors),
        complete: () => finish("complete"),
      };
      socket.onopen = () => send({ type: "connection_init", payload: { headers } });
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        on[message.type]?.(message.payload);
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
