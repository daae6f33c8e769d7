// Shows a thread while a run writes into it, then writes each line it is sent: node use_urql.js <thread> <run> <cursor of the second message>
import { gql } from '@urql/core';
import { onLine, print } from './socket.js';
import { client, follow } from './urql.js';

const [thread, run, middle] = process.argv.slice(2);

const MESSAGES = gql`
  query Messages($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    thread(id: $id) {
      id
      messages(first: $first, after: $after, last: $last, before: $before) {
        nodes { id role text }
        pageInfo { hasPreviousPage startCursor hasNextPage endCursor }
      }
    }
  }
`;
const RUN = gql`
  query Run($id: ID!) {
    node(id: $id) {
      ... on Node { found: id }
      ... on Run { id usage { totalTokens } steps { nodes { id details { ... on MessageCreationDetails { message { id } } } } } }
    }
  }
`;
const CREATE = gql`
  mutation Create($thread: ID!, $text: String!) {
    createMessage(input: { threadId: $thread, content: [{ text: $text }] }) {
      message { id role text thread { id } }
      userErrors { code message }
    }
  }
`;

const shown = ({ data, error }) => {
  if (error) print('warning', String(error));
  return data;
};
let list;
const page = (variables) => client.query(MESSAGES, { id: thread, ...variables });
page({ last: 2 }).subscribe((result) => {
  list = shown(result).thread.messages;
  print('texts', list.nodes.map(({ text }) => text));
});
await page({ last: 2 }).toPromise();
shown(await page({ last: 2, before: list.pageInfo.startCursor }).toPromise());
shown(await page({ first: 2 }).toPromise());
shown(await page({ first: 2, after: middle }).toPromise());
follow(run);

onLine(async (text) => {
  print('found', shown(await client.query(RUN, { id: run }).toPromise()).node.found);
  shown(await client.mutation(CREATE, { thread, text }).toPromise());
  print('written');
});
