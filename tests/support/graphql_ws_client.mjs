// npm's own graphql-ws client: runs one operation and prints everything that it receives, one JSON value per line.
//   node graphql_ws_client.mjs <ws url> <operation, or its request as JSON> <authorization> [events until it completes by itself]
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, query, authorization, most = 'Infinity'] = process.argv.slice(2);
const print = (kind, value) => console.log(JSON.stringify({ [kind]: value ?? null }));
let events = 0;

const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: authorization },
  retryAttempts: 100,
  // By default, it stops retrying if no server listens, as between the end of one gateway and the start of the next.
  shouldRetry: () => true,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
  on: {
    connected: () => print('connected'),
    closed: ({ code }) => print('closed', code),
  },
});
const unsubscribe = client.subscribe(
  query.startsWith('{"') ? JSON.parse(query) : { query },
  {
    next: (result) => {
      print('next', result);
      events += 1;
      if (events >= Number(most)) unsubscribe();
    },
    error: (error) => print('error', Array.isArray(error) ? error : { code: error.code, reason: error.reason }),
    complete: () => print('complete'),
  },
);
