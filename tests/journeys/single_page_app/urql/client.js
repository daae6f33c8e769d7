import { cacheExchange } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import { Client, fetchExchange, subscriptionExchange } from "urql";
import { messagesIn } from "../common/run_events.js";
import { endpoint } from "../common/settings.js";
import { fetchAsUser } from "../common/sign_in.js";
import { subscribe } from "../common/transport.js";
import { ALL } from "../common/viewer.js";

const cache = cacheExchange({
  // An object with an `id` is kept under it, any other one with the object that holds it.
  keys: new Proxy({}, { get: () => ({ id }) => id ?? null }),
  resolvers: {
    Viewer: { threads: relayPagination() },
    Thread: { messages: relayPagination({ mergeMode: "outwards" }) },
  },
  updates: {
    Mutation: {
      createMessage: ({ createMessage: { message } }, _, cache) => appendMessages(cache, message ? [message] : []),
    },
    Subscription: {
      runEvents: ({ runEvents }, _, cache) => appendMessages(cache, messagesIn(runEvents)),
      viewerEvents: ({ viewerEvents }, _, cache) => applyToLists(cache, viewerEvents),
    },
  },
});

export const client = new Client({
  url: endpoint.href,
  fetch: fetchAsUser,
  preferGetMethod: false,
  suspense: true,
  exchanges: [
    cache,
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: ({ query, variables }) => ({
        subscribe: (sink) => ({ unsubscribe: subscribe({ query, variables }, sink) }),
      }),
    }),
  ],
});

/** Appends messages to the newest page of their thread, unless they are there. */
function appendMessages(cache, messages) {
  for (const message of messages) {
    const thread = { __typename: "Thread", id: message.thread.id };
    const pages = cache.inspectFields(thread).filter(({ fieldName }) => fieldName === "messages");
    const newest = cache.resolve(thread, pages.find(({ arguments: { before } }) => !before).fieldKey);
    const shown = cache.resolve(newest, "nodes");
    const key = cache.keyOfEntity(message);
    if (!shown.includes(key)) cache.link(newest, "nodes", [...shown, key]);
  }
}

// The cache has changed the objects by their ids already. What is missing is the place of a new one, or of one that is gone.
function applyToLists(cache, { thread, run, deletedId }) {
  const viewer = cache.resolve("Query", "viewer");
  const lists = viewer ? cache.inspectFields(viewer) : [];
  const gone = cache.keyOfEntity({ __typename: "Thread", id: deletedId });
  for (const { fieldName, fieldKey, arguments: variables } of lists) {
    const list = cache.resolve(viewer, fieldKey);
    if (fieldName === "waitingRuns" && run) appendNode(cache, list, run);
    if (fieldName === "threads" && thread && isTopOfAll(variables)) appendNode(cache, list, thread);
    if (fieldName === "threads" && deletedId) removeNode(cache, list, gone);
  }
}

const isTopOfAll = ({ after, filter }) => !after && filter.text === ALL;

function appendNode(cache, list, node) {
  const nodes = cache.resolve(list, "nodes");
  const key = cache.keyOfEntity(node);
  if (!nodes.includes(key)) cache.link(list, "nodes", [...nodes, key]);
}

function removeNode(cache, list, key) {
  const nodes = cache.resolve(list, "nodes");
  if (nodes.includes(key)) cache.link(list, "nodes", nodes.filter((one) => one !== key));
}
