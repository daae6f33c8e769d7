"""The Redis client and the circuit breaker that the cache and the run log share."""
