"""Observability of the gateway: its logs."""
