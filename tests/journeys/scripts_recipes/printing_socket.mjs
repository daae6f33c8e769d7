// Stands in for the page's `socket.js` and prints each event. REPLAY=1 subscribes without `after`.
import { createInterface } from 'node:readline';
import * as recipe from './recipe_socket.js';

export const print = (name, value = true) => console.log(JSON.stringify({ [name]: value }));

/** Call a function with each line that the test sends. */
export const onLine = (callback) => createInterface({ input: process.stdin }).on('line', callback);

export const { socket } = recipe;
socket.on('connected', () => print('connected'));
socket.on('closed', ({ code }) => print('closed', code));
console.warn = console.error = (...words) => print('warning', words.map(String).join(' '));

export function subscribe(payload, sink) {
  const next = (result) => {
    print('event', result);
    sink.next(result);
  };
  const end = { error: (error) => sink.error(error), complete: () => sink.complete() };
  return (process.env.REPLAY ? socket : recipe).subscribe(payload, { next, ...end });
}
