import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App.jsx";
import { SignedIn } from "./SignIn.jsx";
import "./style.css";

/** Shows the page with the operations of one GraphQL client. */
export function mount(client, Provider) {
  createRoot(document.getElementById("app")).render(
    <StrictMode>
      <SignedIn>
        <Provider>
          <App client={client} />
        </Provider>
      </SignedIn>
    </StrictMode>,
  );
}
