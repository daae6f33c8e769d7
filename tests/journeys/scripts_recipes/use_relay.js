// Shows a thread while a run writes into it, then writes each line it is sent: node use_relay.js <thread> <run> <cursor of the second message>
import { createElement, Suspense, useEffect } from 'react';
import { graphql, RelayEnvironmentProvider, useLazyLoadQuery } from 'react-relay';
import TestRenderer from 'react-test-renderer';
import { environment } from './environment.js';
import { useCreateMessage, useFollow, useMessages } from './Messages.js';
import { onLine, print } from './socket.js';

const [thread, run, middle] = process.argv.slice(2);
globalThis.IS_REACT_NATIVE_TEST_ENVIRONMENT = true; // the renderer says otherwise that it is deprecated

const QUERY = graphql`
  query useRelayQuery($id: ID!, $middle: String) {
    thread(id: $id) { ...Messages_thread @arguments(first: 2, after: $middle) }
  }
`;

function Follow({ connection }) {
  useFollow(run, connection);
  return null;
}

function Thread() {
  const { data, hasNext, hasPrevious, isLoadingNext, isLoadingPrevious, loadNext, loadPrevious } = useMessages(
    useLazyLoadQuery(QUERY, { id: thread, middle }).thread,
  );
  const { __id: connection, edges } = data.messages;
  const [createMessage] = useCreateMessage();
  useEffect(() => print('texts', edges.map(({ node }) => node.text)));
  useEffect(() => {
    onLine((text) => {
      const input = { threadId: thread, content: [{ text }] };
      const variables = { input, connections: [connection] };
      createMessage({ variables, onCompleted: () => print('written') });
    });
  }, []);
  useEffect(() => {
    if (isLoadingNext || isLoadingPrevious) return;
    if (hasPrevious) loadPrevious(2);
    else if (hasNext) loadNext(2);
  });
  return hasNext || hasPrevious ? null : createElement(Follow, { connection });
}

const screen = createElement(Suspense, null, createElement(Thread));
TestRenderer.create(createElement(RelayEnvironmentProvider, { environment }, screen));
