import { useMemo } from "react";
import { graphql, useSubscription } from "react-relay";
import { ConnectionHandler } from "relay-runtime";

const RUN_EVENTS = graphql`
  subscription FollowRunSubscription($runId: ID!, $after: String) {
    runEvents(runId: $runId, after: $after) {
      __typename
      ... on RunLogEvent {
        cursor
      }
      ... on RunSnapshot {
        run {
          ...FollowRun_state @relay(mask: false)
        }
        messages {
          ...FollowRun_message @relay(mask: false)
        }
      }
      ... on RunStatusChange {
        run {
          ...FollowRun_state @relay(mask: false)
        }
      }
      ... on MessageCreated {
        message {
          ...FollowRun_message @relay(mask: false)
        }
      }
      ... on TextDelta {
        messageId
        index
        offset
        value
      }
      ... on MessageFinished {
        message {
          ...FollowRun_message @relay(mask: false)
        }
      }
      ... on StreamError {
        detail
      }
    }
  }
`;

graphql`
  fragment FollowRun_state on Run {
    status
    requiredAction {
      ... on SubmitToolOutputsAction {
        toolCalls {
          callId
          name
          arguments
        }
      }
    }
  }
`;

graphql`
  fragment FollowRun_message on Message {
    id
    role
    text
    assistant {
      name
    }
    content {
      __typename
      ... on TextContent {
        text
        annotations {
          __typename
          ... on FilePath {
            file {
              ...FollowRun_file @relay(mask: false)
            }
          }
          ... on FileCitation {
            file {
              ...FollowRun_file @relay(mask: false)
            }
          }
        }
      }
      ... on ImageFileContent {
        file {
          ...FollowRun_file @relay(mask: false)
        }
      }
    }
    attachments {
      file {
        ...FollowRun_file @relay(mask: false)
      }
    }
  }
`;

graphql`
  fragment FollowRun_file on File {
    id
    filename
    contentUrl
  }
`;

/** Follows a run: each event goes to `onEvent`, and its messages to the end of the conversation. */
export function FollowRun({ runId, conversation, onEvent }) {
  const { connectionId } = conversation;
  useSubscription(
    useMemo(
      () => ({
        subscription: RUN_EVENTS,
        variables: { runId },
        updater: (store) => appendMessages(store, store.get(connectionId)),
        onNext: ({ runEvents }) => onEvent(runEvents),
      }),
      [runId, connectionId, onEvent],
    ),
  );
  return null;
}

function appendMessages(store, connection) {
  const event = store.getRootField("runEvents");
  const messages =
    event.getType() === "RunSnapshot" ? event.getLinkedRecords("messages") : [event.getLinkedRecord("message")];
  const shown = new Set(connection.getLinkedRecords("edges").map((edge) => edge.getLinkedRecord("node").getDataID()));
  for (const message of messages) {
    if (!message || shown.has(message.getDataID())) continue;
    const edge = ConnectionHandler.createEdge(store, connection, message, "MessageEdge");
    ConnectionHandler.insertEdgeAfter(connection, edge);
  }
}
