// What a frontend team would write by hand: GraphQL Yoga with graphql-jit, a DataLoader for each request, undici.
//   node yoga.mjs http://127.0.0.1:4000        prints its port
import { createServer } from 'node:http';
import { useGraphQlJit } from '@envelop/graphql-jit';
import DataLoader from 'dataloader';
import { createSchema, createYoga } from 'graphql-yoga';
import { Pool } from 'undici';

const pool = new Pool(process.argv[2], { connections: 64 });
const headers = { authorization: 'Bearer key', 'openai-beta': 'assistants=v1' };

async function read(path) {
  const { statusCode, body } = await pool.request({ method: 'GET', path: `/v1${path}`, headers });
  const parsed = await body.json();
  if (statusCode === 404) return null;
  if (statusCode !== 200) throw new Error(parsed.error.message);
  return parsed;
}

const typeDefs = /* GraphQL */ `
  type Query { thread(id: ID!): Thread threads(ids: [ID!]!): [Thread]! }
  type Entry { key: String! value: String! }
  type PageInfo { hasNextPage: Boolean! endCursor: String }
  type Thread { id: ID! createdAt: String! metadata: [Entry!]! messages(first: Int!): Messages! runs(first: Int!): Runs! }
  type Messages { edges: [MessageEdge!]! pageInfo: PageInfo! }
  type MessageEdge { cursor: String! node: Message! }
  enum Role { USER ASSISTANT }
  enum Status { QUEUED IN_PROGRESS REQUIRES_ACTION CANCELLING CANCELLED FAILED COMPLETED EXPIRED INCOMPLETE }
  type Message {
    id: ID! createdAt: String! completedAt: String incompleteAt: String role: Role! status: Status! incompleteReason: String
    assistantId: ID runId: ID threadId: ID! fileIds: [ID!]! metadata: [Entry!]! content: [Content!]! thread: Thread run: Run
  }
  union Content = Text | Image
  type Text { text: String! annotations: [Annotation!]! }
  type Image { fileId: ID! }
  union Annotation = Citation | Path
  type Citation { text: String! startIndex: Int! endIndex: Int! fileId: ID! quote: String }
  type Path { text: String! startIndex: Int! endIndex: Int! fileId: ID! }
  type Runs { edges: [RunEdge!]! pageInfo: PageInfo! }
  type RunEdge { cursor: String! node: Run! }
  type Usage { promptTokens: Int! completionTokens: Int! totalTokens: Int! }
  type Run { id: ID! status: Status! usage: Usage steps(first: Int!): Steps! }
  type Steps { edges: [StepEdge!]! pageInfo: PageInfo! }
  type StepEdge { cursor: String! node: Step! }
  enum StepType { MESSAGE_CREATION TOOL_CALLS }
  type Step { id: ID! type: StepType! status: Status! }
`;

const time = (name) => (object) => (object[name] === null ? null : new Date(1000 * object[name]).toISOString());
const word = (name) => (object) => object[name].toUpperCase();
const metadata = (object) => Object.entries(object.metadata).map(([key, value]) => ({ key, value }));

/** Reads as many pages as `first` needs, one after another, since each begins after the last object of the one before. */
async function connection(loader, path, first) {
  const nodes = [];
  let page, after = '';
  do {
    page = await loader.load(`${path}?order=asc&limit=${Math.min(100, first - nodes.length)}${after}`);
    nodes.push(...page.data);
    after = `&after=${page.last_id}`;
  } while (page.has_more && nodes.length < first);
  return { edges: nodes.map((node) => ({ cursor: node.id, node })), pageInfo: { hasNextPage: page.has_more, endCursor: page.last_id } };
}

const resolvers = {
  Query: {
    thread: (_, { id }, { loader }) => loader.load(`/threads/${id}`),
    threads: (_, { ids }, { loader }) => ids.map((id) => loader.load(`/threads/${id}`)),
  },
  Thread: {
    createdAt: time('created_at'), metadata,
    messages: ({ id }, { first }, { loader }) => connection(loader, `/threads/${id}/messages`, first),
    runs: ({ id }, { first }, { loader }) => connection(loader, `/threads/${id}/runs`, first),
  },
  Message: {
    createdAt: time('created_at'), completedAt: time('completed_at'), incompleteAt: time('incomplete_at'), metadata,
    role: word('role'), status: word('status'), incompleteReason: (message) => message.incomplete_details?.reason,
    assistantId: (message) => message.assistant_id, runId: (message) => message.run_id, threadId: (message) => message.thread_id,
    fileIds: (message) => message.file_ids,
    thread: (message, _, { loader }) => loader.load(`/threads/${message.thread_id}`),
    run: (message, _, { loader }) => message.run_id && loader.load(`/threads/${message.thread_id}/runs/${message.run_id}`),
  },
  Content: { __resolveType: (part) => (part.type === 'text' ? 'Text' : 'Image') },
  Text: { text: (part) => part.text.value, annotations: (part) => part.text.annotations },
  Image: { fileId: (part) => part.image_file.file_id },
  Annotation: { __resolveType: (annotation) => (annotation.type === 'file_citation' ? 'Citation' : 'Path') },
  Citation: {
    startIndex: (one) => one.start_index, endIndex: (one) => one.end_index,
    fileId: (one) => one.file_citation.file_id, quote: (one) => one.file_citation.quote,
  },
  Path: { startIndex: (one) => one.start_index, endIndex: (one) => one.end_index, fileId: (one) => one.file_path.file_id },
  Run: {
    status: word('status'),
    steps: (run, { first }, { loader }) => connection(loader, `/threads/${run.thread_id}/runs/${run.id}/steps`, first),
  },
  Usage: {
    promptTokens: (usage) => usage.prompt_tokens, completionTokens: (usage) => usage.completion_tokens,
    totalTokens: (usage) => usage.total_tokens,
  },
  Step: { type: word('type'), status: word('status') },
};

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  plugins: [useGraphQlJit()],
  context: () => ({ loader: new DataLoader((paths) => Promise.all(paths.map((path) => read(path).catch((error) => error)))) }),
  graphiql: false,
  logging: 'error',
});
const server = createServer(yoga);
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', 1024, () => console.log(server.address().port));
