// Shows the user's threads, all pages of two, and those that a search finds for each line it is sent: node list_apollo.js
import { client } from './apollo.js';
import { followThreads, THREADS } from './apollo-threads.js';
import { onLine, print, socket } from './socket.js';
import { shownThreads } from './thread-list.js';

const titles = (list) => shownThreads(list.edges.map(({ node }) => node)).map(({ title }) => title);

socket.on('connected', () => setTimeout(() => print('following'))); // the subscription has been sent
followThreads();
const first = { query: THREADS, variables: { text: '', first: 2 } };
let { pageInfo } = (await client.query(first)).data.viewer.threads;
const threads = client.watchQuery(first);
threads.subscribe(({ data }) => {
  if (data?.viewer) print('titles', titles(data.viewer.threads));
});
while (pageInfo.hasNextPage) {
  const { data } = await threads.fetchMore({ variables: { after: pageInfo.endCursor } });
  ({ pageInfo } = data.viewer.threads);
}
print('complete');

onLine(async (text) => {
  const { data } = await client.query({ query: THREADS, variables: { text } });
  print('found', titles(data.viewer.threads));
});
