import { Provider } from "urql";
import { mount } from "../common/mount.jsx";
import { client } from "./client.js";
import { FollowRun, useAnswer, useConversation, useOverview, useSend, useStart } from "./operations.js";

mount(
  { name: "urql", useOverview, useConversation, useStart, useSend, useAnswer, FollowRun },
  ({ children }) => <Provider value={client}>{children}</Provider>,
);
