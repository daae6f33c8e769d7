// The operations of the clients that read them as they run. Relay compiles its own. How a client pages differs.

export const MESSAGE_FIELDS = "id role text thread { id } assistant { id name }";
const RUN_FIELDS = "id status requiredAction { ... on SubmitToolOutputsAction { toolCalls { callId name arguments } } }";

export const OVERVIEW = `
  query Overview($threadIds: [ID!]!) {
    assistants(first: 20) { nodes { id name description } }
    threadsByIds(ids: $threadIds) { id upstreamId metadata }
  }
`;

export const START = `
  mutation Start($input: CreateThreadAndRunInput!) {
    createThreadAndRun(input: $input) { thread { id upstreamId } userErrors { message } }
  }
`;

export const SEND = `
  mutation Send($message: CreateMessageInput!, $run: CreateRunInput!) {
    createMessage(input: $message) { message { ${MESSAGE_FIELDS} } userErrors { message } }
    createRun(input: $run) { run { id } userErrors { message } }
  }
`;

export const ANSWER = `
  mutation Answer($input: SubmitToolOutputsInput!) {
    submitToolOutputs(input: $input) { userErrors { message } }
  }
`;

export const RUN_EVENTS = `
  subscription RunEvents($runId: ID!, $after: String) {
    runEvents(runId: $runId, after: $after) {
      __typename
      ... on RunLogEvent { cursor }
      ... on RunSnapshot {
        run { ${RUN_FIELDS} }
        messages { ${MESSAGE_FIELDS} content { ... on TextContent { text } } }
      }
      ... on RunStatusChange { run { ${RUN_FIELDS} } }
      ... on MessageCreated { message { ${MESSAGE_FIELDS} } }
      ... on TextDelta { messageId index offset value }
      ... on MessageFinished { message { ${MESSAGE_FIELDS} } }
      ... on StreamError { detail }
    }
  }
`;

/** The variables of `START`. */
export const startVariables = ({ assistantId, text }) => ({
  input: {
    assistantId,
    thread: { messages: [{ content: [{ text }] }], metadata: { title: text.slice(0, 60) } },
  },
});

/** The variables of `SEND`. */
export const sendVariables = (threadId, { assistantId, text }) => ({
  message: { threadId, content: [{ text }] },
  run: { threadId, assistantId },
});
