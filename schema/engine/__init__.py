"""Execution of documents: parsing, planning and batched loading, with graphql-core for unusual cases."""
