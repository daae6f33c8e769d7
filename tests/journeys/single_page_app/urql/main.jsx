import { Provider } from "urql";
import { mount } from "../common/mount.jsx";
import { client } from "./client.js";
import * as operations from "./operations.js";
import * as viewer from "./viewer.js";

mount(
  { name: "urql", ...operations, ...viewer },
  ({ children }) => <Provider value={client}>{children}</Provider>,
);
