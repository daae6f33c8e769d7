import { useMemo } from "react";
import { graphql, useRelayEnvironment, useSubscription } from "react-relay";
import { ConnectionHandler } from "relay-runtime";
import { ALL, isGap } from "../common/viewer.js";
import { readLists } from "./viewer.js";

const VIEWER_EVENTS = graphql`
  subscription FollowViewerSubscription($after: String) {
    viewerEvents(after: $after) {
      __typename
      ... on RunLogEvent {
        cursor
      }
      ... on ThreadChanged {
        thread {
          ...viewer_thread @relay(mask: false)
        }
      }
      ... on ThreadRemoved {
        deletedId @deleteRecord
      }
      ... on RunStatusChange {
        run {
          ...viewer_waitingRun @relay(mask: false)
        }
      }
    }
  }
`;

/** Follows the user's lists, so that they show what happens on any of the user's pages. */
export function FollowViewer() {
  const environment = useRelayEnvironment();
  useSubscription(
    useMemo(
      () => ({
        subscription: VIEWER_EVENTS,
        variables: {},
        updater: addToLists,
        onNext: ({ viewerEvents }) => isGap(viewerEvents) && readLists(environment),
      }),
      [environment],
    ),
  );
  return null;
}

// The store has changed the objects by their ids already. What is missing is the place of a new one.
function addToLists(store) {
  const viewer = store.getRoot().getLinkedRecord("viewer");
  const event = store.getRootField("viewerEvents");
  if (!viewer) return; // the lists are still being read
  const threads = ConnectionHandler.getConnection(viewer, "viewer_threads", {
    filter: { isArchived: false, text: ALL },
  });
  const waitingRuns = ConnectionHandler.getConnection(viewer, "viewer_waitingRuns");
  append(store, threads, event.getLinkedRecord("thread"), "ThreadEdge");
  append(store, waitingRuns, event.getLinkedRecord("run"), "RunEdge");
}

function append(store, connection, node, edgeType) {
  if (!connection || !node) return;
  const nodes = connection.getLinkedRecords("edges").map((edge) => edge.getLinkedRecord("node"));
  if (nodes.includes(node)) return;
  ConnectionHandler.insertEdgeAfter(connection, ConnectionHandler.createEdge(store, connection, node, edgeType));
}
