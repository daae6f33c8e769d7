// Follows a subscription by npm's graphql-ws, renews its token by a ping, and prints everything that it receives, one
// JSON value per line.
//   node ... <ws url> <request as JSON> <tokens as JSON> <number of the event after which it renews>
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, request, tokens, renewAfter] = process.argv.slice(2);
const { query, variables } = JSON.parse(request);
const remaining = JSON.parse(tokens);
const print = (kind, value) => console.log(JSON.stringify({ [kind]: value ?? null }));
let events = 0;
let after;

const authorize = () => ({ Authorization: `Bearer ${remaining.shift()}` });
let socket;

const client = createClient({
  url,
  connectionParams: authorize,
  webSocketImpl: WebSocket,
  retryWait: async () => undefined,
});
client.on('connected', (connected) => {
  socket = connected;
  print('connected');
});
client.on('closed', ({ code }) => print('closed', code));
client.on('pong', () => print('pong'));
client.subscribe(
  { query, variables: { ...variables, get after() { return after; } } },
  {
    next: (result) => {
      print('next', result);
      after = Object.values(result.data)[0].cursor ?? after;
      events += 1;
      if (events === Number(renewAfter)) socket.send(JSON.stringify({ type: 'ping', payload: authorize() }));
    },
    error: (error) => print('error', Array.isArray(error) ? error : { code: error.code, reason: error.reason }),
    complete: () => print('complete'),
  },
);
