// The operations of the clients that read them as they run. Relay compiles its own. How a client pages differs.
import { messageInput } from "./files.js";

const FILE_FIELDS = "id filename contentUrl";
export const MESSAGE_FIELDS = `
  id role text thread { id } assistant { id name }
  content {
    __typename
    ... on TextContent {
      text
      annotations {
        __typename
        ... on FilePath { file { ${FILE_FIELDS} } }
        ... on FileCitation { file { ${FILE_FIELDS} } }
      }
    }
    ... on ImageFileContent { file { ${FILE_FIELDS} } }
  }
  attachments { file { ${FILE_FIELDS} } }
`;
export const THREAD_FIELDS = "id upstreamId title isArchived lastActivityAt";
const RUN_FIELDS = "id status requiredAction { ... on SubmitToolOutputsAction { toolCalls { callId name arguments } } }";

const WAITING_RUN_FIELDS = `${RUN_FIELDS} thread { id upstreamId title }`;

export const ASSISTANTS = `
  query Assistants {
    assistants(first: 20) { nodes { id name description } }
  }
`;

export const WAITING_RUNS = `
  query WaitingRuns {
    viewer { id waitingRuns(first: 100) { nodes { ${WAITING_RUN_FIELDS} } } }
  }
`;

export const UPDATE_THREAD = `
  mutation UpdateThread($input: UpdateThreadInput!) {
    updateThread(input: $input) { thread { id title isArchived } userErrors { message } }
  }
`;

export const VIEWER_EVENTS = `
  subscription ViewerEvents($after: String) {
    viewerEvents(after: $after) {
      __typename
      ... on RunLogEvent { cursor }
      ... on ThreadChanged { thread { ${THREAD_FIELDS} } }
      ... on ThreadRemoved { deletedId }
      ... on RunStatusChange { run { ${WAITING_RUN_FIELDS} } }
    }
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
        messages { ${MESSAGE_FIELDS} }
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
export const startVariables = ({ assistantId, ...message }) => ({
  input: {
    assistantId,
    thread: { messages: [messageInput(message)] },
  },
});

/** The variables of `SEND`. */
export const sendVariables = (threadId, { assistantId, ...message }) => ({
  message: { threadId, ...messageInput(message) },
  run: { threadId, assistantId },
});
