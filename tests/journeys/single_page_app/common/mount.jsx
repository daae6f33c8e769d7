import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App.jsx";
import "./style.css";

/** Shows the page with the operations of one GraphQL client. */
export function mount(client, Provider) {
  createRoot(document.getElementById("app")).render(
    <StrictMode>
      <Provider>
        <App client={client} />
      </Provider>
    </StrictMode>,
  );
}
