import { Suspense, useState, useSyncExternalStore } from "react";
import { Boundary } from "./Boundary.jsx";
import { Conversation } from "./Conversation.jsx";
import { Inbox } from "./Inbox.jsx";
import { NewConversation } from "./NewConversation.jsx";
import { INBOX, Sidebar } from "./Sidebar.jsx";

function onHashChange(listener) {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}
const readPlace = () => location.hash.slice(1);
const openThread = (id) => (location.hash = id);

/** The page. `client` holds the operations of one GraphQL client. */
export function App({ client }) {
  return (
    <>
      <client.FollowViewer />
      <Suspense fallback={<Loading />}>
        <Page client={client} />
      </Suspense>
    </>
  );
}

function Page({ client }) {
  const place = useSyncExternalStore(onHashChange, readPlace);
  const assistants = client.useAssistants();
  const [chosenId, choose] = useState(assistants[0]?.id);
  return (
    <div className="page">
      <Sidebar {...{ client, place, assistants, chosenId, choose }} />
      <Suspense fallback={<Loading />}>
        <Boundary key={place}>
          {place === "" && <NewConversation {...{ client, openThread }} assistantId={chosenId} />}
          {place === INBOX && <Inbox client={client} />}
          {place !== "" && place !== INBOX && <Conversation client={client} threadId={place} assistantId={chosenId} />}
        </Boundary>
      </Suspense>
    </div>
  );
}

const Loading = () => <p className="loading">Loading …</p>;
