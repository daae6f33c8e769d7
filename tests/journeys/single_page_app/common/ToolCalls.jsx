import { useState } from "react";

/** The function calls that a run waits for, each with a field for its output. */
export function ToolCalls({ calls, submit }) {
  const [problem, setProblem] = useState(null);
  const onSubmit = async (event) => {
    event.preventDefault();
    const outputs = new FormData(event.target);
    try {
      await submit(calls.map(({ callId }) => ({ callId, output: outputs.get(callId) })));
    } catch (error) {
      setProblem(error.message);
    }
  };
  return (
    <form className="tool-calls" onSubmit={onSubmit}>
      <h3>The assistant asks</h3>
      {calls.map(({ callId, name, arguments: text }) => (
        <label key={callId}>
          <code>
            {name}({text})
          </code>
          <input name={callId} aria-label={name} required />
        </label>
      ))}
      {problem && <p role="alert">{problem}</p>}
      <button>Submit outputs</button>
    </form>
  );
}
