import { Environment, Network, Observable, RecordSource, Store } from "relay-runtime";
import { execute, subscribe } from "../common/transport.js";

const fetchOperation = ({ text }, variables) => execute({ query: text, variables });
const follow = ({ text }, variables) => Observable.create((sink) => subscribe({ query: text, variables }, sink));

export const environment = new Environment({
  network: Network.create(fetchOperation, follow),
  store: new Store(new RecordSource()),
});
