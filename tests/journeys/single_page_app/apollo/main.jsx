import { ApolloProvider } from "@apollo/client/react";
import { mount } from "../common/mount.jsx";
import { client } from "./client.js";
import { FollowRun, useAnswer, useConversation, useOverview, useSend, useStart } from "./operations.js";

mount(
  { name: "Apollo Client", useOverview, useConversation, useStart, useSend, useAnswer, FollowRun },
  ({ children }) => <ApolloProvider client={client}>{children}</ApolloProvider>,
);
