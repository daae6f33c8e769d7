// The lists of a user. A cache holds what came into them; here is decided what is shown, as objects change by events.

/** The variable of a search without words, which finds all. */
export const ALL = "";

/** The threads that are in the list now, the latest activity first. A cache may have one twice, or one that is gone. */
export function shownThreads(threads) {
  const byId = new Map(threads.filter((thread) => thread && !thread.isArchived).map((thread) => [thread.id, thread]));
  return [...byId.values()].sort((a, b) => Date.parse(b.lastActivityAt) - Date.parse(a.lastActivityAt));
}

/** The runs that wait now. */
export const shownWaitingRuns = (runs) => runs.filter((run) => run?.status === "REQUIRES_ACTION");

/** Whether events may be missing before this one, so that the lists must be read again. */
export const isGap = ({ __typename }) => __typename === "StreamError" || __typename === "Lagged";

export const titleOf = ({ title }) => title ?? "Untitled";
