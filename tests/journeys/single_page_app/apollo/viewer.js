import { startTransition } from "react";
import { gql } from "@apollo/client";
import { useApolloClient, useSubscription, useSuspenseQuery } from "@apollo/client/react";
import * as operations from "../common/operations.js";
import { ALL, isGap, shownThreads, shownWaitingRuns } from "../common/viewer.js";

const THREADS = gql(`
  query Threads($words: String!, $after: String) {
    viewer {
      id
      threads(first: 20, after: $after, filter: { isArchived: false, text: $words }) {
        edges { cursor node { ${operations.THREAD_FIELDS} } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`);
const ALL_THREADS = { query: THREADS, variables: { words: ALL } };
const WAITING_RUNS = { query: gql(operations.WAITING_RUNS) };
const VIEWER_EVENTS = gql(operations.VIEWER_EVENTS);

export function useThreads(words) {
  const { data, fetchMore } = useSuspenseQuery(THREADS, {
    variables: { words },
    fetchPolicy: "cache-and-network",
    errorPolicy: "all",
  });
  const page = data?.viewer?.threads;
  return {
    threads: shownThreads(page?.edges.map(({ node }) => node) ?? []),
    problem: page ? null : "The list cannot be read now.",
    hasMore: page?.pageInfo.hasNextPage,
    loadMore: () => startTransition(() => void fetchMore({ variables: { after: page.pageInfo.endCursor } })),
  };
}

export function useWaitingRuns() {
  const { data } = useSuspenseQuery(WAITING_RUNS.query, { fetchPolicy: "cache-and-network", errorPolicy: "all" });
  return shownWaitingRuns(data?.viewer?.waitingRuns?.nodes ?? []);
}

/** Follows the user's lists, so that they show what happens on any of the user's pages. */
export function FollowViewer() {
  const client = useApolloClient();
  useSubscription(VIEWER_EVENTS, {
    ignoreResults: true,
    onData({ data }) {
      const event = data.data.viewerEvents;
      applyToLists(client.cache, event);
      if (isGap(event)) for (const list of [ALL_THREADS, WAITING_RUNS]) client.query({ ...list, fetchPolicy: "network-only" });
    },
  });
  return null;
}

// The cache has changed the objects by their ids already. What is missing is the place of a new one.
function applyToLists(cache, { thread, run, deletedId }) {
  if (thread) change(cache, ALL_THREADS, "threads", ({ edges, ...page }) => ({ ...page, edges: withThread(edges, thread) }));
  if (run) change(cache, WAITING_RUNS, "waitingRuns", ({ nodes, ...page }) => ({ ...page, nodes: withRun(nodes, run) }));
  if (deletedId) cache.evict({ id: cache.identify({ __typename: "Thread", id: deletedId }) });
}

const withThread = (edges, node) =>
  edges.some((edge) => edge.node.id === node.id) ? edges : [{ __typename: "ThreadEdge", cursor: "", node }, ...edges];
const withRun = (nodes, run) => (nodes.some(({ id }) => id === run.id) ? nodes : [...nodes, run]);

function change(cache, list, field, replace) {
  cache.updateQuery(
    list,
    (data) => data?.viewer?.[field] && { viewer: { ...data.viewer, [field]: replace(data.viewer[field]) } },
  );
}
