import { ApolloProvider } from "@apollo/client/react";
import { mount } from "../common/mount.jsx";
import { client } from "./client.js";
import * as operations from "./operations.js";
import * as viewer from "./viewer.js";

mount(
  { name: "Apollo Client", ...operations, ...viewer },
  ({ children }) => <ApolloProvider client={client}>{children}</ApolloProvider>,
);
