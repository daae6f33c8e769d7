import { ToolCalls } from "./ToolCalls.jsx";
import { titleOf } from "./viewer.js";

/** The runs of all conversations that wait for the user, each with its questions. */
export function Inbox({ client }) {
  const answer = client.useAnswer();
  const runs = client.useWaitingRuns();
  return (
    <main>
      <h2 className="title">Waiting for you</h2>
      <div className="inbox">
        {runs.map(({ id, thread, requiredAction }) => (
          <article key={id}>
            <a href={`#${thread.upstreamId}`}>{titleOf(thread)}</a>
            <ToolCalls
              calls={requiredAction?.toolCalls ?? []}
              submit={(toolOutputs) => answer({ runId: id, toolOutputs })}
            />
          </article>
        ))}
        {runs.length === 0 && <p>Nothing waits for you.</p>}
      </div>
    </main>
  );
}
