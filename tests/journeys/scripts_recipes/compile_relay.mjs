// Does what a bundler does: imports what relay-compiler wrote in the place of each `graphql` text, by its full file name.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { transformSync } from '@babel/core';

const options = { configFile: false, plugins: [['relay', { eagerEsModules: true }]] };
const recipes = ['MessageFiles.js', 'Messages.js', 'Threads.js', 'list_relay.js', 'send_relay.js', 'use_relay.js'];
for (const name of [...recipes, ...readdirSync('__generated__').map((file) => `__generated__/${file}`)]) {
  const { code } = transformSync(readFileSync(name, 'utf8'), { ...options, filename: name });
  writeFileSync(name, code.replace(/^(import .*\.graphql)(["'];)$/gm, '$1.js$2'));
}
