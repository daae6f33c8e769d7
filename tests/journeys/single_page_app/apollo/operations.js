import { startTransition } from "react";
import { gql } from "@apollo/client";
import { useMutation, useSubscription, useSuspenseQuery } from "@apollo/client/react";
import * as operations from "../common/operations.js";
import { accepted, existing } from "../common/results.js";
import { messagesIn } from "../common/run_events.js";
import { appendMessages } from "./client.js";

const ASSISTANTS = gql(operations.ASSISTANTS);
const CONVERSATION = gql(`
  query Conversation($threadId: ID!, $before: String) {
    thread(id: $threadId) {
      id
      title
      isArchived
      activeRun { id }
      messages(last: 20, before: $before) {
        edges { cursor node { ${operations.MESSAGE_FIELDS} } }
        pageInfo { hasPreviousPage startCursor }
      }
    }
  }
`);
const START = gql(operations.START);
const SEND = gql(operations.SEND);
const ANSWER = gql(operations.ANSWER);
const UPDATE_THREAD = gql(operations.UPDATE_THREAD);
const RUN_EVENTS = gql(operations.RUN_EVENTS);

export const useAssistants = () => useSuspenseQuery(ASSISTANTS).data.assistants.nodes;

export function useConversation(threadId) {
  const { data, error, fetchMore } = useSuspenseQuery(CONVERSATION, {
    variables: { threadId },
    fetchPolicy: "network-only",
    errorPolicy: "all", // a part that is away takes nothing else along
  });
  if (!data?.thread && error) throw error;
  const thread = existing(data.thread, "conversation");
  const { edges, pageInfo } = thread.messages;
  return {
    thread,
    messages: edges.map(({ node }) => node),
    hasEarlier: pageInfo.hasPreviousPage,
    loadEarlier: () => startTransition(() => void fetchMore({ variables: { before: pageInfo.startCursor } })),
  };
}

export function useStart() {
  const [start] = useMutation(START);
  return async (message) =>
    accepted((await start({ variables: operations.startVariables(message) })).data.createThreadAndRun);
}

export function useSend({ thread }) {
  const [send] = useMutation(SEND);
  return async (message) => {
    const { data } = await send({ variables: operations.sendVariables(thread.id, message) });
    appendMessages(thread.id, [accepted(data.createMessage).message]);
    return accepted(data.createRun);
  };
}

export function useAnswer() {
  const [answer] = useMutation(ANSWER);
  return async (input) => accepted((await answer({ variables: { input } })).data.submitToolOutputs);
}

export function useUpdateThread() {
  const [update] = useMutation(UPDATE_THREAD);
  return async (input) => accepted((await update({ variables: { input } })).data.updateThread);
}

/** Follows a run: each event goes to `onEvent`, and its messages to the end of the conversation. */
export function FollowRun({ runId, conversation, onEvent }) {
  useSubscription(RUN_EVENTS, {
    variables: { runId },
    ignoreResults: true, // no render for each event: `onEvent` decides
    onData({ data }) {
      const event = data.data.runEvents;
      appendMessages(conversation.thread.id, messagesIn(event));
      onEvent(event);
    },
  });
  return null;
}
