"""The Redis client and circuit breaker that cache and run log share."""
