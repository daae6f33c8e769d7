"""Observability: the gateway's logs."""
