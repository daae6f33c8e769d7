"""Execution of documents: reading, planning, loading in batches, and graphql-core for whatever is unusual."""
