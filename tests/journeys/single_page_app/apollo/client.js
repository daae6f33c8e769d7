import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { relayStylePagination } from "@apollo/client/utilities";
import { endpoint } from "../common/settings.js";
import { fetchAsUser } from "../common/sign_in.js";
import { subscribe } from "../common/transport.js";

const cache = new InMemoryCache({
  typePolicies: {
    Viewer: { fields: { threads: relayStylePagination(["filter"]), waitingRuns: { merge: false } } },
    Thread: { fields: { messages: relayStylePagination() } },
    Subscription: { fields: { runEvents: { merge: false }, viewerEvents: { merge: false } } }, // the latest event only
  },
});

export const client = new ApolloClient({
  cache,
  link: ApolloLink.split(
    ({ operationType }) => operationType === "subscription",
    new GraphQLWsLink({ subscribe }), // takes any client with this method
    new HttpLink({ uri: endpoint.href, fetch: fetchAsUser }),
  ),
});

/** Appends messages to a thread in the cache, unless they are there. */
export function appendMessages(threadId, messages) {
  cache.modify({
    id: cache.identify({ __typename: "Thread", id: threadId }),
    fields: {
      messages(connection, { readField, toReference }) {
        const shown = new Set(connection.edges.map((edge) => readField("id", edge.node)));
        const added = messages.filter(({ id }) => !shown.has(id));
        const edges = added.map((node) => ({ __typename: "MessageEdge", cursor: "", node: toReference(node) }));
        return { ...connection, edges: [...connection.edges, ...edges] };
      },
    },
  });
}
