// Runs below the client of gateway/README.md that renews its token, and prints everything that it receives, one JSON
// value per line.
//   node ... <ws url> <request as JSON> <tokens as JSON> <number of the event after which it renews>
import WebSocket from 'ws';

const [url, request, tokens, renewAfter] = process.argv.slice(2);
const { query, variables } = JSON.parse(request);
const remaining = JSON.parse(tokens);
const print = (kind, value) => console.log(JSON.stringify({ [kind]: value ?? null }));
let events = 0;
let after;

const client = createRenewingClient({
  url,
  getToken: async () => remaining.shift(),
  webSocketImpl: WebSocket,
  retryWait: async () => undefined,
});
client.on('connected', () => print('connected'));
client.on('closed', ({ code }) => print('closed', code));
client.on('pong', () => print('pong'));
client.subscribe(
  { query, variables: { ...variables, get after() { return after; } } },
  {
    next: (result) => {
      print('next', result);
      after = Object.values(result.data)[0].cursor ?? after;
      events += 1;
      if (events === Number(renewAfter)) client.renew();
    },
    error: (error) => print('error', Array.isArray(error) ? error : { code: error.code, reason: error.reason }),
    complete: () => print('complete'),
  },
);
