"""Run events: recorders write them into an append-only log, readers follow it from any cursor."""
