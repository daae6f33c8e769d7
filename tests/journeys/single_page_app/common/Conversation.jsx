import { useReducer, useState } from "react";
import { Composer } from "./Composer.jsx";
import { applyRunEvent, isUnderWay, liveText, NO_RUN } from "./run_events.js";
import { ToolCalls } from "./ToolCalls.jsx";

/** A thread: its newest messages, earlier ones on request, and its run as it goes on. */
export function Conversation({ client, threadId, assistantId }) {
  const conversation = client.useConversation(threadId);
  const { thread, messages, hasEarlier, loadEarlier } = conversation;
  const [startedRunId, setStartedRunId] = useState(null);
  const [run, onEvent] = useReducer(applyRunEvent, NO_RUN);
  const send = client.useSend(conversation);
  const answer = client.useAnswer();
  // After a reload the thread itself says which run goes on.
  const runId = startedRunId ?? thread.activeRun?.id;
  return (
    <main>
      <h2 className="title">{thread.metadata.title ?? "Untitled"}</h2>
      <div className="scroller">
        <ol className="messages">
          {hasEarlier && (
            <li>
              <button onClick={loadEarlier}>Show earlier messages</button>
            </li>
          )}
          {messages.map(({ id, role, text, assistant }) => (
            <li key={id} className={`message ${role.toLowerCase()}`} data-id={id}>
              {role !== "USER" && <small>{assistant?.name ?? "Assistant"}</small>}
              <p>{liveText(run, id) ?? text}</p>
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
        submit={async (text) => setStartedRunId((await send({ assistantId, text })).run.id)}
      />
      {runId && <client.FollowRun key={runId} {...{ runId, conversation, onEvent }} />}
    </main>
  );
}
