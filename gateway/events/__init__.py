"""Run events: the log they are kept in, what writes it, and how readers follow it."""
