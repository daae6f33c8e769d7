// Follows a run by `append`: node use_append.js <thread> <run>. NAIVE=1 forgets what a snapshot means.
import { append } from './append.js';
import { RUN_EVENTS } from './run-events.js';
import { print, subscribe } from './socket.js';

const runId = process.argv[3];
let texts = {};
subscribe(
  { query: RUN_EVENTS, variables: { runId } },
  {
    next({ data: { runEvents: event } }) {
      if (process.env.NAIVE && event.__typename === 'RunSnapshot') return;
      texts = append(texts, event);
      print('texts', Object.values(texts));
    },
    error: (error) => print('warning', String(error)),
    complete: () => print('complete'),
  },
);
