import { cacheExchange } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import { Client, fetchExchange, subscriptionExchange } from "urql";
import { messagesIn } from "../common/run_events.js";
import { endpoint } from "../common/settings.js";
import { fetchAsUser } from "../common/sign_in.js";
import { subscribe } from "../common/transport.js";

const cache = cacheExchange({
  // An object with an `id` is kept under it, any other one with the object that holds it.
  keys: new Proxy({}, { get: () => ({ id }) => id ?? null }),
  resolvers: { Thread: { messages: relayPagination({ mergeMode: "outwards" }) } },
  updates: {
    Mutation: {
      createMessage: ({ createMessage: { message } }, _, cache) => appendMessages(cache, message ? [message] : []),
    },
    Subscription: {
      runEvents: ({ runEvents }, _, cache) => appendMessages(cache, messagesIn(runEvents)),
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
