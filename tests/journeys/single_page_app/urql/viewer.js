import { useEffect, useState } from "react";
import { gql, useClient, useQuery } from "urql";
import * as operations from "../common/operations.js";
import { ALL, isGap, shownThreads, shownWaitingRuns } from "../common/viewer.js";

const THREADS = gql(`
  query Threads($words: String!, $after: String) {
    viewer {
      id
      threads(first: 20, after: $after, filter: { isArchived: false, text: $words }) {
        nodes { ${operations.THREAD_FIELDS} }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`);

export function useThreads(words) {
  const [{ after, of }, setPosition] = useState({});
  const [{ data }] = useQuery({
    query: THREADS,
    variables: { words, after: of === words ? after : undefined },
    requestPolicy: "cache-and-network",
  });
  const page = data?.viewer?.threads;
  return {
    threads: shownThreads(page?.nodes ?? []),
    problem: page ? null : "The list cannot be read now.",
    hasMore: page?.pageInfo.hasNextPage,
    loadMore: () => setPosition({ after: page.pageInfo.endCursor, of: words }),
  };
}

export function useWaitingRuns() {
  const [{ data }] = useQuery({ query: operations.WAITING_RUNS, requestPolicy: "cache-and-network" });
  return shownWaitingRuns(data?.viewer?.waitingRuns?.nodes ?? []);
}

/** Follows the user's lists, so that they show what happens on any of the user's pages. The cache applies the events. */
export function FollowViewer() {
  const client = useClient();
  useEffect(() => {
    const { unsubscribe } = client.subscription(operations.VIEWER_EVENTS, {}).subscribe(({ data }) => {
      if (data && isGap(data.viewerEvents)) readLists(client);
    });
    return unsubscribe;
  }, [client]);
  return null;
}

function readLists(client) {
  for (const [query, variables] of [[THREADS, { words: ALL }], [operations.WAITING_RUNS, {}]]) {
    client.query(query, variables, { requestPolicy: "network-only" }).toPromise();
  }
}
