import { Suspense, useState, useSyncExternalStore } from "react";
import { Boundary } from "./Boundary.jsx";
import { Conversation } from "./Conversation.jsx";
import { NewConversation } from "./NewConversation.jsx";
import { settings } from "./settings.js";
import { readSubject } from "./sign_in.js";
import { Account } from "./SignIn.jsx";
import { readTransport, storeTransport } from "./transport.js";

// The API cannot list threads, so the page remembers those that it started.
const storageKey = () => `threadIds ${readSubject() ?? ""}`;
const readOwnThreadIds = () => JSON.parse(localStorage.getItem(storageKey()) ?? "[]");

function openThread(id) {
  localStorage.setItem(storageKey(), JSON.stringify([...readOwnThreadIds(), id]));
  location.hash = id;
}

function onHashChange(listener) {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}
const readThreadId = () => location.hash.slice(1) || null;

/** The page. `client` holds the operations of one GraphQL client. */
export function App({ client }) {
  const threadId = useSyncExternalStore(onHashChange, readThreadId);
  return (
    <Suspense fallback={<p className="loading">Loading …</p>}>
      <Page {...{ client, threadId }} />
    </Suspense>
  );
}

function Page({ client, threadId }) {
  const { assistants, threads } = client.useOverview([...settings.threadIds, ...readOwnThreadIds()]);
  const [assistantId, setAssistantId] = useState(null);
  const chosenId = assistantId ?? assistants[0]?.id;
  return (
    <div className="page">
      <nav>
        <h1>Conversations</h1>
        <ul>
          <ThreadLink id="" title="New conversation" isOpen={threadId === null} />
          {threads.map(({ id, upstreamId, metadata }) => (
            <ThreadLink key={id} id={upstreamId} title={metadata.title} isOpen={threadId === upstreamId} />
          ))}
        </ul>
        <h2>Assistants</h2>
        <ul>
          {assistants.map(({ id, name, description }) => (
            <li key={id}>
              <label className="choice">
                <input type="radio" name="assistant" checked={id === chosenId} onChange={() => setAssistantId(id)} />
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
      <Suspense fallback={<p className="loading">Loading …</p>}>
        {threadId === null ? (
          <NewConversation {...{ client, openThread }} assistantId={chosenId} />
        ) : (
          <Boundary key={threadId}>
            <Conversation {...{ client, threadId }} assistantId={chosenId} />
          </Boundary>
        )}
      </Suspense>
    </div>
  );
}

function ThreadLink({ id, title, isOpen }) {
  return (
    <li>
      <a href={`#${id}`} aria-current={isOpen ? "page" : undefined}>
        {title ?? "Untitled"}
      </a>
    </li>
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
