/** Returns an object of a query. Throws if there is none: it was deleted, or never was this user's. */
export function existing(object, kind) {
  if (!object) throw new Error(`There is no such ${kind}.`);
  return object;
}

/** Returns the payload of a mutation. Throws the first reason why it was refused. */
export function accepted(payload) {
  const [refusal] = payload.userErrors;
  if (refusal) throw new Error(refusal.message);
  return payload;
}
