"""The append-only log of run events, in memory or in Redis."""
