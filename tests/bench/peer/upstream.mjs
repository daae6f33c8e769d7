// An upstream of the Threads API for both servers: any thread exists, and every object follows from its id.
//   node upstream.mjs        prints its port
// POST /delay?ms=40 delays each response from then on; POST /count returns how many calls came, and begins again at 0.
import { createServer } from 'node:http';

const MESSAGES = 1000, RUNS = 40, STEPS = 5, BEGINNING = 1_700_000_000, KEPT_BODIES = 20_000;
const WORDS = 'a gateway reads threads and messages from its upstream then shows them as one graph to every page that asks'.split(' ');
const words = (seed, count) => Array.from({ length: count }, (_, k) => WORDS[(seed * 13 + k * k * 7 + k) % WORDS.length]).join(' ');
const owner = (id) => id.replace('thread_', '');
const position = (id) => Number(id.split('_').at(-1));

const thread = (id) => ({ id, object: 'thread', created_at: BEGINNING, metadata: { topic: words(position(id), 2), seat: id } });

function message(threadId, k) {
  const byAssistant = k % 2 === 1, value = words(k, 24 + (k % 17));
  const cited = { type: 'file_citation', text: value.slice(0, 9), start_index: 0, end_index: 9, file_citation: { file_id: `file_${k % 50}`, quote: value.slice(9, 30) } };
  return {
    id: `msg_${owner(threadId)}_${k}`, object: 'thread.message', created_at: BEGINNING + 60 * k, thread_id: threadId,
    role: byAssistant ? 'assistant' : 'user', status: 'completed', incomplete_details: null, incomplete_at: null, completed_at: BEGINNING + 60 * k + 3,
    content: [{ type: 'text', text: { value, annotations: k % 8 === 7 ? [cited] : [] } }],
    assistant_id: byAssistant ? 'asst_1' : null, run_id: byAssistant ? `run_${owner(threadId)}_${(k >> 1) % RUNS}` : null,
    file_ids: [], metadata: { number: `${k}` },
  };
}

function run(threadId, k) {
  const at = BEGINNING + 120 * k;
  return {
    id: `run_${owner(threadId)}_${k}`, object: 'thread.run', created_at: at, thread_id: threadId, assistant_id: 'asst_1', status: 'completed',
    started_at: at + 1, completed_at: at + 8, expires_at: null, cancelled_at: null, failed_at: null, required_action: null, last_error: null,
    model: 'gpt-4', instructions: 'Answer briefly.', tools: [], file_ids: [], metadata: {},
    usage: { prompt_tokens: 90 + k, completion_tokens: 30 + k, total_tokens: 120 + 2 * k },
  };
}

function step(threadId, runId, k) {
  const at = BEGINNING + k;
  return {
    id: `step_${runId.replace('run_', '')}_${k}`, object: 'thread.run.step', created_at: at, thread_id: threadId, run_id: runId, assistant_id: 'asst_1',
    type: 'message_creation', status: 'completed', step_details: { type: 'message_creation', message_creation: { message_id: `msg_${owner(threadId)}_1` } },
    completed_at: at + 1, expired_at: null, cancelled_at: null, failed_at: null, last_error: null, metadata: {}, usage: null,
  };
}

function page(total, make, query) {
  const limit = Number(query.get('limit') ?? 20), ascending = query.get('order') === 'asc';
  const place = (k) => (ascending ? k : total - 1 - k);
  const start = query.get('after') ? place(position(query.get('after'))) + 1 : 0, end = Math.min(total, start + limit);
  const data = Array.from({ length: Math.max(0, end - start) }, (_, k) => make(place(start + k)));
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: end < total };
}

function show(target) {
  const { pathname, searchParams } = new URL(target, 'http://upstream');
  const [, , , threadId, kind, id, below] = pathname.split('/');
  if (kind === undefined) return thread(threadId);
  if (below === 'steps') return page(STEPS, (k) => step(threadId, id, k), searchParams);
  const make = kind === 'runs' ? run : message;
  return id === undefined ? page(kind === 'runs' ? RUNS : MESSAGES, (k) => make(threadId, k), searchParams) : make(threadId, position(id));
}

const bodies = new Map();
let calls = 0, delay = 0;
const server = createServer((request, response) => {
  if (request.method === 'POST') {
    const asked = new URL(request.url, 'http://upstream');
    if (asked.pathname === '/delay') delay = Number(asked.searchParams.get('ms'));
    response.end(`${calls}`);
    calls = 0;
    return;
  }
  calls += 1;
  let body = bodies.get(request.url);
  if (body === undefined) {
    if (bodies.size >= KEPT_BODIES) bodies.clear();
    bodies.set(request.url, (body = Buffer.from(JSON.stringify(show(request.url)))));
  }
  const send = () => response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
  if (delay) setTimeout(send, delay);
  else send();
});
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', 1024, () => console.log(server.address().port));
