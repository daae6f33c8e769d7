import { Composer } from "./Composer.jsx";

/** An empty conversation, whose first message starts a thread. */
export function NewConversation({ client, assistantId, openThread }) {
  const start = client.useStart();
  return (
    <main>
      <h2 className="title">New conversation</h2>
      <div className="scroller" />
      <Composer
        submit={async (message) => {
          const { thread } = await start({ assistantId, ...message });
          openThread(thread.upstreamId);
        }}
      />
    </main>
  );
}
