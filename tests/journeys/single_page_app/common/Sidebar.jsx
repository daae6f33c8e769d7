import { Suspense, useDeferredValue, useState } from "react";
import { Account } from "./SignIn.jsx";
import { ThreadList } from "./ThreadList.jsx";
import { readTransport, storeTransport } from "./transport.js";

export const INBOX = "inbox";

/** The user's conversations, what they are asked for, and what the page is set to. */
export function Sidebar({ client, place, assistants, chosenId, choose }) {
  const [words, setWords] = useState("");
  const searched = useDeferredValue(words); // the list stays as it is until the next one is there
  const waitingRuns = client.useWaitingRuns();
  return (
    <nav>
      <h1>Conversations</h1>
      <ul>
        <li>
          <a href="#" aria-current={place === "" ? "page" : undefined}>
            New conversation
          </a>
        </li>
        {waitingRuns.length > 0 && (
          <li>
            <a href={`#${INBOX}`} aria-current={place === INBOX ? "page" : undefined}>
              Waiting for you <span className="badge">{waitingRuns.length}</span>
            </a>
          </li>
        )}
      </ul>
      <input
        type="search"
        aria-label="Search"
        placeholder="Search"
        value={words}
        onChange={({ target }) => setWords(target.value)}
      />
      <Suspense fallback={<p className="loading">Loading …</p>}>
        <ThreadList {...{ client, place, waitingRuns }} words={searched} />
      </Suspense>
      <h2>Assistants</h2>
      <ul>
        {assistants.map(({ id, name, description }) => (
          <li key={id}>
            <label className="choice">
              <input type="radio" name="assistant" checked={id === chosenId} onChange={() => choose(id)} />
              <span>
                {name} <small>{description}</small>
              </span>
            </label>
          </li>
        ))}
      </ul>
      <h2>{client.name}</h2>
      <TransportChoice />
      <Account />
    </nav>
  );
}

function TransportChoice() {
  return (
    <label>
      Subscriptions over{" "}
      <select defaultValue={readTransport()} onChange={({ target }) => storeTransport(target.value)}>
        <option value="websocket">a WebSocket</option>
        <option value="event-stream">server-sent events</option>
      </select>
    </label>
  );
}
