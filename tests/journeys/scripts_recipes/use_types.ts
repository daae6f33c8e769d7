// Uses the types that graphql-codegen wrote. The compiler refuses it where a type is another one.
import { graphql } from './graphql';
import type { RunEventsSubscription, ThreadQuery } from './graphql/graphql';

export const THREAD = graphql(`
  query Thread($id: ID!) {
    thread(id: $id) {
      createdAt
      metadata
      messages(last: 20) {
        nodes {
          role
          content {
            __typename
            ... on TextContent {
              text
            }
          }
        }
      }
    }
  }
`);

export const RUN_EVENTS = graphql(`
  subscription RunEvents($runId: ID!, $after: String) {
    runEvents(runId: $runId, after: $after) {
      __typename
      ... on TextDelta {
        offset
        value
      }
      ... on StreamError {
        detail
      }
    }
  }
`);

export function showThread({ thread }: ThreadQuery): string | undefined {
  const metadata: Record<string, string> | undefined = thread?.metadata;
  // @ts-expect-error: a thread may be missing
  thread.createdAt;
  return thread?.messages?.nodes
    .filter(({ role }) => role === 'ASSISTANT')
    .flatMap(({ content }) => content.map((part) => (part.__typename === 'TextContent' ? part.text : '')))
    .concat(metadata?.title ?? '')
    .join();
}

export function showEvent(text: string, { runEvents: event }: RunEventsSubscription): string {
  if (event.__typename === 'TextDelta') return text.slice(0, event.offset) + event.value;
  // @ts-expect-error: only a piece of text has an offset
  event.offset;
  return event.__typename === 'StreamError' ? event.detail : text;
}
