import { graphql, useLazyLoadQuery, usePaginationFragment } from "react-relay";
import { existing } from "../common/results.js";

const PAGE = 20;

export function useOverview(threadIds) {
  const { assistants, threadsByIds } = useLazyLoadQuery(
    graphql`
      query queriesOverviewQuery($threadIds: [ID!]!) {
        assistants(first: 20) {
          nodes {
            id
            name
            description
          }
        }
        threadsByIds(ids: $threadIds) {
          id
          upstreamId
          metadata
        }
      }
    `,
    { threadIds },
    { fetchPolicy: "store-and-network" },
  );
  return { assistants: assistants.nodes, threads: threadsByIds.filter((thread) => thread !== null) };
}

export function useConversation(threadId) {
  const data = useLazyLoadQuery(
    graphql`
      query queriesConversationQuery($threadId: ID!) {
        thread(id: $threadId) {
          id
          metadata
          activeRun {
            id
          }
          ...queries_messages
        }
      }
    `,
    { threadId },
    { fetchPolicy: "network-only" },
  );
  const thread = existing(data.thread, "conversation");
  const { data: page, hasPrevious, loadPrevious } = usePaginationFragment(
    graphql`
      fragment queries_messages on Thread
      @refetchable(queryName: "queriesEarlierMessagesQuery")
      @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, cursor: { type: "String" }) {
        messages(last: $count, before: $cursor) @connection(key: "queries_messages") {
          __id
          edges {
            node {
              id
              role
              text
              assistant {
                name
              }
            }
          }
        }
      }
    `,
    thread,
  );
  return {
    thread,
    connectionId: page.messages.__id,
    messages: page.messages.edges.map(({ node }) => node),
    hasEarlier: hasPrevious,
    loadEarlier: () => loadPrevious(PAGE),
  };
}
