// Shows the user's threads, all pages of two, and those that a search finds for each line it is sent: node list_urql.js
import { onLine, print, socket } from './socket.js';
import { shownThreads } from './thread-list.js';
import { client } from './urql.js';
import { followThreads, THREADS } from './urql-threads.js';

const titles = ({ nodes }) => shownThreads(nodes).map(({ title }) => title);

socket.on('connected', () => setTimeout(() => print('following'))); // the subscription has been sent
followThreads(client);
let list = (await client.query(THREADS, { text: '', first: 2 }).toPromise()).data.viewer.threads;
print('titles', titles(list));
let after;
while (list.pageInfo.hasNextPage) {
  after = list.pageInfo.endCursor;
  list = (await client.query(THREADS, { text: '', first: 2, after }).toPromise()).data.viewer.threads;
  print('titles', titles(list));
}
client.query(THREADS, { text: '', first: 2, after }).subscribe(({ data, error }) => {
  if (error) print('warning', String(error));
  if (data) print('titles', titles(data.viewer.threads));
});
print('complete');

onLine(async (text) => {
  const { data } = await client.query(THREADS, { text }).toPromise();
  print('found', titles(data.viewer.threads));
});
