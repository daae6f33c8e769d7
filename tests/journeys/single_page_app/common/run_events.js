// The state of a run as its events tell it. Right however often a client subscribes again.

export const NO_RUN = { status: null, toolCalls: [], problem: null, texts: {} };
const FINAL = new Set(["COMPLETED", "FAILED", "CANCELLED", "EXPIRED", "INCOMPLETE"]);

/** Whether the run may still write or change its status. */
export const isUnderWay = (run) => run.status !== null && !FINAL.has(run.status);

/** The text of a message that is being written, or undefined. */
export const liveText = (run, messageId) => run.texts[messageId]?.filter((part) => part !== undefined).join("\n");

/** The messages that an event carries. */
export function messagesIn(event) {
  if (event.__typename === "RunSnapshot") return event.messages;
  return event.message ? [event.message] : [];
}

/** Returns the state after an event. */
export function applyRunEvent(run, event) {
  switch (event.__typename) {
    case "RunSnapshot": // the beginning, or the beginning once more: what was known before no longer counts
      return { ...NO_RUN, ...statusOf(event.run), texts: textsOf(event.messages) };
    case "RunStatusChange":
      return { ...run, ...statusOf(event.run) };
    case "TextDelta":
      return { ...run, texts: { ...run.texts, [event.messageId]: withPiece(run.texts[event.messageId], event) } };
    case "MessageFinished": {
      const { [event.message.id]: _, ...texts } = run.texts;
      return { ...run, texts };
    }
    case "StreamError":
      return { ...run, problem: event.detail };
    default:
      return run;
  }
}

function withPiece(parts = [], { index, offset, value }) {
  const changed = [...parts];
  // A piece that comes a second time replaces itself.
  changed[index] = (changed[index] ?? "").slice(0, offset) + value;
  return changed;
}

const statusOf = ({ status, requiredAction }) => ({ status, toolCalls: requiredAction?.toolCalls ?? [] });
const textsOf = (messages) =>
  Object.fromEntries(messages.map(({ id, content }) => [id, content.map(({ text }) => text)]));
