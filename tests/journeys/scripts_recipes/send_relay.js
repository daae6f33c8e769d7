// Sends an image and a table to a thread, and shows the elements of both: node send_relay.js <thread>
import { createElement, Suspense, useEffect } from 'react';
import { graphql, RelayEnvironmentProvider, useLazyLoadQuery } from 'react-relay';
import TestRenderer from 'react-test-renderer';
import { environment } from './environment.js';
import { messageWith, sendFile } from './files.js';
import { MessageFiles } from './MessageFiles.js';
import { useCreateMessage } from './Messages.js';
import { chosenFiles, print } from './sending.mjs';

const [thread] = process.argv.slice(2);
globalThis.IS_REACT_NATIVE_TEST_ENVIRONMENT = true; // the renderer says otherwise that it is deprecated

const QUERY = graphql`
  query sendRelayQuery($id: ID!) {
    thread(id: $id) { messages(last: 1) { nodes { id ...MessageFiles_message } } }
  }
`;

function Shown({ onShown }) {
  const { thread: found } = useLazyLoadQuery(QUERY, { id: thread });
  useEffect(onShown, []);
  return found.messages.nodes.map((message) => createElement(MessageFiles, { key: message.id, message }));
}

function Sender({ onSent }) {
  const [createMessage] = useCreateMessage();
  useEffect(() => {
    (async () => {
      const files = await Promise.all(chosenFiles().map(sendFile));
      const input = { threadId: thread, ...messageWith('Look.', files) };
      createMessage({ variables: { input, connections: [] }, onCompleted: onSent });
    })();
  }, []);
  return null;
}

const shown = (child) => createElement(RelayEnvironmentProvider, { environment }, createElement(Suspense, null, child));
await new Promise((onSent) => TestRenderer.create(shown(createElement(Sender, { onSent }))));
const renderer = await new Promise((onShown) => {
  const made = TestRenderer.create(shown(createElement(Shown, { onShown: () => onShown(made) })));
});
const elements = (type) => renderer.root.findAllByType(type).map(({ props }) => props);
print('images', elements('img').map(({ alt, src }) => [alt, src]));
print('downloads', elements('a').map(({ children, href }) => [children, href]));
