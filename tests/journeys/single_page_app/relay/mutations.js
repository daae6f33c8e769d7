import { graphql, useMutation } from "react-relay";
import { messageInput } from "../common/files.js";
import { accepted } from "../common/results.js";

export function useStart() {
  const commit = usePromise(graphql`
    mutation mutationsStartMutation($input: CreateThreadAndRunInput!) {
      createThreadAndRun(input: $input) {
        thread {
          upstreamId
        }
        userErrors {
          message
        }
      }
    }
  `);
  return async ({ assistantId, ...message }) => {
    const thread = { messages: [messageInput(message)] };
    return accepted((await commit({ input: { assistantId, thread } })).createThreadAndRun);
  };
}

export function useSend({ thread, connectionId }) {
  const commit = usePromise(graphql`
    mutation mutationsSendMutation($message: CreateMessageInput!, $run: CreateRunInput!, $connections: [ID!]!) {
      createMessage(input: $message) {
        message @appendNode(connections: $connections, edgeTypeName: "MessageEdge") {
          ...FollowRun_message @relay(mask: false)
        }
        userErrors {
          message
        }
      }
      createRun(input: $run) {
        run {
          id
        }
        userErrors {
          message
        }
      }
    }
  `);
  return async ({ assistantId, ...message }) => {
    const { createMessage, createRun } = await commit({
      message: { threadId: thread.id, ...messageInput(message) },
      run: { threadId: thread.id, assistantId },
      connections: [connectionId],
    });
    accepted(createMessage);
    return accepted(createRun);
  };
}

export function useAnswer() {
  const commit = usePromise(graphql`
    mutation mutationsAnswerMutation($input: SubmitToolOutputsInput!) {
      submitToolOutputs(input: $input) {
        userErrors {
          message
        }
      }
    }
  `);
  return async (input) => accepted((await commit({ input })).submitToolOutputs);
}

export function useUpdateThread() {
  const commit = usePromise(graphql`
    mutation mutationsUpdateThreadMutation($input: UpdateThreadInput!) {
      updateThread(input: $input) {
        thread {
          title
          isArchived
        }
        userErrors {
          message
        }
      }
    }
  `);
  return async (input) => accepted((await commit({ input })).updateThread);
}

function usePromise(mutation) {
  const [commit] = useMutation(mutation);
  return (variables) =>
    new Promise((resolve, reject) => commit({ variables, onCompleted: resolve, onError: reject }));
}
