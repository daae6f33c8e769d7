"""Access to Redis, as the cache and the run log share it: client, circuit breaker, deadline, codec, key names."""
