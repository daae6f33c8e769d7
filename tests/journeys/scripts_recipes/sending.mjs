// The files that a user would have chosen, and how a script tells what it shows.
import { readFileSync } from 'node:fs';

export const endpoint = process.env.ENDPOINT;
export const print = (name, value = true) => console.log(JSON.stringify({ [name]: value }));
console.warn = console.error = (...words) => print('warning', words.map(String).join(' '));

export const chosenFiles = () => [
  new File([readFileSync('flag.png')], 'flag.png', { type: 'image/png' }),
  new File(['city,visitors\nNara,13\n'], 'Besucher – 2026.csv', { type: 'text/csv' }),
];
