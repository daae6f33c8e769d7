"""The REST operations: synchronous functions from a call to a JSON object."""
