// npm's own graphql-ws client: runs one operation and prints what it is told, one JSON value a line.
//   node graphql_ws_client.mjs <ws url> <operation> <authorization> [events until it completes by itself]
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, query, authorization, most = 'Infinity'] = process.argv.slice(2);
const say = (kind, value) => console.log(JSON.stringify({ [kind]: value ?? null }));
let events = 0;

const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: authorization },
  retryAttempts: 100,
  // Its own choice gives up where nobody listens, as between the end of one gateway and the start of the next.
  shouldRetry: () => true,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
  on: {
    connected: () => say('connected'),
    closed: ({ code }) => say('closed', code),
  },
});
const leave = client.subscribe(
  { query },
  {
    next: (answer) => {
      say('next', answer);
      events += 1;
      if (events >= Number(most)) leave();
    },
    error: (error) => say('error', Array.isArray(error) ? error : { code: error.code, reason: error.reason }),
    complete: () => say('complete'),
  },
);
