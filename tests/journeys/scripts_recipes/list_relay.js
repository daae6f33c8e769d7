// Shows the user's threads, all pages of two, and those that a search finds for each line it is sent: node list_relay.js
import { createElement, Suspense, useEffect, useState } from 'react';
import { fetchQuery, graphql, RelayEnvironmentProvider, useLazyLoadQuery } from 'react-relay';
import TestRenderer from 'react-test-renderer';
import { environment } from './environment.js';
import { onLine, print, socket } from './socket.js';
import { shownThreads } from './thread-list.js';
import { useFollowThreads, useThreads } from './Threads.js';

globalThis.IS_REACT_NATIVE_TEST_ENVIRONMENT = true; // the renderer says otherwise that it is deprecated

const QUERY = graphql`
  query listRelayQuery($text: String!) {
    viewer { ...Threads_viewer @arguments(text: $text, first: 2) }
  }
`;
const readAgain = () => fetchQuery(environment, QUERY, { text: '' }).subscribe({});

function Threads({ text, name }) {
  const { data, hasNext, isLoadingNext, loadNext } = useThreads(useLazyLoadQuery(QUERY, { text }).viewer);
  const titles = shownThreads(data.threads.edges.map(({ node }) => node)).map(({ title }) => title);
  const isWhole = !hasNext && !isLoadingNext;
  useEffect(() => print(name, titles));
  useEffect(() => {
    if (hasNext && !isLoadingNext) loadNext(2);
  });
  useEffect(() => {
    if (isWhole) print('complete');
  }, [isWhole]);
  return null;
}

function Lists() {
  const [text, setText] = useState();
  useFollowThreads(readAgain);
  useEffect(() => {
    onLine(setText);
  }, []);
  const search = text && createElement(Threads, { text, name: 'found' });
  return createElement(Suspense, null, createElement(Threads, { text: '', name: 'titles' }), createElement(Suspense, null, search));
}

socket.on('connected', () => setTimeout(() => print('following'))); // the subscription has been sent
TestRenderer.create(createElement(RelayEnvironmentProvider, { environment }, createElement(Lists)));
