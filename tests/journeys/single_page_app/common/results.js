/** Returns the payload of a mutation. Throws the first reason why it was refused. */
export function accepted(payload) {
  const [refusal] = payload.userErrors;
  if (refusal) throw new Error(refusal.message);
  return payload;
}
