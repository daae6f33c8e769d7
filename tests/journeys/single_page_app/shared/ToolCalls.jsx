/** The function calls that a run waits for, each with a field for its output. */
export function ToolCalls({ calls, submit }) {
  const onSubmit = (event) => {
    event.preventDefault();
    const outputs = new FormData(event.target);
    submit(calls.map(({ callId }) => ({ callId, output: outputs.get(callId) })));
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
      <button>Submit outputs</button>
    </form>
  );
}
