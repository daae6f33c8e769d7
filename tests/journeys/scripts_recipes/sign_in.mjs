// Loaded before a client: signs `alice` in by the page's `sign-in.js`, as a browser would that follows its redirects.
import { users } from './sign-in.js';

const url = await new Promise((resolve) => {
  const self = { location: { assign: resolve } };
  globalThis.window = { self, addEventListener() {} };
  users.signinRedirect();
});
delete globalThis.window;
const form = new URLSearchParams([...new URL(url).searchParams, ['user', 'alice']]);
const answer = await fetch(new URL('/login', url), { method: 'POST', body: form, redirect: 'manual' });
await users.signinCallback(answer.headers.get('location'));
