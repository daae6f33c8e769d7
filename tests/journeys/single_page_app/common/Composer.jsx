import { useState } from "react";

/** The field for the next message. Keeps the text, and shows the reason, if it was refused. */
export function Composer({ submit, disabled }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState(null);
  const [isSending, setIsSending] = useState(false);
  const onSubmit = async (event) => {
    event.preventDefault();
    setIsSending(true);
    try {
      await submit(text);
      setText("");
      setProblem(null);
    } catch (error) {
      setProblem(error.message);
    }
    setIsSending(false);
  };
  return (
    <form className="composer" onSubmit={onSubmit}>
      {problem && <p role="alert">{problem}</p>}
      <input aria-label="Message" value={text} onChange={({ target }) => setText(target.value)} required />
      <button disabled={disabled || isSending}>Send</button>
    </form>
  );
}
