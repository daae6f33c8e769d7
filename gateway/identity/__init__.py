"""The identity of a caller: its credential, its principal, and the expiry of its token."""
