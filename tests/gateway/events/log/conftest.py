"""Servers for the tests of the log."""

from tests.support.valkey import _shared_cluster, _shared_valkey, valkey, valkey_cluster

__all__ = ["_shared_cluster", "_shared_valkey", "valkey", "valkey_cluster"]  # fixtures
