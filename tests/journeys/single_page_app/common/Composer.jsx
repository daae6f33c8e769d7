import { useState } from "react";
import { useUploads } from "./useUploads.js";

/** The fields for the next message and its files. Keeps them, and shows the reason, if it was refused. */
export function Composer({ submit, disabled }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState(null);
  const [isSending, setIsSending] = useState(false);
  const { uploads, areReady, add, remove, clear } = useUploads();
  const onSubmit = async (event) => {
    event.preventDefault();
    setIsSending(true);
    try {
      await submit({ text, files: uploads.map(({ sent }) => sent) });
      setText("");
      clear();
      setProblem(null);
    } catch (error) {
      setProblem(error.message);
    }
    setIsSending(false);
  };
  const onChoose = ({ target }) => {
    add(target.files);
    target.value = ""; // so that the same file can be chosen again
  };
  return (
    <form className="composer" onSubmit={onSubmit}>
      {problem && <p role="alert">{problem}</p>}
      {uploads.length > 0 && (
        <ul className="uploads" aria-label="Chosen files">
          {uploads.map((upload) => (
            <li key={upload.key}>
              {upload.name} {!upload.sent && !upload.problem && <progress value={upload.progress} />}
              {upload.problem && <span role="alert">{upload.problem}</span>}
              <button type="button" aria-label={`Remove ${upload.name}`} onClick={() => remove(upload)}>
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
      <label className="attach" title="Attach files">
        +
        <input type="file" aria-label="Attach files" multiple onChange={onChoose} />
      </label>
      <input aria-label="Message" value={text} onChange={({ target }) => setText(target.value)} required />
      <button disabled={disabled || isSending || !areReady}>Send</button>
    </form>
  );
}
