// Loaded first: a client waits only a moment before it connects again.
const { setTimeout } = globalThis;
globalThis.setTimeout = (callback, delay, ...rest) => setTimeout(callback, Math.min(delay ?? 0, 50), ...rest);
