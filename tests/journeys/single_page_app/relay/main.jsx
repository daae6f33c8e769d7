import { RelayEnvironmentProvider } from "react-relay";
import { mount } from "../common/mount.jsx";
import { environment } from "./environment.js";
import { FollowRun } from "./FollowRun.jsx";
import { useAnswer, useSend, useStart } from "./mutations.js";
import { useConversation, useOverview } from "./queries.js";

mount(
  { name: "Relay", useOverview, useConversation, useStart, useSend, useAnswer, FollowRun },
  ({ children }) => <RelayEnvironmentProvider environment={environment}>{children}</RelayEnvironmentProvider>,
);
