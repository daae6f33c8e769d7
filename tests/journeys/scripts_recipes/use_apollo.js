// Shows a thread while a run writes into it, then writes each line it is sent: node use_apollo.js <thread> <run> <cursor of the second message>
import { gql } from '@apollo/client';
import { appendMessage, client, follow } from './apollo.js';
import { onLine, print } from './socket.js';

const [thread, run, middle] = process.argv.slice(2);

const MESSAGES = gql`
  query Messages($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    thread(id: $id) {
      id
      messages(first: $first, after: $after, last: $last, before: $before) {
        edges { node { id role text } }
        pageInfo { hasPreviousPage startCursor hasNextPage endCursor }
      }
    }
  }
`;
const RUN = gql`
  query Run($id: ID!) {
    node(id: $id) {
      ... on Node { found: id }
      ... on Run { id usage { totalTokens } steps { edges { node { id details { ... on MessageCreationDetails { message { id } } } } } } }
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

const messages = client.watchQuery({ query: MESSAGES, variables: { id: thread, first: 2, after: middle } });
let list;
await new Promise((resolve) => {
  messages.subscribe(({ data }) => {
    list = data?.thread?.messages;
    if (list) print('texts', list.edges.map(({ node }) => node.text));
    if (list) resolve();
  });
});
const clear = { first: undefined, after: undefined, last: undefined, before: undefined };
await messages.fetchMore({ variables: { ...clear, last: 2, before: list.pageInfo.startCursor } });
await messages.fetchMore({ variables: { ...clear, first: 2, after: list.pageInfo.endCursor } });
follow(run);

onLine(async (text) => {
  const read = await client.query({ query: RUN, variables: { id: run } });
  print('found', read.data.node.found);
  await client.mutate({
    mutation: CREATE,
    variables: { thread, text },
    update: (cache, { data: { createMessage } }) => appendMessage(createMessage.message),
  });
  print('written');
});
