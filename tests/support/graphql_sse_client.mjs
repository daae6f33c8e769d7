// npm's own graphql-sse client: runs one operation and prints what it is told, one JSON value a line.
//   node graphql_sse_client.mjs <url> <operation> <authorization> [events until it leaves by itself]
import { createClient } from 'graphql-sse';

const [url, query, authorization, most = 'Infinity'] = process.argv.slice(2);
const say = (kind, value) => console.log(JSON.stringify({ [kind]: value ?? null }));
let events = 0;

const client = createClient({
  url,
  headers: { Authorization: authorization },
  retryAttempts: 100,
  retry: () => {
    say('retry');
    return new Promise((resolve) => setTimeout(resolve, 50));
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
    error: (error) => say('error', Array.isArray(error) ? error : error.message),
    complete: () => say('complete'),
  },
);
