import { useState } from "react";
import { titleOf } from "./viewer.js";

/** The user's conversations, the latest first: all, or those with the searched words. */
export function ThreadList({ client, place, waitingRuns, words }) {
  const { threads, problem, hasMore, loadMore } = client.useThreads(words);
  const update = client.useUpdateThread();
  const waitingIds = new Set(waitingRuns.map(({ thread }) => thread.id));
  if (problem) return <p role="alert">{problem}</p>;
  return (
    <ul className="threads" aria-label="Conversations">
      {threads.map((thread) => (
        <ThreadItem
          key={thread.id}
          {...{ thread, update }}
          isOpen={thread.upstreamId === place}
          isWaiting={waitingIds.has(thread.id)}
        />
      ))}
      {threads.length === 0 && <li>{words ? "Nothing found." : "None yet."}</li>}
      {hasMore && (
        <li>
          <button onClick={loadMore}>More</button>
        </li>
      )}
    </ul>
  );
}

function ThreadItem({ thread, update, isOpen, isWaiting }) {
  const [isRenaming, setIsRenaming] = useState(false);
  const [problem, setProblem] = useState(null);
  const change = async (fields) => {
    setIsRenaming(false);
    try {
      await update({ threadId: thread.id, ...fields });
      setProblem(null);
    } catch (error) {
      setProblem(error.message);
    }
  };
  const onSubmit = (event) => {
    event.preventDefault();
    change({ title: new FormData(event.target).get("title") });
  };
  return (
    <li>
      {isRenaming ? (
        <form onSubmit={onSubmit} onBlur={() => setIsRenaming(false)}>
          <input name="title" aria-label="Title" defaultValue={thread.title} maxLength={256} required autoFocus />
        </form>
      ) : (
        <>
          <a href={`#${thread.upstreamId}`} aria-current={isOpen ? "page" : undefined}>
            {titleOf(thread)}
          </a>
          {isWaiting && <span className="badge" title="Waiting for you" />}
          <Tool name="Rename" sign="✎" onClick={() => setIsRenaming(true)} />
          <Tool name="Archive" sign="×" onClick={() => change({ isArchived: true })} />
        </>
      )}
      {problem && <p role="alert">{problem}</p>}
    </li>
  );
}

const Tool = ({ name, sign, onClick }) => (
  <button className="tool" aria-label={name} title={name} onClick={onClick}>
    {sign}
  </button>
);
