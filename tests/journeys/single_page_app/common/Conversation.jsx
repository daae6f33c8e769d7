import { useReducer, useState } from "react";
import { Composer } from "./Composer.jsx";
import { withoutPaths } from "./files.js";
import { MessageFiles } from "./MessageFiles.jsx";
import { applyRunEvent, isUnderWay, liveText, NO_RUN } from "./run_events.js";
import { ToolCalls } from "./ToolCalls.jsx";
import { titleOf } from "./viewer.js";

/** A thread: its newest messages, earlier ones on request, and its run as it goes on. */
export function Conversation({ client, threadId, assistantId }) {
  const conversation = client.useConversation(threadId);
  const { thread, messages, hasEarlier, loadEarlier } = conversation;
  const [startedRunId, setStartedRunId] = useState(null);
  const [followed, onEvent] = useReducer(applyRunEvent, NO_RUN);
  const send = client.useSend(conversation);
  const answer = client.useAnswer();
  const update = client.useUpdateThread();
  // After a reload the thread itself says which run goes on.
  const runId = startedRunId ?? thread.activeRun?.id;
  const run = runId ? followed : NO_RUN; // a cache may have told of a run that has ended
  return (
    <main>
      <h2 className="title">{titleOf(thread)}</h2>
      {thread.isArchived && (
        <p>
          Archived. <button onClick={() => update({ threadId: thread.id, isArchived: false })}>Put it back</button>
        </p>
      )}
      <div className="scroller">
        <ol className="messages">
          {hasEarlier && (
            <li>
              <button onClick={loadEarlier}>Show earlier messages</button>
            </li>
          )}
          {messages.map((message) => (
            <li key={message.id} className={`message ${message.role.toLowerCase()}`} data-id={message.id}>
              {message.role !== "USER" && <small>{message.assistant?.name ?? "Assistant"}</small>}
              <p>{withoutPaths(liveText(run, message.id) ?? message.text)}</p>
              <MessageFiles message={message} />
            </li>
          ))}
        </ol>
      </div>
      {run.toolCalls.length > 0 && (
        <ToolCalls calls={run.toolCalls} submit={(toolOutputs) => answer({ runId, toolOutputs })} />
      )}
      {run.problem && <p role="alert">{run.problem}</p>}
      <p role="status">{run.status && run.status.toLowerCase().replaceAll("_", " ")}</p>
      <Composer
        disabled={isUnderWay(run)}
        submit={async (message) => setStartedRunId((await send({ assistantId, ...message })).run.id)}
      />
      {runId && <client.FollowRun key={runId} {...{ runId, conversation, onEvent }} />}
    </main>
  );
}
