"""The identity of a caller: its credential, its principal, and when its token expires."""
