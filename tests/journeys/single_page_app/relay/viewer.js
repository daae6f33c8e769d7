import { fetchQuery, graphql, useLazyLoadQuery, usePaginationFragment } from "react-relay";
import { ALL, shownThreads, shownWaitingRuns } from "../common/viewer.js";

const PAGE = 20;
const THREADS = graphql`
  query viewerThreadsQuery($words: String!) {
    viewer {
      ...viewer_threads @arguments(words: $words)
    }
  }
`;
const WAITING_RUNS = graphql`
  query viewerWaitingRunsQuery {
    viewer {
      waitingRuns(first: 100) @connection(key: "viewer_waitingRuns") {
        edges {
          node {
            ...viewer_waitingRun @relay(mask: false)
          }
        }
      }
    }
  }
`;

graphql`
  fragment viewer_thread on Thread {
    id
    upstreamId
    title
    isArchived
    lastActivityAt
  }
`;

graphql`
  fragment viewer_waitingRun on Run {
    id
    ...FollowRun_state @relay(mask: false)
    thread {
      id
      upstreamId
      title
    }
  }
`;

export function useThreads(words) {
  const { viewer } = useLazyLoadQuery(THREADS, { words }, { fetchPolicy: "store-and-network" });
  const { data, hasNext, loadNext } = usePaginationFragment(
    graphql`
      fragment viewer_threads on Viewer
      @refetchable(queryName: "viewerMoreThreadsQuery")
      @argumentDefinitions(
        words: { type: "String!" }
        count: { type: "Int", defaultValue: 20 }
        cursor: { type: "String" }
      ) {
        threads(first: $count, after: $cursor, filter: { isArchived: false, text: $words })
          @connection(key: "viewer_threads") {
          edges {
            node {
              ...viewer_thread @relay(mask: false)
            }
          }
        }
      }
    `,
    viewer,
  );
  const edges = data?.threads?.edges;
  return {
    threads: shownThreads(edges?.map(({ node }) => node) ?? []),
    problem: edges ? null : "The list cannot be read now.",
    hasMore: hasNext,
    loadMore: () => loadNext(PAGE),
  };
}

export function useWaitingRuns() {
  const { viewer } = useLazyLoadQuery(WAITING_RUNS, {}, { fetchPolicy: "store-and-network" });
  return shownWaitingRuns(viewer?.waitingRuns?.edges.map(({ node }) => node) ?? []);
}

/** Reads the lists again. */
export function readLists(environment) {
  for (const [query, variables] of [[THREADS, { words: ALL }], [WAITING_RUNS, {}]]) {
    fetchQuery(environment, query, variables).subscribe({});
  }
}
