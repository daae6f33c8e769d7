// A conversation with the openai package of npm, as the API's own client or as Azure's. Prints its results as JSON.
import OpenAI, { AzureOpenAI, toFile } from "openai";

const [url, apiKey, kind, major] = process.argv.slice(2);
const client =
  kind === "azure"
    ? new AzureOpenAI({ endpoint: url, apiKey, apiVersion: "2025-04-01-preview", maxRetries: 0 })
    : new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const { threads, assistants } = client.beta;
// Version 5 moved the ids of parents behind the id of the object, and renamed `del`.
const isOld = major === "4";
const remove = (resource, id) => (isOld ? resource.del(id) : resource.delete(id));
const poll = { pollIntervalMs: 1 };

const file = await client.files.create({ file: await toFile(Buffer.from("# Leave"), "notes.md"), purpose: "assistants" });
const content = await (await client.files.content(file.id)).text();
const weather = { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } };
const reader = await assistants.create({ model: "gpt-4o", tools: [{ type: "file_search" }] });
const helper = await assistants.create({ model: "gpt-4o", tools: [weather] });
const thread = await threads.create({
  messages: [{ role: "user", content: "Days of leave?", attachments: [{ file_id: file.id, tools: [{ type: "file_search" }] }] }],
});
const run = await threads.runs.createAndPoll(thread.id, { assistant_id: reader.id }, poll);
const messages = await threads.messages.list(thread.id, { order: "asc" });
const steps = isOld
  ? await threads.runs.steps.list(thread.id, run.id, { order: "asc" })
  : await threads.runs.steps.list(run.id, { thread_id: thread.id, order: "asc" });

const names = [];
let text = "";
const stream = threads.runs.stream(thread.id, { assistant_id: reader.id });
stream.on("event", ({ event }) => names.push(event)).on("textDelta", (delta) => { text += delta.value ?? ""; });
const streamed = await stream.finalMessages();

const waiting = await threads.runs.createAndPoll(thread.id, { assistant_id: helper.id }, poll);
const tool_outputs = waiting.required_action.submit_tool_outputs.tool_calls.map(({ id }) => ({ tool_call_id: id, output: "4 degrees" }));
const answered = isOld
  ? await threads.runs.submitToolOutputsAndPoll(thread.id, waiting.id, { tool_outputs }, poll)
  : await threads.runs.submitToolOutputsAndPoll(waiting.id, { thread_id: thread.id, tool_outputs }, poll);

const removed = await remove(client.files, file.id);
await remove(threads, thread.id);
let refusal;
try {
  await threads.retrieve(thread.id);
} catch (error) {
  refusal = [error.constructor.name, error.status];
}
console.log(JSON.stringify({
  content,
  status: run.status,
  roles: messages.data.map(({ role }) => role),
  stepTypes: steps.data.map(({ type }) => type),
  names: [names[0], names.at(-1)],
  isWholeText: streamed[0].content[0].text.value === text && text.length > 0,
  waiting: waiting.status,
  answered: answered.status,
  removed: removed.deleted,
  refusal,
}));
