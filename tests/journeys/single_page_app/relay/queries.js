import { graphql, useLazyLoadQuery, usePaginationFragment } from "react-relay";
import { existing } from "../common/results.js";

const PAGE = 20;

export function useAssistants() {
  const { assistants } = useLazyLoadQuery(
    graphql`
      query queriesAssistantsQuery {
        assistants(first: 20) {
          nodes {
            id
            name
            description
          }
        }
      }
    `,
    {},
  );
  return assistants.nodes;
}

export function useConversation(threadId) {
  const data = useLazyLoadQuery(
    graphql`
      query queriesConversationQuery($threadId: ID!) {
        thread(id: $threadId) {
          id
          title
          isArchived
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
              ...FollowRun_message @relay(mask: false)
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
