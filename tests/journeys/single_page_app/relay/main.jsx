import { RelayEnvironmentProvider } from "react-relay";
import { mount } from "../common/mount.jsx";
import { environment } from "./environment.js";
import { FollowRun } from "./FollowRun.jsx";
import { FollowViewer } from "./FollowViewer.jsx";
import * as mutations from "./mutations.js";
import { useAssistants, useConversation } from "./queries.js";
import { useThreads, useWaitingRuns } from "./viewer.js";

mount(
  { name: "Relay", useAssistants, useThreads, useWaitingRuns, useConversation, ...mutations, FollowRun, FollowViewer },
  ({ children }) => <RelayEnvironmentProvider environment={environment}>{children}</RelayEnvironmentProvider>,
);
