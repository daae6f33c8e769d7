import { useSyncExternalStore } from "react";
import { onSubjectChange, readSubject, signIn, signOut, users } from "./sign_in.js";

/** Shows its children to a signed-in user, and everybody else the way to sign in. */
export function SignedIn({ children }) {
  const subject = useSyncExternalStore(onSubjectChange, readSubject);
  if (!users || subject !== null) return children;
  return (
    <main className="sign-in">
      <h1>Conversations</h1>
      <button onClick={signIn}>Sign in</button>
    </main>
  );
}

/** The user's name, and the way out. */
export function Account() {
  if (!users) return null;
  return (
    <p className="account">
      {readSubject()} <button onClick={signOut}>Sign out</button>
    </p>
  );
}
