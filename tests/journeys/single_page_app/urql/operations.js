import { useEffect, useState } from "react";
import { gql, useClient, useMutation, useQuery } from "urql";
import * as operations from "../common/operations.js";
import { accepted, existing } from "../common/results.js";

const CONVERSATION = gql(`
  query Conversation($threadId: ID!, $before: String) {
    thread(id: $threadId) {
      id
      title
      isArchived
      activeRun { id }
      messages(last: 20, before: $before) {
        nodes { ${operations.MESSAGE_FIELDS} }
        pageInfo { hasPreviousPage startCursor }
      }
    }
  }
`);

export const useAssistants = () => useQuery({ query: operations.ASSISTANTS })[0].data.assistants.nodes;

export function useConversation(threadId) {
  const [before, setBefore] = useState();
  const [{ data, error, stale }] = useQuery({
    query: CONVERSATION,
    variables: { threadId, before },
    requestPolicy: "cache-and-network",
  });
  if (!data?.thread && error) throw error;
  const thread = existing(data.thread, "conversation");
  const { nodes, pageInfo } = thread.messages;
  return {
    thread,
    messages: nodes,
    hasEarlier: pageInfo.hasPreviousPage,
    loadEarlier: () => setBefore(pageInfo.startCursor),
    isReading: stale,
  };
}

export function useStart() {
  const start = useSender(operations.START);
  return async (message) => accepted((await start(operations.startVariables(message))).createThreadAndRun);
}

export function useSend({ thread }) {
  const send = useSender(operations.SEND);
  return async (message) => {
    const { createMessage, createRun } = await send(operations.sendVariables(thread.id, message));
    accepted(createMessage);
    return accepted(createRun);
  };
}

export function useAnswer() {
  const answer = useSender(operations.ANSWER);
  return async (input) => accepted((await answer({ input })).submitToolOutputs);
}

export function useUpdateThread() {
  const update = useSender(operations.UPDATE_THREAD);
  return async (input) => accepted((await update({ input })).updateThread);
}

/**
 * Follows a run: each event goes to `onEvent`. The cache appends its messages to the conversation.
 *
 * With suspense, urql reads a conversation once more as soon as it is shown. A response that comes behind newer events
 * would take back what they told, so the run is followed after it.
 */
export function FollowRun({ runId, conversation, onEvent }) {
  const client = useClient();
  const [isShown, setShown] = useState(false);
  const [isDue, setDue] = useState(false);
  useEffect(() => setShown(true), []);
  if (isShown && !isDue && !conversation.isReading) setDue(true);
  useEffect(() => {
    if (!isDue) return undefined;
    const results = client.subscription(operations.RUN_EVENTS, { runId });
    const { unsubscribe } = results.subscribe(({ data }) => data && onEvent(data.runEvents));
    return unsubscribe;
  }, [client, runId, onEvent, isDue]);
  return null;
}

function useSender(mutation) {
  const [, send] = useMutation(mutation);
  return async (variables) => {
    const { data, error } = await send(variables);
    if (error) throw error;
    return data;
  };
}
