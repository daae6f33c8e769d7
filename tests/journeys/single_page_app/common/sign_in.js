// Who uses the page: a user who signed in at an OpenID Connect provider. Tokens are held in memory alone.
import { ErrorResponse, InMemoryWebStorage, UserManager, WebStorageStateStore } from "oidc-client-ts";
import { settings } from "./settings.js";

const page = location.origin + location.pathname;

/** The library's object for the user, or undefined if this page has no sign-in. */
export const users =
  settings.signIn &&
  new UserManager({
    ...settings.signIn, // `authority` and `client_id`
    scope: "openid offline_access",
    redirect_uri: page,
    post_logout_redirect_uri: page,
    userStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
    automaticSilentRenew: false, // `renew` does it
  });

let renewal;

/** Renews the token. Callers at the same time share one request, since a refresh token may count only once. */
function renew() {
  renewal ??= users
    .signinSilent()
    .catch(async (error) => {
      if (error instanceof ErrorResponse) await users.removeUser(); // the provider wants the user to sign in again
      throw error;
    })
    .finally(() => (renewal = undefined));
  return renewal;
}

/** The headers that say who calls, with a token that has not ended. */
export async function credential() {
  if (!users) return settings.authorization ? { Authorization: settings.authorization } : {};
  let user = await users.getUser();
  if (!user || user.expired) user = await renew();
  return { Authorization: `Bearer ${user.access_token}` };
}

/** `fetch` by the user. */
export const fetchAsUser = async (url, options) =>
  fetch(url, { ...options, headers: { ...options.headers, ...(await credential()) } });

let subject = null;

/** The user's id at the provider, or null before the sign-in. */
export const readSubject = () => subject;

/** Calls a function when a user signs in, signs out, or has to sign in again. Returns how to stop it. */
export function onSubjectChange(listener) {
  users?.events.addUserLoaded(listener);
  users?.events.addUserUnloaded(listener);
  return () => {
    users?.events.removeUserLoaded(listener);
    users?.events.removeUserUnloaded(listener);
  };
}

/** Calls a function with each new token of the user. */
export const onRenewal = (listener) => users?.events.addUserLoaded(({ access_token }) => listener(access_token));

/** Leaves for the provider's page. The user comes back to the same conversation. */
export const signIn = () => users.signinRedirect({ state: location.hash });

/** Signs out here and at the provider. */
export const signOut = () => users.signoutRedirect();

if (users) {
  users.events.addUserLoaded(({ profile }) => (subject = profile.sub));
  users.events.addUserUnloaded(() => (subject = null));
  users.events.addAccessTokenExpiring(() => renew().catch(() => {})); // after a failure, the next request tries again
  const answer = new URLSearchParams(location.search);
  if (answer.has("code")) {
    const { state } = await users.signinCallback();
    history.replaceState(null, "", page + state);
  } else if (answer.has("state")) {
    await users.signoutCallback();
    history.replaceState(null, "", page);
  }
}
