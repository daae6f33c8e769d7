// npm's own graphql-sse client: runs one operation and prints everything that it receives, one JSON value per line.
//   node graphql_sse_client.mjs <url> <operation, or its request as JSON> <authorization> [events until it stops by itself]
import { createClient } from 'graphql-sse';

const [url, query, authorization, most = 'Infinity'] = process.argv.slice(2);
const print = (kind, value) => console.log(JSON.stringify({ [kind]: value ?? null }));
let events = 0;

const client = createClient({
  url,
  headers: { Authorization: authorization },
  retryAttempts: 100,
  retry: () => {
    print('retry');
    return new Promise((resolve) => setTimeout(resolve, 50));
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
    error: (error) => print('error', Array.isArray(error) ? error : error.message),
    complete: () => print('complete'),
  },
);
